"""Charts of the report.

Two axes of numbers: labels, cost, both modes, confidence. One row a name: recall, escapes, balance
of the classes.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from samix.pages.charts import (
    BOTTOM,
    LEFT,
    LINE,
    RIGHT,
    TOP,
    AxisScale,
    Panel,
    Point,
    Style,
    axis_of,
    framed,
    round_values,
)
from samix.pages.panels import MOST, Dot, dot_panel
from samix.pages.parts import Chart, Table
from samix.pages.words import (
    NOTHING,
    Text,
    Words,
    both,
    count,
    known,
    number,
    percent,
    short,
    span,
    times,
    word,
)
from samix.study.report.view import BASELINE, CELLS, ReportView, Row, question_words
from samix.study.statistics.tables import MODES
from samix.study.wording import mode_words, policy_words

_APART = 2.4  # units between marks of policies with the same labels
_SIDE_BY_SIDE = 11.0  # units between marks of policies that cost as much
_LEAST_GAP = 34.0  # units between two names on an axis
# parts of a split: their marks, dark to light, so that grey paper tells them apart
_PARTS = {
    "train": Style("#4d4d4d", "circle"),
    "val": Style("#56B4E9", "diamond"),
    "test": Style("#D55E00", "square"),
}


def curve_chart(view: ReportView) -> Chart:
    """Return the score over labels, one panel a mode, with bands where the eye should be."""
    rows = view.rows("curve")
    names = {str(r["policy"]) for r in rows}
    columns = ("mode", "policy", "labels", "score", "interval", "seeds", "parts")
    return Chart(
        key="curve",
        title=word("curve-title", measure=view.measure),
        reading=word("curve-reading"),
        panels=[_curve_panel(view, mode) for mode in view.modes],
        legend=view.legend(list(names)),
        data=view.grid(rows, *columns, words=2),
    )


def cost_chart(view: ReportView) -> Chart | None:
    """Return the gain over the cost, for the main question and the other mode; None without any."""
    panels: list[Panel] = []
    every: list[Row] = []
    for mode in view.modes:
        labels = view.labels if mode == view.mode else max(view.budgets(mode))
        rows = [
            r for r in view.rows("policies", mode=mode, labels=labels)
            if known(r["multiple"]) is not None
            and (known(r["gain"]) is not None or r["policy"] == BASELINE)
        ]  # fmt: skip
        if len(rows) < 2:
            continue
        panels.append(_cost_panel(view, rows, question_words(mode, labels)))
        every += rows
    if not panels:
        return None
    columns = ("question", "policy", "time-multiple", "gain-or-0", "gain-ends")
    return Chart(
        key="cost", title=word("cost-title", measure=view.measure), reading=word("cost-reading"),
        panels=panels, legend=view.legend([str(r["policy"]) for r in every]),
        data=view.grid(every, *columns, words=2),
    )  # fmt: skip


def modes_chart(view: ReportView) -> Chart | None:
    """Return the gains in both modes against each other; None where one mode was not planned."""
    found = view.findings.get("consistency")
    rows = [r for r in (found or {}).get("policies", ()) if r["policy"] in view.policies]
    if not rows:
        return None
    ends = [(_pair(r, "supervised"), _pair(r, "self_supervised")) for r in rows]
    x, y = (
        axis_of([v for end in ends for v in (end[side][1], end[side][2], 0.0) if v is not None],
              *((LEFT, RIGHT) if side == 0 else (BOTTOM, TOP)))
        for side in (0, 1)
    )  # fmt: skip
    gains = [word("axis-gain-in", mode=mode_words(mode)) for mode in MODES]
    panel = framed(x, y, gains[0], gains[1], signed=(True, True))
    panel.line([(x(0), TOP), (x(0), BOTTOM)], LINE, dash="4 3")
    panel.line([(LEFT, y(0)), (RIGHT, y(0))], LINE, dash="4 3")
    for row, (across, up) in zip(rows, ends, strict=True):
        style = view.styles[row["policy"]]
        at = (x(across[0]), y(up[0]))
        _whisker(panel, style, at, [(x(v), at[1]) for v in across[1:] if v is not None])
        _whisker(panel, style, at, [(at[0], y(v)) for v in up[1:] if v is not None])
        told = f": {number(across[0], signed=True)}, {number(up[0], signed=True)}"
        panel.put(*at, style, policy_words(row["policy"]) + told)
        if row["policy"] in view.shown:
            _name(panel, at, policy_words(row["policy"]), x)
    columns = ("policy", "supervised", "supervised-ends", "alone", "alone-ends")
    heads = {"supervised": mode_words(MODES[0]), "alone": mode_words(MODES[1])}
    return Chart(
        key="modes", title=word("modes-title"), reading=word("modes-reading"), panels=[panel],
        legend=view.legend([str(r["policy"]) for r in rows]),
        data=view.grid(rows, *columns, words=1, heads=heads),
    )  # fmt: skip


def calibration_chart(view: ReportView) -> Chart | None:
    """Return how often the network is right over how sure it is; None where that is not known."""
    rows = [
        row
        for name in view.shown
        if (row := view.one("calibration", mode=view.mode, labels=view.labels, policy=name))
    ]
    if not rows:
        return None
    shown = [b for row in rows for b in row["bins"]]
    low = min([0.9, *(min(b["confidence"], b["accuracy"]) for b in shown)])
    scale = round_values(100 * low, 100.0)
    x = AxisScale(scale[0], scale[-1], LEFT, RIGHT)
    y = AxisScale(scale[0], scale[-1], BOTTOM, TOP)
    panel = framed(x, y, word("axis-confidence"), word("axis-accuracy"), values=(scale, scale))
    panel.line([(x(scale[0]), y(scale[0])), (x(scale[-1]), y(scale[-1]))], LINE, dash="4 3")
    for row in rows:
        style = view.styles[row["policy"]]
        points = [(x(100 * b["confidence"]), y(100 * b["accuracy"])) for b in row["bins"]]
        panel.line(points, style.colour, width=1.8, dash=_dash(style))
        for b, at in zip(row["bins"], points, strict=True):
            told = f": {percent(b['confidence'])}, {percent(b['accuracy'])}"
            panel.put(*at, style, policy_words(row["policy"]) + told, 4.2)
    bins = [{**b, "policy": row["policy"]} for row in rows for b in row["bins"]]
    return Chart(
        key="calibration", title=word("calibration-title"), reading=word("calibration-reading"),
        panels=[panel], legend=view.legend([str(r["policy"]) for r in rows]),
        data=view.grid(bins, "policy", "confidence", "right", "photos", words=1, strong=()),
    )  # fmt: skip


def recall_chart(view: ReportView) -> Chart | None:
    """Return the recall of each class, the rarest first; None where no class has test parts."""
    rows = view.rows("recalls", mode=view.mode, labels=view.labels)
    parts = {str(r["class"]): int(r["parts"]) for r in rows}
    rarest = sorted((name for name in parts if parts[name]), key=lambda name: parts[name])
    if not rarest:
        return None
    shown = []
    for name in rarest[:MOST]:
        dots = [
            Dot(
                100 * r["recall"],
                _sure(view.styles[r["policy"]], bool(r["judgeable"])),
                policy_words(r["policy"])
                + f", {name}: {percent(r['recall'])} ({span(r['low'], r['high'])})",
                _hundred(r["low"]),
                _hundred(r["high"]),
            )
            for r in rows
            if r["class"] == name and r["policy"] in view.shown and known(r["recall"]) is not None
        ]
        shown.append((name, dots))
    order = sorted(parts, key=lambda name: parts[name])
    told = [r for name in order for r in rows if r["class"] == name]
    columns = ("class", "policy", "test-parts", "recall", "interval", "judgeable")
    more = word("chart-cut", shown=MOST, all=len(rarest)) if len(rarest) > MOST else NOTHING
    return Chart(
        key="recall",
        title=word("recall-title", question=question_words(view.mode, view.labels)),
        reading=word("recall-reading") + (" " if more else "") + more,
        panels=[dot_panel(shown, word("axis-recall"), unit="", most=100.0)],
        legend=view.legend([name for name in view.shown if any(r["policy"] == name for r in rows)]),
        data=view.grid(told, *columns, words=2),
    )


def inspection_chart(view: ReportView) -> Chart | None:
    """Return escape and overkill rates of each policy; None where they are not known."""
    rows = view.rows("inspection", mode=view.mode, labels=view.labels)
    if not rows:
        return None
    panels = []
    for kind in ("escape", "overkill"):
        shown = [
            (
                policy_words(r["policy"]),
                [Dot(100 * r[kind], view.styles[r["policy"]],
                     policy_words(r["policy"]) + f": {percent(r[kind])}",
                     _hundred(r[f"{kind}_low"]), _hundred(r[f"{kind}_high"]))],
            )
            for r in rows if known(r[kind]) is not None
        ]  # fmt: skip
        panels.append(dot_panel(shown, word(f"axis-{kind}"), title=word(kind), most=100.0))
    money = [
        (policy_words(r["policy"]),
         [Dot(float(r["cost"]), view.styles[r["policy"]],
              policy_words(r["policy"]) + f": {short(r['cost'])}", known(r.get("cost_low")),
              known(r.get("cost_high")))])
        for r in rows if known(r["cost"]) is not None
    ]  # fmt: skip
    if money:
        unit = view.currency
        axis = word("axis-money", currency=unit) if unit else word("axis-money-bare")
        panels.append(dot_panel(money, axis, title=word("money")))
    columns = (
        "question", "policy", "escape", "escape-ends", "overkill", "overkill-ends",
        "expected-cost", "threshold",
    )  # fmt: skip
    heads = {"escape": word("escape"), "overkill": word("overkill")}
    return Chart(
        key="inspection",
        title=word("inspection-title", question=question_words(view.mode, view.labels)),
        reading=word("inspection-reading"), panels=panels, legend=[],
        data=view.grid(view.rows("inspection"), *columns, words=2, heads=heads),
    )  # fmt: skip


def balance_chart(classes: Sequence[Row]) -> Chart | None:
    """Return the photos of each class in each part, the rarest first; None without classes."""
    if not classes:
        return None
    order = sorted(classes, key=lambda row: sum(row["photos"].values()))
    shown = [
        (
            str(row["class"]),
            [Dot(float(row["photos"].get(side, 0)), style,
                 both(f"{row['class']}, ") + word(f"part-{side}") + f": {_of(row['photos'], side)}")
             for side, style in _PARTS.items()],
        )
        for row in order[:MOST]
    ]  # fmt: skip
    cells: list[list[Text]] = [
        [str(row["class"]), *(_of(row["photos"], side) for side in _PARTS),
         *(_of(row["parts"], side) for side in _PARTS), number(100 * row["recall_within"], 0)]
        for row in order
    ]  # fmt: skip
    header = [word("col-class")]
    for what in ("photos", "parts"):
        header += [word(f"col-{what}-in", part=word(f"part-{side}")) for side in _PARTS]
    header.append(word("col-within"))
    more = word("chart-cut", shown=MOST, all=len(order)) if len(order) > MOST else NOTHING
    return Chart(
        key="balance", title=word("balance-title"),
        reading=word("balance-reading") + (" " if more else "") + more,
        panels=[dot_panel(shown, word("axis-photos"), from_zero=True)],
        legend=[(word(f"part-{side}"), style) for side, style in _PARTS.items()],
        data=Table(header, cells, title=word("data-behind"), words=range(1), folded=True),
    )  # fmt: skip


def _curve_panel(view: ReportView, mode: str) -> Panel:
    budgets = view.budgets(mode)
    rows = view.rows("curve", mode=mode)
    far = 1.18 if len(budgets) > 1 else 2.0
    x = AxisScale(max(budgets[0] / far, 1e-6), budgets[-1] * far, LEFT, RIGHT, log=True)
    tall = [v for r in rows if r["policy"] in view.shown for v in (r["low"], r["high"])]
    y = axis_of([100 * v for v in [*tall, *(r["score"] for r in rows)]], BOTTOM, TOP,
              most=(0.0, 100.0))  # fmt: skip
    names = [count(b) for b in budgets]
    panel = framed(x, y, word("axis-labels"), view.measure, title=mode_words(mode),
                   values=(budgets, None), names=_thinned(budgets, names, x))  # fmt: skip
    there = [name for name in view.policies if any(r["policy"] == name for r in rows)]
    # those that stand out are drawn last, over the others
    order = sorted(there, key=lambda name: name in view.shown)
    for name in order:
        aside = _APART * (there.index(name) - (len(there) - 1) / 2)
        own = [r for r in rows if r["policy"] == name]
        places = [x(r["labels"]) + aside for r in own]
        _curve(panel, view.styles[name], own, places, y, strong=name in view.shown)
    return panel


def _curve(
    panel: Panel, style: Style, rows: Sequence[Row], places: Sequence[float], y: AxisScale, *,
    strong: bool,
) -> None:  # fmt: skip
    points = [(at, y(100 * r["score"])) for at, r in zip(places, rows, strict=True)]
    if strong:
        upper, lower = (
            [
                (at, y(100 * r[end]))
                for at, r in zip(places, rows, strict=True)
                if known(r["low"]) is not None and known(r["high"]) is not None
            ]
            for end in ("high", "low")
        )
        if len(rows) > 1:
            panel.band(upper, lower, style.colour)
        for ends in zip(upper, lower, strict=True):
            panel.line(ends, style.colour, width=1.3)
    panel.line(points, style.colour, width=2.4 if strong else 1.2, dash=_dash(style),
               opacity=1.0 if strong else 0.7)  # fmt: skip
    for row, at in zip(rows, points, strict=True):
        tip = policy_words(row["policy"]) + (
            f", {count(row['labels'])}: {percent(row['score'])} ({span(row['low'], row['high'])})"
        )
        panel.put(*at, style, tip, 5.2 if strong else 4.2)


def _cost_panel(view: ReportView, rows: Sequence[Row], title: Words) -> Panel:
    x = axis_of([1.0, 1.5, *(r["multiple"] for r in rows)], LEFT, RIGHT - 40)
    x = replace(x, start=LEFT + 12)
    tall = [v for r in rows for v in (r["gain_low"], r["gain_high"], r["gain"]) if v is not None]
    y = axis_of([0.0, *tall], BOTTOM, TOP)
    panel = framed(x, y, word("axis-cost"), word("axis-gain"), title=title, signed=(False, True))
    panel.line([(LEFT, y(0)), (RIGHT, y(0))], LINE, dash="4 3")
    places = _beside([x(row["multiple"]) for row in rows])
    for row, place in zip(rows, places, strict=True):
        style = view.styles[row["policy"]]
        at = (place, y(known(row["gain"]) or 0.0))
        ends = [(at[0], y(v)) for v in (row["gain_low"], row["gain_high"]) if known(v) is not None]
        _whisker(panel, style, at, ends)
        told = f": {times(row['multiple'])}, {CELLS['gain-or-0'](row)}"
        panel.put(*at, style, policy_words(row["policy"]) + told)
        if row["policy"] in view.shown and row["policy"] != BASELINE:
            _name(panel, at, policy_words(row["policy"]), x)
    return panel


def _beside(places: Sequence[float]) -> list[float]:
    """Return places that are moved to the right where they would lie over another one."""
    moved = list(places)
    order = sorted(range(len(places)), key=lambda at: places[at])
    for before, at in itertools.pairwise(order):
        moved[at] = max(places[at], moved[before] + _SIDE_BY_SIDE)
    return moved


def _thinned(values: Sequence[float], names: Sequence[str], x: AxisScale) -> list[str]:
    """Return names without those that would lie over the one before."""
    kept: list[str] = []
    last = -1e9
    for value, name in zip(values, names, strict=True):
        near = x(value) - last < _LEAST_GAP
        kept.append("" if near else name)
        last = last if near else x(value)
    return kept


def _whisker(panel: Panel, style: Style, at: Point, ends: Sequence[Point]) -> None:
    if ends:
        panel.line([ends[0], at, *ends[1:]], style.colour, width=1.4)


def _name(panel: Panel, at: Point, name: Words, x: AxisScale) -> None:
    right = at[0] < (x.start + x.end) / 2
    panel.say(at[0] + (9 if right else -9), at[1] - 7, name, "start" if right else "end", "name")


def _pair(row: Row, mode: str) -> tuple[float, float | None, float | None]:
    return float(row[mode]), known(row[f"{mode}_low"]), known(row[f"{mode}_high"])


def _dash(style: Style) -> str:
    return "6 4" if style.hollow else ""


def _sure(style: Style, judgeable: bool) -> Style:
    return style if judgeable else Style(style.colour, style.shape, True)


def _hundred(share: Any) -> float | None:
    found = known(share)
    return None if found is None else 100 * found


def _of(counts: Mapping[str, Any], side: str) -> str:
    return count(counts.get(side, 0))
