"""Resizing of maps by area averaging."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor


def area_average(values: Tensor, size: Sequence[int]) -> Tensor:
    """Return maps at another size in which each place is the mean of what it covers.

    Args:
        values: (B,C,H,W).
        size: Height and width of the result.

    Returns:
        (B,C,h,w) float32; the values themselves where they have that size and type.
    """
    if values.stride()[2:] == (0, 0):  # the same everywhere
        return values[:, :, :1, :1].float().expand(-1, -1, *size)
    values = values.float()
    height, width = values.shape[2:]
    if (height, width) == tuple(size):
        return values
    if height % size[0] or width % size[1]:
        return F.interpolate(values, tuple(size), mode="area")
    # sums of slices, on a CPU a fifth of pooling's time
    rows, columns = height // size[0], width // size[1]
    bands = values.reshape(*values.shape[:2], size[0], rows, width)
    summed = sum((bands[:, :, :, row] for row in range(1, rows)), bands[:, :, :, 0])
    total = sum(
        (summed[..., column::columns] for column in range(1, columns)), summed[..., ::columns]
    )
    return total / (rows * columns)


def within_side(values: Tensor, side: int) -> Tensor:
    """Return maps (B,C,H,W) shrunk by area averaging until no side is longer than ``side``."""
    shrink = min(side / max(values.shape[2:]), 1.0)
    return area_average(values, [max(round(length * shrink), 1) for length in values.shape[2:]])
