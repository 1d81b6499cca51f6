"""Photos as people look at them: enlarged where they are small, with the outline of a defect."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.text import Text
from torch import Tensor

from samix.files import whole_file
from samix.shown import shown

from .fonts import give_fonts
from .parts import Thumb, image_png
from .words import Words

ORIGINAL = (1.0, 0.62, 0.0)
"""Colour of the outline of the original's defect: orange."""
PARTNER = (0.1, 0.75, 1.0)
"""Colour of the outline of the partner's defect: light blue."""
_SIDE = 200  # px, about what a picture is enlarged to
_MOST = 256  # px, a larger one is shrunk to
_GAP, _LINE = 1, 3  # px from the defect to the line, and to its far side

Outline = tuple[Tensor, tuple[float, float, float]]
"""A (1,H,W) region in [0, 1] and the colour of its outline."""


def enlarged(image: Tensor, outlines: Sequence[Outline] = ()) -> Tensor:
    """Return a picture in which single pixels can be seen, with outlines around regions.

    The line runs around a region, not over it, where it is at least half as strong as at its
    strongest; an empty one has none.
    """
    longest = max(image.shape[1:])
    factor = max(round(_SIDE / longest), 1)
    large = image.clamp(0, 1).repeat_interleave(factor, 1).repeat_interleave(factor, 2)
    if factor == 1 and longest > _MOST:
        size = [max(round(length * _MOST / longest), 1) for length in image.shape[1:]]
        large = F.interpolate(large[None], size, mode="bilinear", antialias=True)[0]
    for region, colour in outlines:
        if not bool(region.any()):
            continue
        large = torch.where(_line(region, large.shape), torch.tensor(colour)[:, None, None], large)
    return large


def _line(region: Tensor, shape: torch.Size) -> Tensor:
    """Return the (1,H',W') bool pixels of a line around a region."""
    size = [shape[1], shape[2]]
    shown = F.interpolate(region[None].float(), size, mode="bilinear", antialias=True)
    inside = (shown >= shown.max() / 2).float()
    return (_grown(inside, _LINE) > _grown(inside, _GAP))[0]


def _grown(inside: Tensor, reach: int) -> Tensor:
    """Return the (1,1,H',W') pixels at most so far from those inside, first down, then across."""
    length = 2 * reach + 1
    down = F.max_pool2d(inside, (length, 1), stride=1, padding=(reach, 0))
    return F.max_pool2d(down, (1, length), stride=1, padding=(0, reach))


def save(figure: Figure, path: str | Path) -> None:
    """Write a figure as a PNG that appears as a whole or not at all.

    Texts in it are shown as :func:`samix.shown.shown` does, those of ticks by :func:`tick_name`,
    and in fonts that have their letters.
    """
    for text in figure.findobj(Text):
        text.set_text(shown(text.get_text(), lines=True))
        give_fonts(text)
    with whole_file(path) as partial:
        figure.savefig(partial, format="png")


def tick_name(name: str) -> str:
    """Return a user's name for an axis, in which nothing is obeyed or read as mathematics."""
    return shown(name).replace("$", r"\$")


_HOT = "autumn"  # red to yellow: on grey and on most photos
_STRONGEST = 0.7  # how much of the photo the hottest place covers


def heated(photo: Tensor, heat: Tensor, defect: Tensor | None = None) -> Tensor:
    """Return a photo in grey with heat (1,S,S) in [0, 1] over it, and the true defect's outline."""
    grey = photo.mean(0, keepdim=True).expand(3, -1, -1)
    colours = colormaps[_HOT](heat[0].clamp(0, 1).numpy())[..., :3]
    over = torch.from_numpy(np.ascontiguousarray(colours)).permute(2, 0, 1).float()
    return outlined(torch.lerp(grey, over, _STRONGEST * heat), defect)


def outlined(photo: Tensor, defect: Tensor | None = None) -> Tensor:
    """Return a photo, enlarged where it is small, with the outline of the true defect."""
    return enlarged(photo, [] if defect is None else [(defect, PARTNER)])


def thumb(picture: Tensor, label: Words | str, note: Words | str = "") -> Thumb:
    """Return a picture of the page: a (C,S,S) tensor with two lines of text."""
    return Thumb(image_png(enlarged(picture)), label, note)
