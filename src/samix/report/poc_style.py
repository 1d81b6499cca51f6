"""How each policy is drawn: colours that the colour-blind can tell, and a mark of its own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

LONG = "-long"
_BLUE, _SKY, _GREEN, _ORANGE, _VERMILLION, _PURPLE = (
    "#0072B2", "#56B4E9", "#009E73", "#E69F00", "#D55E00", "#CC79A7",
)  # fmt: skip
_GREY = "#4d4d4d"
# Okabe and Ito 2008, "Color universal design"; their yellow cannot be seen on white
_KNOWN = {
    "none": (_GREY, "circle"),
    "mixup": (_BLUE, "square"),
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
    """How a policy is drawn.

    Attributes:
        colour: A colour of HTML.
        shape: Of its mark, see :func:`mark_path`.
        hollow: The mark is an outline, and lines are dashed: a policy that is trained longer.
    """

    colour: str
    shape: str
    hollow: bool = False


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
    """Return the path of a mark around a point, as data of an SVG path.

    Raises:
        ValueError: An unknown shape.
    """
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
