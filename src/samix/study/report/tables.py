"""The tables of the report: what each policy gains, all verdicts, and what they rest on."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from samix.pages.parts import Table
from samix.pages.words import (
    NOT_KNOWN,
    Text,
    Words,
    between,
    both,
    count,
    known,
    number,
    percent,
    probability,
    short,
    word,
)
from samix.study.report.first_screen import verdict_name
from samix.study.report.view import BASELINE, ReportView, Row, about, columns, question_words
from samix.study.wording import mode_words, policy_words

_POLICY = (
    "policy", "score", "interval", "gain", "gain-ends", "p", "avoided", "time", "time-multiple",
    "alive", "seeds",
)  # fmt: skip


def overview_grids(view: ReportView) -> list[Table]:
    """Return the gain of each policy at each budget, one table a mode."""
    return [_overview(view, mode) for mode in view.modes]


def policy_grids(view: ReportView) -> list[Table]:
    """Return all numbers of all policies, one table for each mode and budget."""
    grids = []
    for mode in view.modes:
        for labels in reversed(view.budgets(mode)):
            rows = view.rows("policies", mode=mode, labels=labels)
            title = word("policies-of", question=question_words(mode, labels))
            folded = (mode, labels) != (view.mode, view.labels)
            grids.append(_filled(view.grid(rows, *_POLICY, words=1, title=title, folded=folded)))
    return grids


def about_grid(view: ReportView) -> Table:
    """Return what each policy is."""
    return Table(
        columns("policy", "about"),
        [[policy_words(policy), about(policy)] for policy in view.policies],
        title=word("about-title"),
        words=range(2),
    )


def efficiency_grid(view: ReportView) -> Table | None:
    """Return the labels that each policy is worth; None where there is no curve."""
    rows = view.rows("labels_worth")
    if not rows:
        return None
    columns = ("question", "policy", "equals", "equals-ends", "in-words")
    found = view.grid(rows, *columns, words=2, title=word("efficiency-title"))
    return replace(found, words=(0, 1, 4))


def calibration_grid(view: ReportView) -> Table | None:
    """Return the calibration error of all policies, modes and budgets."""
    rows = view.rows("calibration")
    if not rows:
        return None
    columns = ("question", "policy", "calibration", "interval")
    return view.grid(rows, *columns, words=2, title=word("calibration-all"))


def cost_grid(view: ReportView) -> Table:
    """Return what one training of each policy costs."""
    money = word("col-money-in", currency=view.currency) if view.currency else word("cost-money")
    heads = {"money": money}
    columns = ("mode", "policy", "time", "time-multiple", "memory", "energy", "money")
    title = word("cost-all")
    rows = view.rows("cost")
    return _filled(view.grid(rows, *columns, words=2, title=title, folded=False, heads=heads))


def verdict_grid(view: ReportView) -> Table:
    """Return what each question alone would say."""
    rows = sorted(
        view.findings.get("verdicts") or (),
        key=lambda r: (r["mode"] != "supervised", -int(r["labels"])),
    )
    cells: list[list[Text]] = [
        [question_words(r["mode"], int(r["labels"])), verdict_name(r["kind"], r["policy"]),
         both(r["sentence"])]
        for r in rows
    ]  # fmt: skip
    main = [at for at, r in enumerate(rows) if (r["mode"], r["labels"]) == (view.mode, view.labels)]
    header = columns("question", "verdict", "in-words")
    return Table(
        header,
        cells,
        word("verdicts-note"),
        title=word("verdicts-title"),
        words=range(3),
        strong=main,
    )


def numbers_grid(view: ReportView) -> Table | None:
    """Return the numbers that the verdict rests on; None where it rests on none."""
    verdict = view.verdict
    cells: list[list[Text]] = [
        [
            _compared(one),
            number(one["points"], signed=True),
            between(one["low"], one["high"], signed=True),
            probability(one["p"]),
        ]
        for one in verdict.get("compared") or ()
    ]
    names = {"policy": policy_words(verdict["policy"]), "baseline": policy_words(BASELINE)}
    for name, value in (verdict.get("numbers") or {}).items():
        told = probability(value) if name == "p_not_ahead" else _value(value)
        said = word(f"number-{name.replace('_', '-')}", **names)
        cells.append([said, told, NOT_KNOWN, NOT_KNOWN])
    if not cells:
        return None
    header = columns("number", "value", "interval", "p")
    return Table(header, cells, title=word("numbers-title"), words=range(1))


def _filled(table: Table) -> Table:
    """Return a table without the columns of numbers of which none is known."""
    kept = [
        at for at in range(len(table.header))
        if at in (table.words or ()) or any(both(row[at]).en != NOT_KNOWN for row in table.rows)
    ]  # fmt: skip
    rows = [[row[at] for at in kept] for row in table.rows]
    return replace(table, header=[table.header[at] for at in kept], rows=rows)


def _overview(view: ReportView, mode: str) -> Table:
    budgets = view.budgets(mode)
    cells: list[list[Text]] = []
    there = [name for name in view.policies if view.rows("policies", mode=mode, policy=name)]
    for policy in there:
        own: dict[int, Row] = {
            int(r["labels"]): r for r in view.rows("policies", mode=mode, policy=policy)
        }
        if policy == BASELINE:
            shown: list[Text] = [
                word("score-is", score=percent(own[b]["score"])) if b in own else NOT_KNOWN
                for b in budgets
            ]
        else:
            shown = [_gain(own.get(b)) for b in budgets]
        cells.append([policy_words(policy), *shown])
    strong = [at for at, policy in enumerate(there) if policy == view.policy]
    header = [word("col-policy"), *(word("col-with-labels", labels=count(b)) for b in budgets)]
    title = word("overview-title", mode=mode_words(mode), measure=view.measure)
    return Table(header, cells, word("overview-note"), title=title, words=range(1), strong=strong)


def _gain(row: Row | None) -> Text:
    if row is None or known(row["gain"]) is None:
        return NOT_KNOWN
    inside = between(row["gain_low"], row["gain_high"], signed=True)
    return f"{number(row['gain'], signed=True)} ({inside})"


def _value(value: Any) -> str:
    found = known(value)
    return count(found) if found is not None and found == round(found) else short(found)


def _compared(one: Row) -> Words:
    measure = str(one["measure"])
    if measure.startswith("recall:"):
        told = word("number-recall", name=measure.removeprefix("recall:"))
    else:
        told = word(f"measure-{measure}")
    return policy_words(one["policy"]) + " \u2212 " + policy_words(one["baseline"]) + ": " + told
