"""preview.png: pairs of photos in rows, with mask and mix of each policy beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor

from samix.pages.mixes import MixRow, percent, short
from samix.pages.pictures import save

from .preview import PolicyMixes

_SIDE = 1.25  # of one picture, in inches; all lengths here are
_GAP = 0.1  # between pictures of one policy
_WIDE_GAP = 0.3  # before those of the next one
_LINES = 0.56  # above each picture, for two or three lines of text
_HEAD = 0.66  # above all
_EDGE = 0.15
_COLOURS = {"ok": "0.6", "changed": "#a4650b", "bad": "#b3282d"}


@dataclass(frozen=True)
class _Sheet:
    """Places pictures of a fixed size on a figure.

    Attributes:
        figure: The figure.
        each: Pictures of each policy in a row.
    """

    figure: Figure
    each: int

    def at(self, place: int, column: int, row: int) -> Axes:
        """Return axes for a picture of a policy; place 0 has original and partner."""
        width, height = (float(length) for length in self.figure.get_size_inches())
        left = _left(place, self.each) + column * (_SIDE + _GAP)
        bottom = height - _HEAD - (row + 1) * (_SIDE + _LINES)
        return self.figure.add_axes((left / width, bottom / height, _SIDE / width, _SIDE / height))

    def say(self, left: float, down: float, text: str, size: float, weight: str = "normal") -> None:
        """Write a line at a distance from the left and the upper edge."""
        width, height = (float(length) for length in self.figure.get_size_inches())
        self.figure.text(
            left / width, 1 - down / height, text, fontsize=size, weight=weight, va="top",
            parse_math=False,
        )  # fmt: skip


def draw_preview(path: str | Path, policies: Sequence[PolicyMixes], *, title: str = "") -> None:
    """Draw original and partner of each pair, then mask and mix of each policy.

    Where a guard looked at the mixes, what it put in the place of a mix stands beside it.

    Args:
        path: The PNG file to write; it appears as a whole or not at all.
        policies: With the same pairs in their rows.
        title: Line above all.

    Raises:
        ValueError: No policy, or not the same number of rows, at least one.
    """
    counts = {len(policy.rows) for policy in policies}
    if len(counts) != 1 or counts == {0}:
        raise ValueError(f"policies: expected one or more rows, equally many, got {counts}")
    each = 3 if any(policy.guarded for policy in policies) else 2
    width = _left(len(policies) + 1, each) - _WIDE_GAP + _EDGE
    figure = Figure(figsize=(width, _HEAD + counts.pop() * (_SIDE + _LINES) + _EDGE), dpi=110)
    FigureCanvasAgg(figure)
    sheet = _Sheet(figure, each)
    sheet.say(_EDGE, 0.12, title, 11)
    for number, row in enumerate(policies[0].rows):
        _photos(sheet.at(0, 0, number), sheet.at(0, 1, number), row, number)
    for place, policy in enumerate(policies, start=1):
        sheet.say(_left(place, each), 0.5, short(policy.name, 30), 10, "bold")
        for number, row in enumerate(policy.rows):
            same = row.partner == policies[0].rows[number].partner
            _mix(sheet.at(place, 0, number), sheet.at(place, 1, number), row, same)
            if row.after is not None:
                done = row.verdict.badge.rpartition(": ")[2]
                _after(sheet.at(place, 2, number), row.after, done)
    save(figure, path)


def _left(place: int, each: int) -> float:
    """Return where the pictures of a policy begin; place 0 has original and partner."""
    pictures, groups = (2 + (place - 1) * each, place) if place else (0, 0)
    return _EDGE + pictures * (_SIDE + _GAP) + groups * (_WIDE_GAP - _GAP)


def _photos(left: Axes, right: Axes, row: MixRow, number: int) -> None:
    """Draw original and partner."""
    _show(left, row.pictures[0], f"{number + 1}. original\n{short(row.classes[0])}")
    _show(right, row.pictures[1], f"partner\n{short(row.classes[1])}")


def _mix(left: Axes, right: Axes, row: MixRow, same_partner: bool) -> None:
    """Draw mask and mix with lam, area, label and badge."""
    numbers = f"lam {row.lam:.2f}\narea {row.area:.2f}"
    _show(left, row.pictures[2], numbers if same_partner else f"another partner\n{numbers}")
    label = _label(row)
    badge, state = row.verdict.badge.partition(":")[0], row.verdict.state
    colour = _COLOURS[state] if badge else _COLOURS["ok"]
    _show(right, row.pictures[3], f"{short(badge, 22)}\n{label}" if badge else label, colour)
    if badge and state != "ok":
        right.title.set_color(colour)


def _after(axes: Axes, row: MixRow, done: str) -> None:
    """Draw what a guard put in the place of a mix, and what it did."""
    _show(axes, row.pictures[3], f"{short(row.verdict.badge or done, 22)}\n{_label(row)}")


def _label(row: MixRow) -> str:
    return "\n".join(f"{percent(share)} {short(name, 12)}" for name, share in row.label[:2])


def _show(axes: Axes, picture: Tensor, text: str, colour: str = "0.6") -> None:
    """Draw a picture in [0, 1] with a text above it and a frame."""
    values = picture.permute(1, 2, 0).numpy()
    axes.imshow(values, cmap="gray", vmin=0.0, vmax=1.0, interpolation="antialiased")
    # class names are the user's: no mathematics between dollar signs
    axes.set_title(text, fontsize=7.5, linespacing=1.15, pad=3, parse_math=False)
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_color(colour)
        spine.set_linewidth(0.8 if colour == _COLOURS["ok"] else 2.5)
