"""run.html: what a run of training reached, its mixes, and what a guard did to them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .charts import BOTTOM, LEFT, RIGHT, TOP, AxisScale, Style, axis_of, framed
from .panels import MOST, MOST_FIELDS, Bar, Dot, bar_panel, dot_panel, matrix_panel
from .parts import Chart, Part, PictureRow, Points, Section, Table, write_page
from .words import Text, Words, count, duration, in_lines, known, number, percent, rounded, word

_CURVES = {
    "train_top1": Style("#9a9a9a", "circle"), "val_top1": Style("#0072B2", "square"),
    "average_val_top1": Style("#D55E00", "diamond", hollow=True),
    "knn_top1": Style("#0072B2", "square"),
}  # fmt: skip
_OUTCOMES = {
    "partner": "#E69F00", "mask": "#D55E00", "label": "#CC79A7", "mixup": "#0072B2",
    "clean": "#4d4d4d",
}  # fmt: skip
_SHORT_CURVE = 24  # epochs that are marked one by one


def write_run_page(
    path: str | Path,
    metrics: Mapping[str, Any],
    history: Sequence[Mapping[str, Any]],
    *,
    data: str,
    settings: Mapping[str, Any],
    mixes: Path | None = None,
) -> None:
    """Write the page of a run, in both languages."""
    sections = [
        Section(word("run-result"), "", _result(metrics, history), key="result"),
        _mixes(mixes),
        _guard(metrics.get("guard")),
        Section(
            word("run-settings"),
            "",
            [settings_table(settings, word("run-settings"))],
            key="settings",
        ),
    ]
    write_page(
        path, word("run-title", policy=str(settings["policy"]), data=data),
        [one for one in sections if one is not None], lead=in_lines(_lead(metrics)),
        language="both",
    )  # fmt: skip


def _lead(metrics: Mapping[str, Any]) -> list[Words]:
    epochs, cost, mixer = metrics["epochs"], metrics["cost"], metrics.get("mixer")
    lines = [
        word(
            "run-lead", epochs=count(epochs["done"]), planned=count(epochs["planned"]),
            train=count(metrics["photos"]["train"]), time=duration(cost["seconds"]),
            device=str(cost["device"]),
        )
    ]  # fmt: skip
    if mixer is not None:
        deviation = float(mixer["at_end"]["mask_deviation"])
        key = "run-alive" if mixer["alive_at_end"] else "run-dead"
        lines.append(word(key, deviation=deviation))
    return lines


def _result(metrics: Mapping[str, Any], history: Sequence[Mapping[str, Any]]) -> list[Part]:
    parts: list[Part] = [*_scores(metrics)]
    curves = {name: _values(history, name) for name in _CURVES}
    curves = {name: values for name, values in curves.items() if values}
    if curves:
        parts.append(_curve_chart(curves))
    recalls = ((metrics.get("test") or {}).get("encoder") or {}).get("recall")
    if recalls:
        parts.append(_class_chart(recalls))
    if metrics.get("notes"):
        parts.append(Points(metrics["notes"], word("notes")))
    return parts


def _scores(metrics: Mapping[str, Any]) -> list[Table]:
    rows: list[list[Text]] = []
    for side in ("test", "val"):
        for network, told in (metrics.get(side) or {}).items():
            if isinstance(told, Mapping) and "top1" in told:
                rows.append([
                    word(f"run-{network}"), word(f"part-{side}"), percent(told["top1"]),
                    percent(told.get("balanced_accuracy")), number(told.get("nll"), 3),
                    number(told.get("ece"), 3),
                ])  # fmt: skip
    if not rows:
        return []
    keys = ("network", "part-of", "accuracy", "balanced", "nll", "calibration")
    return [Table([word(f"col-{key}") for key in keys], rows, words=range(2))]


def _values(history: Sequence[Mapping[str, Any]], name: str) -> list[tuple[int, float]]:
    found = [(int(row["epoch"]), known(row.get(name))) for row in history]
    return [(epoch, 100 * value) for epoch, value in found if value is not None]


def _curve_chart(curves: Mapping[str, Sequence[tuple[int, float]]]) -> Chart:
    every = [point for points in curves.values() for point in points]
    last = max(epoch for epoch, _ in every)
    x = AxisScale(0.0, float(max(last, 1)), LEFT, RIGHT)
    y = axis_of([value for _, value in every], BOTTOM, TOP, most=(0.0, 100.0))
    panel = framed(x, y, word("axis-epoch"), word("axis-accuracy-percent"))
    for name, points in curves.items():
        style = _CURVES[name]
        places = [(x(epoch), y(value)) for epoch, value in points]
        panel.line(places, style.colour, width=1.8, dash="5 3" if style.hollow else "")
        if last <= _SHORT_CURVE:
            for place, (epoch, value) in zip(places, points, strict=True):
                panel.put(*place, style, f"{epoch}: {number(value)} %", 4.0)
    legend: list[tuple[Text, Style]] = [(word(f"run-{name}"), _CURVES[name]) for name in curves]
    reading = word("run-knn-read" if "knn_top1" in curves else "run-curve-read")
    return Chart("curve", word("run-curve"), reading, [panel], legend)


def _class_chart(recalls: Mapping[str, float | None]) -> Chart:
    style = Style("#0072B2", "circle")
    rows = sorted((value, name) for name, value in recalls.items() if value is not None)
    shown = [(name, [Dot(100 * value, style, f"{name}: {percent(value)}")]) for value, name in rows]
    cells: list[list[Text]] = [[name, percent(value)] for value, name in rows]
    header = [word("col-class"), word("col-recall")]
    return Chart(
        "classes", word("run-classes"), word("run-classes-read"),
        [dot_panel(shown[:MOST], word("axis-recall"), from_zero=True, most=100.0)],
        data=Table(header, cells, title=word("data-behind"), words=[0], folded=True),
    )  # fmt: skip


def _mixes(picture: Path | None) -> Section | None:
    if picture is None or not picture.is_file():
        return None
    row = PictureRow(picture.read_bytes(), caption=word("run-mixes-read"))
    return Section(word("run-mixes"), "", [row], key="mixes")


def _guard(summary: Mapping[str, Any] | None) -> Section | None:
    if summary is None or not summary["mixes"]:
        return None
    share, mixes = rounded(summary["accepted"]), count(summary["mixes"])
    intro = [word("run-guard-intro", mixes=mixes, share=share)]
    for rule, broken in summary["broken"].items():
        intro.append(word("run-guard-broken", rule=word(f"rule-{rule}"), share=percent(broken)))
    bars = [
        Bar(word(f"guard-{name}"), 100 * summary[name], percent(summary[name]), colour)
        for name, colour in _OUTCOMES.items()
    ]
    panel = bar_panel(bars, word("axis-share-mixes"))
    charts = [Chart("how", word("run-guard-how"), word("run-guard-how-read"), [panel])]
    classes = sorted({name for pair in summary.get("pairs", ()) for name in pair["classes"]})
    if 0 < len(classes) <= MOST_FIELDS:
        charts.append(_pairs_chart(summary["pairs"], classes))
    return Section(word("run-guard"), in_lines(intro), charts, key="guard")


def _pairs_chart(pairs: Sequence[Mapping[str, Any]], classes: Sequence[str]) -> Chart:
    repaired: dict[tuple[str, str], float] = {}
    for pair in pairs:
        first, second = pair["classes"]
        repaired[first, second] = 1 - pair["accepted"] / pair["mixes"]
    top = max([0.01, *repaired.values()])
    shares = [[repaired.get((a, b)) for b in classes] for a in classes]
    strength = [[None if s is None else s / top for s in line] for line in shares]
    told = [["" if s is None else f"{100 * s:.0f}" for s in line] for line in shares]
    panel = matrix_panel(
        classes, classes, strength, told, across=word("picture-partner"), colour="#D55E00"
    )
    return Chart("pairs", word("run-guard-pairs"), word("run-guard-pairs-read"), [panel])


def settings_table(settings: Mapping[str, Any], title: Words) -> Table:
    """Return settings and their values, folded."""
    rows: list[list[Text]] = [[name, as_written(value)] for name, value in settings.items()]
    header = [word("col-setting"), word("col-value")]
    return Table(header, rows, title=title, words=range(2), folded=True)


def as_written(value: Any) -> str:
    """Return a setting as it would be written in a file."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
