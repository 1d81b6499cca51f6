"""Panels with one row a name: dots with intervals, bars, and the fields of a matrix."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from .charts import LINE, WIDTH, AxisScale, Panel, Style, names_of, round_values
from .words import NOTHING, Text, Words, both, clipped

MOST = 16
"""Rows of a chart; the table behind it has all."""
MOST_FIELDS = 12
"""Classes of a matrix that can be read."""
_LEFT, _RIGHT, _TOP = 132.0, 400.0, 10.0
_LETTERS = 15  # of a name beside the axis
_BETWEEN, _EACH, _FOOT = 14.0, 11.0, 46.0  # units: between rows, of a mark, below the axis


@dataclass(frozen=True)
class Dot:
    """A value with its interval."""

    value: float  # in the unit of the axis
    style: Style  # how it is drawn
    tip: Text  # what is told where it is pointed at
    low: float | None = None  # lower end, or None
    high: float | None = None  # upper end, or None


def dot_panel(
    rows: Sequence[tuple[Text, Sequence[Dot]]],
    axis: Words,
    *,
    title: Words = NOTHING,
    unit: str = "",
    from_zero: bool = False,
    most: float | None = None,
) -> Panel:
    """Return a panel of dots."""
    tall = [_BETWEEN + _EACH * max(len(dots), 1) for _, dots in rows]
    bottom = _TOP + sum(tall)
    panel = Panel(bottom + _FOOT, title)
    ends = [v for _, dots in rows for d in dots for v in (d.value, d.low, d.high) if v is not None]
    found = round_values(min([*ends, *([0.0] if from_zero else [])]), max(ends), 5)
    high = found[-1] if most is None else min(found[-1], most)
    x = AxisScale(max(found[0], 0.0), high, _LEFT, _RIGHT)
    values = [v for v in found if x.holds(v)]
    panel.across(x, values, names_of(values, unit=unit), _TOP, bottom)
    panel.say(_RIGHT, bottom + 36, axis, "end", "axis")
    top = _TOP
    for (name, dots), height in zip(rows, tall, strict=True):
        panel.line([(8, top), (WIDTH - 8, top)], "#edf0f2")
        name_row(panel, _LEFT - 8, top + height / 2 + 4, name, _LETTERS)
        for at, dot in enumerate(dots):
            y = top + _BETWEEN / 2 + _EACH * (at + 0.5)
            if from_zero:
                panel.line([(x(0), y), (x(dot.value), y)], dot.style.colour, width=2.2)
            elif dot.low is not None and dot.high is not None:
                panel.line([(x(dot.low), y), (x(dot.high), y)], dot.style.colour, width=1.5)
            panel.put(x(dot.value), y, dot.style, dot.tip, 4.6)
        top += height
    panel.line([(_LEFT, _TOP), (_LEFT, bottom)], LINE)
    return panel


def name_row(
    panel: Panel, right: float, base: float, name: Text, letters: int, note: Text = ""
) -> None:
    """Write a name beside its row, cut where it is long, with a smaller line below it."""
    told = both(name)
    cut = Words(clipped(told.en, letters), clipped(told.ja, letters))
    panel.say(right, base, cut, "end", "name", told if cut != told else "")
    if note:
        panel.say(right, base + 15, note, "end", "note")


NAMES, BARS = 178.0, WIDTH - 20.0
"""Where names of bars end and the bars begin, and where the axis of bars ends."""
ROW, HEAD, BELOW = 34.0, 22.0, 42.0
"""Height of a bar with its name, of what is above all, of the axis below; in units of the panel."""
BAR_LETTERS = 22  # of a name


@dataclass(frozen=True)
class Bar:
    """A bar from zero."""

    name: Text  # beside it
    value: float | None  # its length; None has no bar
    end: Text  # written at its end
    colour: str  # a colour of HTML
    note: Text = ""  # a smaller line below the name
    span: tuple[float, float] | None = None  # ends of a whisker, or None
    dots: Sequence[float] = ()  # single values that are marked on it


def bar_panel(
    bars: Sequence[Bar],
    axis: Words,
    *,
    title: Words = NOTHING,
    most: float = 1.0,
    reference: float | None = None,
    unit: str = "",
) -> Panel:
    """Return a panel of bars."""
    bottom = HEAD + ROW * len(bars)
    panel = Panel(bottom + BELOW, title)
    highest = max([most, *(b.value or 0.0 for b in bars), *(b.span[1] for b in bars if b.span)])
    values = round_values(0.0, highest, 5)
    # what is written at the end of the longest bar needs room
    room = 7.2 * max((len(both(b.end).en) for b in bars), default=0)
    x = AxisScale(0.0, values[-1], NAMES, max(BARS - 8 - max(room - 28, 0), NAMES + 60))
    panel.across(x, values, names_of(values, unit=unit), HEAD, bottom)
    panel.say(BARS, bottom + 36, axis, "end", "axis")
    for at, bar in enumerate(bars):
        middle = HEAD + ROW * (at + 0.5)
        name_row(panel, NAMES - 10, middle - 3 if bar.note else middle + 4, bar.name, BAR_LETTERS,
                 bar.note)  # fmt: skip
        if bar.value is None:
            continue
        panel.line([(x(0), middle), (x(bar.value), middle)], bar.colour, width=13.0, opacity=0.85)
        if bar.span:
            panel.line([(x(end), middle) for end in bar.span], LINE, width=1.6)
        panel.dots([(x(value), middle) for value in bar.dots], LINE, 2.2, 1.0)
        far = max([bar.value, *(bar.span or ()), *bar.dots])
        panel.say(x(far) + 4, middle + 4, bar.end, "start")
    if reference is not None:
        panel.line([(x(reference), HEAD), (x(reference), bottom)], LINE, dash="4 3")
    return panel


_FIELDS, _ABOVE, _UNDER = 92.0, 34.0, 26.0
_DARK = 0.287  # luminance below which white letters are read better than those of the axes


def matrix_panel(
    rows: Sequence[Text],
    columns: Sequence[Text],
    strength: Sequence[Sequence[float | None]],
    told: Sequence[Sequence[Text]],
    *,
    across: Words,
    title: Words = NOTHING,
    colour: str = "#0072B2",
    notes: Sequence[Text] = (),
) -> Panel:
    """Return a matrix in which the strength of a field is that of its colour."""
    side = (WIDTH - 8 - _FIELDS) / len(columns)
    tall = min(side, 44.0)
    panel = Panel(_ABOVE + tall * len(rows) + _UNDER, title)
    fit = max(int(side / 7.5), 2)  # letters of a field
    for other, name in enumerate(columns):
        _fitted(panel, _FIELDS + side * (other + 0.5), _ABOVE - 8, name, fit)
    for one, name in enumerate(rows):
        middle = _ABOVE + tall * (one + 0.5) + 4
        note = notes[one] if notes else ""
        name_row(panel, _FIELDS - 8, middle - (7 if note else 0), name, 12, note)
        for other, share in enumerate(strength[one]):
            left, top = _FIELDS + side * other, _ABOVE + tall * one
            opacity = 0.05 + 0.95 * min(share or 0.0, 1.0)
            panel.box(left, top, left + side - 1.5, top + tall - 1.5, colour, opacity)
            kind = "inside" if _luminance(colour, opacity) < _DARK else "tick"
            if told[one][other]:
                _fitted(panel, left + side / 2, middle, told[one][other], fit, kind)
    panel.say(WIDTH - 8, panel.height - 6, across, "end", "axis")
    return panel


def _luminance(colour: str, opacity: float) -> float:
    """Return the relative luminance of a colour that lies on white (WCAG 2)."""
    parts = (1 - opacity * (1 - int(colour[at : at + 2], 16) / 255) for at in (1, 3, 5))
    red, green, blue = (math.pow((part + 0.055) / 1.055, 2.4) for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _fitted(panel: Panel, x: float, y: float, name: Text, letters: int, kind: str = "tick") -> None:
    """Write a name that fits, and tell the whole one where it is pointed at."""
    told = both(name)
    cut = Words(clipped(told.en, letters), clipped(told.ja, letters))
    panel.say(x, y, cut, kind=kind, full=told if cut != told else "")
