"""Photos as people look at them: enlarged where they are small, with the outline of a defect."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

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

    Args:
        image: (C,H,W) in [0, 1].
        outlines: Regions of the size of the image. The line runs around a region, not over it,
            where it is at least half as strong as at its strongest; an empty one has none.

    Returns:
        (C,H',W') in [0, 1]; (3,H',W') where there are outlines.
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
