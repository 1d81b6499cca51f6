"""The compatibility test of a pre-trained Mixer: a few masks that are stored beside its weights.

Weights that load are not yet masks that are the same: another version of a package may compute the
same layers differently. The pairs are made by a formula, so that they need no file and no random
generator.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

TOLERANCE = 0.01
"""Largest difference of a stored number and a computed one; processors differ by far less."""
_LAM = (0.25, 0.5, 0.7)
_SIZE = (24, 36)  # px: neither square nor the size that the encoder looks at
_PLACES = 3  # rows and columns in which a mask is averaged
_DIGITS = 4

Mask = Callable[[Tensor, Tensor, Tensor], Tensor]
"""From images, partner and lam to masks."""


class Probe(NamedTuple):
    """Pairs of images with a lam each.

    Attributes:
        images: (3,3,24,36) in [0, 1].
        partner: The same images in another order.
        lam: (3,) in [0, 1].
    """

    images: Tensor
    partner: Tensor
    lam: Tensor


def probe() -> Probe:
    """Return three pairs: waves of other directions and colours, each with a bright spot."""
    height, width = _SIZE
    rows = (torch.arange(height) + 0.5).view(-1, 1) / height
    columns = (torch.arange(width) + 0.5).view(1, -1) / width
    images = []
    for number in range(len(_LAM)):
        turn = 2 * math.pi * number / len(_LAM)
        wave = 2 * math.pi * (number + 1) * (rows * math.cos(turn) + columns * math.sin(turn))
        away = (rows - 0.3 - 0.2 * number).square() + (columns - 0.7 + 0.2 * number).square()
        spot = torch.exp(-away / 0.02)
        channels = [0.4 + 0.2 * torch.sin(wave + channel + number) for channel in range(3)]
        images.append(torch.stack([channel + 0.4 * spot for channel in channels]))
    batch = torch.stack(images)
    return Probe(batch, batch.roll(1, 0), torch.tensor(_LAM))


@torch.no_grad()
def probe_masks(mask: Mask, device: torch.device | str = "cpu") -> list[list[float]]:
    """Return what the masks of the pairs look like: the mean of each ninth of each mask.

    Args:
        mask: From images, partner and lam to (B,1,H,W) masks.
        device: Where its weights are.
    """
    masks = mask(*(part.to(device) for part in probe()))
    means = F.adaptive_avg_pool2d(masks.float().cpu(), _PLACES).flatten(1)
    return [[round(value, _DIGITS) for value in row] for row in means.tolist()]


def distance(found: Sequence[Sequence[float]], stored: object) -> float:
    """Return the largest difference of two results of :func:`probe_masks`.

    Args:
        found: Computed now.
        stored: From a file.

    Returns:
        At least 0; infinite where ``stored`` is no such result, or a number is not finite.
    """
    try:
        wanted, there = torch.tensor(stored), torch.tensor(found)
    except (TypeError, ValueError, RuntimeError):
        return math.inf
    if wanted.shape != there.shape:
        return math.inf
    largest = float((wanted - there).abs().max())
    return largest if math.isfinite(largest) else math.inf
