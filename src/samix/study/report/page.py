"""report.html of a PoC: one file for the manager who decides and the engineer who checks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast, get_args

from samix.errors import InputError
from samix.pages.parts import (
    Chart,
    Code,
    Facts,
    Language,
    Layout,
    Part,
    Points,
    Section,
    Table,
    write_page,
)
from samix.pages.run import as_written, settings_table
from samix.pages.words import NOTHING, Text, Words, both, commas, count, duration, word
from samix.study.report.charts import (
    calibration_chart,
    cost_chart,
    curve_chart,
    inspection_chart,
    modes_chart,
    recall_chart,
)
from samix.study.report.confusion import confusion_chart
from samix.study.report.first_screen import first_of
from samix.study.report.health import health_section
from samix.study.report.pictures import picture_sections, wrong_sections
from samix.study.report.tables import (
    about_grid,
    calibration_grid,
    cost_grid,
    efficiency_grid,
    numbers_grid,
    overview_grids,
    policy_grids,
    verdict_grid,
)
from samix.study.report.view import ReportView, columns, question_words, view_of
from samix.study.wording import mode_words, network_words

_METHOD = (
    "method-split", "method-pairs", "method-interval", "method-holm", "method-free",
    "method-verdict", "method-threshold",
)  # fmt: skip
_LIMITS = ("limit-data", "limit-machine", "limit-looks", "limit-wider")


def write_poc_report(
    path: str | Path,
    findings: Mapping[str, Any],
    *,
    study: Mapping[str, Any],
    health: Mapping[str, Any] | None = None,
    pictures: Sequence[Mapping[str, Any]] = (),
    lang: str = "both",
) -> None:
    """Write the report of a PoC as one page that needs no other file and no network.

    Everything from the user (names of files, classes and data) is escaped; besides, the page
    forbids the browser every request and every script but its own. What is missing in the study is
    left out. ``lang`` "both" writes English and Japanese with a switch.
    """
    if lang not in get_args(Language):
        raise InputError(f"lang: expected one of {', '.join(get_args(Language))}, got '{lang}'.")
    view = view_of(findings, study)
    first = first_of(view, pictures)
    write_page(
        path,
        first.title,
        sections_of(view, health, pictures),
        facts=first.facts,
        language=cast("Language", lang),
        layout=Layout("samix.study.report", "report.html", {"first": first}),
    )


def sections_of(
    view: ReportView, health: Mapping[str, Any] | None, pictures: Sequence[Mapping[str, Any]]
) -> list[Section]:
    """Return the sections that have something to show."""
    found = [
        _section("labels", _worth_charts(view)),
        _section("policies", [*overview_grids(view), *policy_grids(view), about_grid(view)]),
        _section("cost", _there(cost_chart(view), cost_grid(view))),
        _section("modes", _spoken(view, "consistency", modes_chart(view))),
        _section("recall", _spoken(view, "rarest", recall_chart(view))),
        *wrong_sections(pictures, view),
        _section("confusion", _there(confusion_chart(view))),
        _section("inspection", _there(inspection_chart(view))),
        _section("calibration", _there(calibration_chart(view), calibration_grid(view))),
        *picture_sections(pictures),
        health_section(health),
        _method(view),
        _cells(view),
        _again(view),
    ]
    return [one for one in found if one is not None]


def _section(key: str, parts: Sequence[Part]) -> Section | None:
    """Return a section by its name in the dictionary; None where it would be empty."""
    if not parts:
        return None
    return Section(word(f"{key}-section"), word(f"{key}-intro"), parts, key=key)


def _there(*parts: Part | None) -> list[Part]:
    return [part for part in parts if part is not None]


def _worth_charts(view: ReportView) -> list[Part]:
    """Return the curve over labels, where there is more than a point of it."""
    if all(len(view.budgets(mode)) < 2 for mode in view.modes):
        return []
    return _there(curve_chart(view), efficiency_grid(view))


def _spoken(view: ReportView, key: str, chart: Chart | None) -> list[Part]:
    """Return a chart below its sentence of the findings; nothing where there is no chart."""
    if chart is None:
        return []
    said = view.findings.get(key)
    return [Points([both(said["sentence"])]), chart] if said else [chart]


def _method(view: ReportView) -> Section:
    notes = [both(note) for note in view.findings["notes"]]
    lines = [word(key) for key in _METHOD]
    settings = view.study.get("train") or {}
    if {"backbone", "image_size"} <= set(settings):
        lines.insert(0, network_words(settings))
    if not view.findings.get("inspection"):
        lines.pop()
    return Section(word("method-section"), NOTHING, [
            *([Points(notes, word("notes"))] if notes else []),
            Points(lines),
            *_there(numbers_grid(view)),
            verdict_grid(view),
            Points([word(key) for key in _LIMITS], word("limits")),
        ], key="method")  # fmt: skip


def _cells(view: ReportView) -> Section | None:
    """Return what failed and what is missing; None where all trainings finished."""
    cells = view.findings["cells"]
    intro = word(
        "cells-intro", planned=count(cells["planned"]), finished=count(cells["finished"]),
        failed=count(len(cells["failed"])), missing=count(len(cells["missing"])),
    )  # fmt: skip
    rows: list[list[Text]] = [
        [str(one["cell"]), word("cell-failed"), str(one["reason"])] for one in cells["failed"]
    ]
    rows += [[str(name), word("cell-missing"), ""] for name in cells["missing"]]
    header = columns("cell", "status", "reason")
    if not rows:
        return None
    grid = Table(header, rows, title=word("cells-title"), words=range(3))
    return Section(word("cells-section"), intro, [grid], key="cells")


def _again(view: ReportView) -> Section:
    study, data = view.study, view.study.get("data") or {}
    parts: list[Part] = []
    if study.get("command"):
        parts.append(Code(str(study["command"])))
    facts: list[tuple[Text, Text]] = []
    for key, value in (("again-data", data.get("source")), ("again-size", data.get("image_size"))):
        if value is not None:
            facts.append((word(key), str(value)))
    facts += _plan(view)
    for key in ("machine", "versions"):
        facts += [(both(str(name)), as_written(v)) for name, v in _pairs(study.get(key))]
    if facts:
        parts.append(Facts(facts))
    parts += [
        settings_table(study[key], word(f"again-{key}"))
        for key in ("train", "pretrain")
        if study.get(key)
    ]
    return Section(word("again-section"), word("again-intro"), parts, key="again")


def _plan(view: ReportView) -> list[tuple[Text, Text]]:
    """Return what was planned; what a plan does not say, or leaves empty, has no line."""
    plan = view.plan
    epochs: Mapping[str, Any] = plan.get("epochs") or {}
    alone = "self-supervised" in (plan.get("modes") or ())
    lines: tuple[tuple[str, str, Callable[[Any], Text]], ...] = (
        ("primary", "question", lambda main: question_words(main["mode"], main["labels"])),
        ("modes", "modes", lambda modes: commas([mode_words(mode) for mode in modes])),
        ("policies", "policies", lambda _: ", ".join(view.policies)),  # as a command has them
        ("seeds", "seeds", lambda seeds: _seeds(view, [str(seed) for seed in seeds])),
        ("labels", "labels", lambda labels: commas([_budget(one, epochs) for one in labels])),
        ("pretrain_epochs" if alone else "", "pretrain-epochs", count),
        ("options", "options", as_written),
        ("smallest_difference", "smallest", lambda v: word("points-of", number=f"{v:.1f}")),
        ("budget_seconds", "budget-seconds", duration),
        ("expected_seconds", "expected-seconds", duration),
        ("workers", "workers", str),
    )
    return [(word(f"again-{key}"), told(plan[name])) for name, key, told in lines if plan.get(name)]


def _seeds(view: ReportView, planned: Sequence[str]) -> Words:
    done = max((int(row["seeds"]) for row in view.findings["curve"]), default=len(planned))
    trained = both(", ".join(planned[:done]))
    if done >= len(planned):
        return trained
    return word("again-seeds-of", trained=trained, most=str(len(planned)))


def _budget(labels: int, epochs: Mapping[str, Any]) -> Words:
    if str(labels) not in epochs:
        return both(count(labels))
    return word("labels-and-epochs", labels=count(labels), epochs=count(epochs[str(labels)]))


def _pairs(value: Any) -> list[tuple[Any, Any]]:
    """Return the entries of a mapping; a plain value is one without a name."""
    if value is None:
        return []
    if isinstance(value, Mapping):
        return list(value.items())
    return [(word("again-machine").en, value)]
