"""mixes.png: pairs of photos, their masks, and what the network is shown."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor

from samix.mixing import MixPlan, blend
from samix.shown import shown

from .saving import save

_BLOCKS = 2  # pairs beside each other
_COLUMNS = ("original", "partner", "mask", "mix")
_INCH = 1.55  # side of one picture
_SEEN = 5e-3  # numbers that differ by less look equal


def draw_mixes(
    path: str | Path,
    images: Tensor,
    plan: MixPlan,
    labels: Sequence[str],
    *,
    partner_images: Tensor | None = None,
    title: str = "",
    pairs: int = 8,
) -> None:
    """Draw pairs of photos with their mask and mix, and the numbers of the plan.

    Args:
        path: The PNG file to write; it appears as a whole or not at all.
        images: (B,3,H,W) in [0, 1], as people see them (not normalised).
        plan: The plan of these images.
        labels: Class name of each image; empty where there is none.
        partner_images: (B,3,H,W) in [0, 1], the view that partners are taken from, where that is
            another one; None takes ``images``.
        title: Line above all.
        pairs: How many pairs of the batch to draw, at most.

    Raises:
        ValueError: Images, plan and labels are not of the same number.
    """
    if not len(images) == len(plan) == len(labels):
        raise ValueError(
            f"images, plan, labels: expected the same number of each, got {len(images)}, "
            f"{len(plan)} and {len(labels)}"
        )
    images, plan = images.detach().float().cpu(), plan.detach().to("cpu")
    partners = images if partner_images is None else partner_images.detach().float().cpu()
    mixed = blend(images, plan, partner_images=partners).clamp(0, 1)
    count = min(pairs, len(images))
    rows = math.ceil(count / _BLOCKS)
    figure = Figure(figsize=(_INCH * 4 * _BLOCKS + 0.6, (_INCH + 0.62) * rows + 0.8), dpi=110)
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=11)
    outer = figure.add_gridspec(
        rows, _BLOCKS, left=0.02, right=0.98, bottom=0.015, top=1 - 0.95 / figure.get_figheight(),
        wspace=0.05, hspace=0.42,
    )  # fmt: skip
    for number in range(count):
        inner = outer[number // _BLOCKS, number % _BLOCKS].subgridspec(1, 4, wspace=0.05)
        axes = [figure.add_subplot(inner[0, column]) for column in range(4)]
        partner = int(plan.index[number])
        show(axes[0], images[number], f"original\n{short(labels[number])}")
        show(axes[1], partners[partner], f"partner\n{short(labels[partner])}")
        show_mask(axes[2], plan.mask[number, 0], "mask\n(white: original)")
        show(axes[3], mixed[number], f"mix\n{_numbers(plan, number)}")
    save(figure, path)


def _numbers(plan: MixPlan, number: int) -> str:
    """Return lam and area of one pair; the label's share too where it is neither."""
    lam, area, weight = (float(v[number]) for v in (plan.lam, plan.area, plan.weight))
    text, rest = f"lam {lam:.2f}  area {area:.2f}", float(plan.partner_share[number])
    if abs(weight + rest - 1.0) >= _SEEN:
        return f"{text}\nlabel {weight:.2f} and {rest:.2f}"
    return text if abs(weight - lam) < _SEEN else f"{text}\nlabel {weight:.2f}"


def short(label: str, width: int = 16) -> str:
    """Return a label that fits above a picture, in which nothing is obeyed."""
    label = shown(label)
    return label if len(label) <= width else f"{label[: width - 1]}…"


def show(axes: Axes, image: Tensor, text: str) -> None:
    """Draw a (3,H,W) image in [0, 1] with a text above it."""
    axes.imshow(image.permute(1, 2, 0).numpy(), interpolation="nearest")
    _frame(axes, text)


def show_mask(axes: Axes, mask: Tensor, text: str) -> None:
    """Draw an (H,W) mask in [0, 1] with a text above it; white is the original."""
    axes.imshow(mask.numpy(), cmap="gray", vmin=0.0, vmax=1.0, interpolation="nearest")
    _frame(axes, text)


def _frame(axes: Axes, text: str) -> None:
    # class names are the user's: no mathematics between dollar signs
    axes.set_title(text, fontsize=7.5, linespacing=1.15, pad=3, parse_math=False)
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_color("0.6")
