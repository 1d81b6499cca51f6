"""Charts of the report with one row a name: recall, escapes, balance of the classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .poc_panel import LINE, WIDTH, Panel, Scale, names_of, round_values
from .poc_parts import Chart, Grid
from .poc_style import Style
from .poc_text import (
    NOTHING,
    Both,
    Text,
    both,
    clipped,
    count,
    known,
    number,
    percent,
    short,
    span,
    word,
)
from .poc_view import Row, View, question_words

MOST = 16  # rows of a chart; the table behind it has all
_LEFT, _RIGHT, _TOP = 132.0, 400.0, 10.0
_LETTERS = 15  # of a name beside the axis
_BETWEEN, _EACH, _FOOT = 14.0, 11.0, 46.0  # units: between rows, of a mark, below the axis
# parts of a split: their marks, dark to light, so that grey paper tells them apart
_PARTS = {
    "train": Style("#4d4d4d", "circle"),
    "val": Style("#56B4E9", "diamond"),
    "test": Style("#D55E00", "square"),
}


@dataclass(frozen=True)
class Dot:
    """A value with its interval.

    Attributes:
        value: In the unit of the axis.
        style: How it is drawn.
        tip: What is told where it is pointed at.
        low: Lower end, or None.
        high: Upper end, or None.
    """

    value: float
    style: Style
    tip: Text
    low: float | None = None
    high: float | None = None


def dot_panel(
    rows: Sequence[tuple[str, Sequence[Dot]]],
    axis: Both,
    *,
    title: Both = NOTHING,
    unit: str = "",
    from_zero: bool = False,
    most: float | None = None,
) -> Panel:
    """Return a panel with one row a name.

    Args:
        rows: Name and values of each; the values lie below each other.
        axis: What is on the axis.
        title: Of the panel.
        unit: Behind the numbers of the axis.
        from_zero: Begin at 0 and draw a line from there.
        most: Largest value that is possible.
    """
    tall = [_BETWEEN + _EACH * max(len(dots), 1) for _, dots in rows]
    bottom = _TOP + sum(tall)
    panel = Panel(bottom + _FOOT, title)
    ends = [v for _, dots in rows for d in dots for v in (d.value, d.low, d.high) if v is not None]
    found = round_values(min([*ends, *([0.0] if from_zero else [])]), max(ends), 5)
    high = found[-1] if most is None else min(found[-1], most)
    x = Scale(max(found[0], 0.0), high, _LEFT, _RIGHT)
    values = [v for v in found if x.holds(v)]
    panel.across(x, values, names_of(values, unit=unit), _TOP, bottom)
    panel.say(_RIGHT, bottom + 36, axis, "end", "axis")
    top = _TOP
    for (name, dots), height in zip(rows, tall, strict=True):
        panel.line([(8, top), (WIDTH - 8, top)], "#edf0f2")
        cut = clipped(name, _LETTERS)
        panel.say(_LEFT - 8, top + height / 2 + 4, cut, "end", "name", name if cut != name else "")
        for at, dot in enumerate(dots):
            y = top + _BETWEEN / 2 + _EACH * (at + 0.5)
            low = x(dot.low) if dot.low is not None else None
            if from_zero:
                panel.line([(x(0), y), (x(dot.value), y)], dot.style.colour, width=2.2)
            elif low is not None and dot.high is not None:
                panel.line([(low, y), (x(dot.high), y)], dot.style.colour, width=1.5)
            panel.put(x(dot.value), y, dot.style, dot.tip, 4.6)
        top += height
    panel.line([(_LEFT, _TOP), (_LEFT, bottom)], LINE)
    return panel


def recall_chart(view: View) -> Chart | None:
    """Return the recall of each class, the rarest first; None where no class has test parts."""
    rows = view.rows("recalls", mode=view.mode, labels=view.labels)
    parts = {str(r["class"]): int(r["parts"]) for r in rows}
    rarest = sorted((name for name in parts if parts[name]), key=lambda name: parts[name])
    if not rarest:
        return None
    shown = []
    for name in rarest[:MOST]:
        dots = [
            Dot(100 * r["recall"], _sure(view.styles[r["policy"]], bool(r["judgeable"])),
                f"{r['policy']}, {name}: {percent(r['recall'])} ({span(r['low'], r['high'])})",
                _hundred(r["low"]), _hundred(r["high"]))
            for r in rows
            if r["class"] == name and r["policy"] in view.shown and known(r["recall"]) is not None
        ]  # fmt: skip
        shown.append((name, dots))
    cells = [
        [r["class"], r["policy"], count(r["parts"]), percent(r["recall"]),
         span(r["low"], r["high"]), word("yes") if r["judgeable"] else word("no-too-few")]
        for name in sorted(parts, key=lambda name: parts[name]) for r in rows if r["class"] == name
    ]  # fmt: skip
    header = [word("col-class"), word("col-policy"), word("col-test-parts"), word("col-recall"),
              word("col-interval"), word("col-judgeable")]  # fmt: skip
    strong = [at for at, row in enumerate(cells) if row[1] == view.policy]
    more = word("chart-cut", shown=MOST, all=len(rarest)) if len(rarest) > MOST else NOTHING
    return Chart(
        key="recall",
        title=word("recall-title", question=question_words(view.mode, view.labels)),
        reading=word("recall-reading") + (" " if more else "") + more,
        panels=[dot_panel(shown, word("axis-recall"), unit="", most=100.0)],
        legend=view.legend([name for name in view.shown if any(r["policy"] == name for r in rows)]),
        data=_data(header, cells, 2, strong),
    )


def inspection_chart(view: View) -> Chart | None:
    """Return escape and overkill rates of each policy; None where they are not known."""
    rows = view.rows("inspection", mode=view.mode, labels=view.labels)
    if not rows:
        return None
    panels = []
    for kind in ("escape", "overkill"):
        shown = [
            (
                str(r["policy"]),
                [Dot(100 * r[kind], view.styles[r["policy"]],
                     f"{r['policy']}: {percent(r[kind])}", _hundred(r[f"{kind}_low"]),
                     _hundred(r[f"{kind}_high"]))],
            )
            for r in rows if known(r[kind]) is not None
        ]  # fmt: skip
        panels.append(dot_panel(shown, word(f"axis-{kind}"), title=word(kind), most=100.0))
    everything = view.rows("inspection")
    cells = [
        [question_words(r["mode"], r["labels"]), r["policy"], percent(r["escape"]),
         span(r["escape_low"], r["escape_high"]), percent(r["overkill"]),
         span(r["overkill_low"], r["overkill_high"]), short(r["cost"]), short(r["threshold"])]
        for r in everything
    ]  # fmt: skip
    header = [word("col-question"), word("col-policy"), word("escape"), word("col-interval"),
              word("overkill"), word("col-interval"), word("col-expected-cost"),
              word("col-threshold")]  # fmt: skip
    strong = [at for at, row in enumerate(cells) if row[1] == view.policy]
    return Chart(
        key="inspection",
        title=word("inspection-title", question=question_words(view.mode, view.labels)),
        reading=word("inspection-reading"), panels=panels, legend=[],
        data=_data(header, cells, 2, strong),
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
        data=_data(header, cells, 1, ()),
    )  # fmt: skip


def _sure(style: Style, judgeable: bool) -> Style:
    """Return a hollow mark for a class with too few parts."""
    return style if judgeable else Style(style.colour, style.shape, True)


def _hundred(share: Any) -> float | None:
    found = known(share)
    return None if found is None else 100 * found


def _of(counts: Mapping[str, Any], side: str) -> str:
    return count(counts.get(side, 0))


def _data(
    header: Sequence[Text], cells: Sequence[Sequence[Text]], left: int, strong: Sequence[int]
) -> Grid:
    return Grid(word("data-behind"), header, cells, range(left), strong, NOTHING, True)
