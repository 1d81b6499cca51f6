"""A picture of what a Mixer does: masks and mixes of a few pairs for several lam."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor

from .mixes import short, show, show_mask
from .pictures import save

_INCH = 1.25  # side of one picture
_CURVE = 3.0  # height of the curves, in inches
_MOST_PAIRS = 6
_COLOURS = ("#3b6ea8", "#d1731f", "#4f9153", "#8a5aa8", "#b0413e", "#666666")


@dataclass(frozen=True)
class Looks:
    """What a Mixer makes of some pairs.

    Attributes:
        images: (P,3,H,W) originals in [0, 1].
        partner: (P,3,H,W) partners.
        names: What each original and its partner are called; empty where there is no name.
        lam: Values of lam whose masks are shown, L numbers.
        masks: (L,P,1,H,W) in [0, 1], weight of the original.
        swept: (N,) values of lam from 0 to 1.
        area: (N,P) area of the mask at each of them.
    """

    images: Tensor
    partner: Tensor
    names: Sequence[tuple[str, str]]
    lam: Sequence[float]
    masks: Tensor
    swept: Tensor
    area: Tensor


def draw_mixer(path: str | Path, looks: Looks, *, title: str = "") -> None:
    """Draw the pairs, their masks and mixes, and area against lam.

    Args:
        path: The PNG file to write; it appears as a whole or not at all.
        looks: At most six pairs.
        title: Line above all.

    Raises:
        ValueError: No pair, or too many.
    """
    pairs, columns = len(looks.images), 1 + len(looks.lam)
    if not 1 <= pairs <= _MOST_PAIRS:
        raise ValueError(f"looks: expected 1 to {_MOST_PAIRS} pairs, got {pairs}")
    block = 2 * _INCH + 0.9
    height = block * pairs + _CURVE + 1.1
    figure = Figure(figsize=(_INCH * columns + 0.8, height), dpi=110)
    FigureCanvasAgg(figure)
    explained = "above the mask (white: original), below it the mix"
    figure.suptitle(f"{title}\n{explained}", fontsize=11, parse_math=False)
    top, bottom = 1 - 0.95 / height, (_CURVE + 0.25) / height
    outer = figure.add_gridspec(
        pairs, 1, left=0.03, right=0.985, top=top, bottom=bottom, hspace=0.3
    )
    for number in range(pairs):
        grid = outer[number, 0].subgridspec(2, columns, wspace=0.06, hspace=0.27)
        axes = [[figure.add_subplot(grid[row, c]) for c in range(columns)] for row in range(2)]
        _draw_pair(axes, looks, number)
    curve = figure.add_axes((0.1, 0.52 / height, 0.87, (_CURVE - 0.95) / height))
    _draw_area(curve, looks)
    save(figure, path)


def _draw_pair(axes: Sequence[Sequence[Axes]], looks: Looks, number: int) -> None:
    """Draw original above partner, then for each lam the mask above the mix."""
    original, partner = looks.images[number], looks.partner[number]
    names = looks.names[number]
    show(axes[0][0], original, _named(f"original {number + 1}", names[0]))
    show(axes[1][0], partner, _named("partner", names[1]))
    for column, lam in enumerate(looks.lam, start=1):
        mask = looks.masks[column - 1, number]
        show_mask(axes[0][column], mask[0], f"lam {lam:g}, area {float(mask.mean()):.2f}")
        show(axes[1][column], torch.lerp(partner, original, mask).clamp(0, 1), "")


def _draw_area(axes: Axes, looks: Looks) -> None:
    axes.plot([0, 1], [0, 1], color="0.5", linewidth=0.8, linestyle=":", label="area = lam")
    for number in range(len(looks.images)):
        colour, name = _COLOURS[number], f"pair {number + 1}"
        axes.plot(looks.swept.numpy(), looks.area[:, number].numpy(), color=colour, label=name)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.set_xlabel("lam, weight of the original as drawn", fontsize=9)
    axes.set_ylabel("area of the mask", fontsize=9)
    axes.tick_params(labelsize=8.5)
    axes.legend(fontsize=8.5, frameon=False, loc="upper left")
    axes.spines[["top", "right"]].set_visible(False)


def _named(what: str, name: str) -> str:
    return what if not name else f"{what}\n{short(name)}"
