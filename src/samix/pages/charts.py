"""One panel of a chart: scales, axes and marks as plain shapes that the template writes as SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from samix.pages.words import NOTHING, Text, Words, both, number

WIDTH = 420.0
"""Of a panel in units of its SVG: about the px of a narrow screen, so that words stay readable."""
RADIUS = 5.2
LINE = "#5a6570"
GRID = "#e3e7eb"
Anchor = Literal["start", "middle", "end"]
Point = tuple[float, float]


@dataclass(frozen=True)
class Label:
    """A few words at a place."""

    x: float  # of the anchor
    y: float  # of the base line
    text: Words  # the words
    anchor: Anchor = "middle"  # which end of the words is at x
    kind: str = "tick"  # "tick", "axis", "name" or "note": how it is set
    full: Text = ""  # the whole name where the words are cut


@dataclass(frozen=True)
class Stroke:
    """A line through points, as data of an SVG path; with round ends a point of it is a dot."""

    path: str
    colour: str = LINE
    width: float = 1.0
    dash: str = ""
    opacity: float = 1.0
    round: bool = False


@dataclass(frozen=True)
class Mark:
    """A mark of a policy, with what is told where it is pointed at."""

    path: str
    colour: str
    hollow: bool
    tip: Text


@dataclass(frozen=True)
class Area:
    """A filled region."""

    path: str
    colour: str
    opacity: float = 0.16


@dataclass(frozen=True)
class AxisScale:
    """From values to places."""

    low: float  # value at ``start``
    high: float  # value at ``end``; not ``low``
    start: float  # in units of the panel
    end: float  # the same
    log: bool = False  # places follow the logarithm; values must be above 0

    def __call__(self, value: float) -> float:
        """Return the place of a value; a value outside the scale is put to its end."""
        low, high, at = self.low, self.high, min(max(value, self.low), self.high)
        if self.log:
            low, high, at = math.log(low), math.log(high), math.log(at)
        return self.start + (at - low) / (high - low) * (self.end - self.start)

    def holds(self, value: float) -> bool:
        """Say whether a value lies on the scale."""
        return self.low <= value <= self.high


@dataclass
class Panel:
    """A drawing that grows: areas lie lowest, then lines, then marks and words."""

    height: float  # in units of the SVG
    title: Words = NOTHING  # above the drawing; empty where the chart has one panel
    width: float = WIDTH  # in units of the SVG
    areas: list[Area] = field(default_factory=list)
    strokes: list[Stroke] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    labels: list[Label] = field(default_factory=list)

    def say(
        self, x: float, y: float, text: Text, anchor: Anchor = "middle", kind: str = "tick",
        full: Text = "",
    ) -> None:  # fmt: skip
        """Write words."""
        self.labels.append(Label(round(x, 1), round(y, 1), both(text), anchor, kind, full))

    def line(
        self, points: Sequence[Point], colour: str = LINE, *, width: float = 1.0, dash: str = "",
        opacity: float = 1.0,
    ) -> None:  # fmt: skip
        """Draw a line through points."""
        self.strokes.append(Stroke(path_of(points), colour, width, dash, opacity))

    def dots(self, points: Sequence[Point], colour: str, radius: float, opacity: float) -> None:
        """Draw many small dots of one colour."""
        path = "".join(f"M{x:.1f} {y:.1f}h0" for x, y in points)
        self.strokes.append(Stroke(path, colour, 2 * radius, "", opacity, round=True))

    def box(self, left: float, top: float, right: float, bottom: float, colour: str = LINE,
            opacity: float = 0.18) -> None:  # fmt: skip
        """Fill a rectangle."""
        path = f"M{left:.1f} {top:.1f}H{right:.1f}V{bottom:.1f}H{left:.1f}z"
        self.areas.append(Area(path, colour, opacity))

    def band(self, upper: Sequence[Point], lower: Sequence[Point], colour: str) -> None:
        """Fill what lies between two lines."""
        self.areas.append(Area(f"{path_of([*upper, *reversed(lower)])}z", colour))

    def put(self, x: float, y: float, style: Style, tip: Text, radius: float = RADIUS) -> None:
        """Draw the mark of a policy."""
        path = mark_path(style.shape, x, y, radius)
        self.marks.append(Mark(path, style.colour, style.hollow, tip))

    def across(self, x: AxisScale, values: Sequence[float], names: Sequence[Text], top: float,
               bottom: float) -> None:  # fmt: skip
        """Draw the marks of a horizontal axis, with lines of a grid."""
        for value, name in zip(values, names, strict=True):
            at = x(value)
            self.line([(at, top), (at, bottom)], GRID)
            # a long number at the edge would be cut
            wide = at > self.width - 24 and len(both(name).en) > 4
            self.say(self.width - 2 if wide else at, bottom + 16, name, "end" if wide else "middle")
        self.line([(x.start, bottom), (x.end, bottom)], LINE)

    def upward(self, y: AxisScale, values: Sequence[float], names: Sequence[Text], left: float,
               right: float) -> None:  # fmt: skip
        """Draw the marks of a vertical axis, with lines of a grid."""
        for value, name in zip(values, names, strict=True):
            at = y(value)
            self.line([(left, at), (right, at)], GRID)
            self.say(left - 6, at + 4, name, "end")
        self.line([(left, y.start), (left, y.end)], LINE)


LEFT, RIGHT, TOP, HEIGHT = 50.0, 400.0, 30.0, 300.0
"""Where both axes of a panel of :func:`framed` lie, in its units."""
BOTTOM = HEIGHT - 46.0
Values = Sequence[float]


def axis_of(
    values: Values, start: float, end: float, *, most: tuple[float, float] | None = None
) -> AxisScale:
    """Return a scale from and to round values."""
    found = round_values(min(values), max(values))
    low, high = found[0], found[-1]
    if most is not None:
        low, high = max(low, most[0]), min(high, most[1])
    return AxisScale(low, high, start, end)


def framed(
    x: AxisScale, y: AxisScale, across: Text, up: Text, *, title: Words = NOTHING,
    signed: tuple[bool, bool] = (False, False),
    values: tuple[Values | None, Values | None] = (None, None),
    names: Sequence[Text] | None = None,
) -> Panel:  # fmt: skip
    """Return a panel with two axes of numbers and their names."""
    panel = Panel(HEIGHT, title)
    first, second = (
        [v for v in (given or round_values(s.low, s.high)) if s.holds(v)]
        for given, s in zip(values, (x, y), strict=True)
    )
    panel.across(x, first, names or names_of(first, signed=signed[0]), TOP, BOTTOM)
    panel.upward(y, second, names_of(second, signed=signed[1]), LEFT, RIGHT)
    panel.line([(LEFT, BOTTOM), (RIGHT, BOTTOM)], LINE)
    panel.say(LEFT - 40, 16, up, "start", "axis")
    panel.say(RIGHT, HEIGHT - 8, across, "end", "axis")
    return panel


def path_of(points: Sequence[Point]) -> str:
    """Return points as data of an SVG path."""
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)


def round_values(low: float, high: float, most: int = 6) -> list[float]:
    """Return round numbers from at or below the lowest to at or above the highest value."""
    if high - low < 1e-9:
        low, high = low - 1.0, high + 1.0
    rough = (high - low) / max(most - 1, 1)
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(unit * k for k in (1.0, 2.0, 2.5, 5.0, 10.0) if unit * k >= rough - 1e-12)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [step * k for k in range(first, last + 1)]


def names_of(values: Sequence[float], *, signed: bool = False, unit: str = "") -> list[str]:
    """Return the values of an axis as text, with as many digits as they need."""
    digits = next((d for d in range(4) if all(abs(v - round(v, d)) < 1e-9 for v in values)), 4)
    return [f"{number(value, digits, signed=signed)}{unit}" for value in values]


LONG = "-long"
_BLUE, _SKY, _GREEN, _ORANGE, _VERMILLION, _PURPLE = (
    "#0072B2", "#56B4E9", "#009E73", "#E69F00", "#D55E00", "#CC79A7",
)  # fmt: skip
_GREY = "#4d4d4d"
# Okabe and Ito 2008, "Color universal design"; their yellow cannot be seen on white
_KNOWN = {
    "none": (_GREY, "circle"),
    "mixup": (_BLUE, "square"),
    "mixup-clean": (_BLUE, "plus"),
    "cutmix": (_SKY, "triangle"),
    "mixup-cutmix": (_GREEN, "diamond"),
    "samix": (_VERMILLION, "star"),
    "samix-p": (_ORANGE, "down"),
    "samix-fast": (_PURPLE, "cross"),
}
_OTHERS = (
    (_PURPLE, "plus"), (_GREEN, "left"), (_BLUE, "right"), (_ORANGE, "wide"), (_SKY, "tall"),
)  # fmt: skip


@dataclass(frozen=True)
class Style:
    """How a policy is drawn."""

    colour: str  # a colour of HTML
    shape: str  # of its mark, see :func:`mark_path`
    # the mark is an outline, and lines are dashed: a policy that is trained longer
    hollow: bool = False


_CLASSES = (
    _BLUE, _VERMILLION, _GREEN, _PURPLE, _ORANGE, _SKY, "#8c564b", "#7f7f7f", "#bcbd22", "#17becf",
)  # fmt: skip


def class_style(place: int) -> Style:
    """Return a style for a class by its place; beyond ten colours come again."""
    return Style(_CLASSES[place % len(_CLASSES)], "circle")


def styles_of(policies: Sequence[str]) -> dict[str, Style]:
    """Return a style for each policy; the longer training of one looks like it, but hollow."""
    styles: dict[str, Style] = {}
    others: list[str] = []
    for policy in policies:
        name = policy.removesuffix(LONG)
        if name not in _KNOWN and name not in others:
            others.append(name)
        colour, shape = _KNOWN.get(name) or _OTHERS[others.index(name) % len(_OTHERS)]
        styles[policy] = Style(colour, shape, policy != name)
    return styles


def mark_path(shape: str, x: float, y: float, radius: float) -> str:
    """Return the path of a mark around a point, as data of an SVG path."""
    if shape == "circle":
        r = 0.9 * radius
        return (
            f"M{x - r:.1f} {y:.1f}a{r:.1f} {r:.1f} 0 1 0 {2 * r:.1f} 0"
            f"a{r:.1f} {r:.1f} 0 1 0 {-2 * r:.1f} 0z"
        )
    if shape in ("cross", "plus"):
        turn = 45.0 if shape == "cross" else 0.0
        return _polygon(x, y, radius, _CROSS, turn)
    if shape == "star":
        corners = [(1.25 if k % 2 == 0 else 0.55, 36.0 * k) for k in range(10)]
        return _polygon(x, y, radius, corners, 0.0)
    if shape in ("wide", "tall"):
        lean = 65.0 if shape == "wide" else 25.0
        corners = [(1.1, at) for at in (lean, 180 - lean, 180 + lean, 360 - lean)]
        return _polygon(x, y, radius, corners, 0.0)
    if shape not in _SIDES:
        raise ValueError(f"shape: expected one of {', '.join(_SIDES)}, got {shape!r}")
    corner, turn = _SIDES[shape]
    return _polygon(x, y, 1.15 * radius, [(1.0, 360.0 * k / corner) for k in range(corner)], turn)


# corners, and how far the first of them is turned from the top
_SIDES = {
    "triangle": (3, 0.0), "right": (3, 90.0), "down": (3, 180.0), "left": (3, 270.0),
    "square": (4, 45.0), "diamond": (4, 0.0),
}  # fmt: skip


# corners of a plus as distance from the middle and angle, clockwise from the top
_CROSS = [
    (math.hypot(a, b) * 1.05, math.degrees(math.atan2(a, b)))
    for a, b in (
        (-0.32, 1), (0.32, 1), (0.32, 0.32), (1, 0.32), (1, -0.32), (0.32, -0.32), (0.32, -1),
        (-0.32, -1), (-0.32, -0.32), (-1, -0.32), (-1, 0.32), (-0.32, 0.32),
    )
]  # fmt: skip


def _polygon(
    x: float, y: float, radius: float, corners: Sequence[tuple[float, float]], turn: float
) -> str:
    points = [
        (
            x + radius * far * math.sin(math.radians(angle + turn)),
            y - radius * far * math.cos(math.radians(angle + turn)),
        )
        for far, angle in corners
    ]
    return "M" + "L".join(f"{a:.1f} {b:.1f}" for a, b in points) + "z"
