"""Regions of a grid of patches: several blocks at random, and squares of most or least content."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

_ASPECT = math.log(0.3)  # of the most elongated block, in either direction


def block_cells(drawn: Tensor, count: Tensor, grid: tuple[int, int]) -> Tensor:
    """Return rectangles of cells that together cover a wanted number, or nearly so.

    Each attempt is a rectangle of an area that is uniform from one cell to what is still wanted, of
    an aspect between 0.3 and its inverse, at a uniform place; it is taken where it adds at least
    one cell and no more than are wanted. Source: TokenMix, arXiv 2207.08409, by its public code,
    after BEiT, arXiv 2106.08254.

    Args:
        drawn: (B,T,4) uniform in [0, 1): area, aspect, top and left of T attempts.
        count: (B,) int64, wanted cells, at most R * C.
        grid: Rows R and columns C.

    Returns:
        (B,1,R,C) bool.
    """
    rows, columns = (torch.arange(n, device=drawn.device) for n in grid)
    covered = torch.zeros(len(drawn), *grid, dtype=torch.bool, device=drawn.device)
    for area, aspect, top, left in drawn.permute(1, 2, 0).unbind(0):
        wanted = count - covered.sum((1, 2))
        size = 1.0 + area * (wanted - 1).clamp_min(0)
        ratio = torch.exp(_ASPECT * (1.0 - 2.0 * aspect))
        sides = ((size * ratio).sqrt(), (size / ratio).sqrt())
        inside = torch.ones_like(covered)
        for place, share, side, length in zip(
            (rows[:, None], columns), (top, left), sides, grid, strict=True
        ):
            extent = side.round().long().clamp(1, length)
            first = (share * (length - extent + 1)).long()
            after = place >= first.view(-1, 1, 1)
            inside = inside & after & (place < (first + extent).view(-1, 1, 1))
        added = (inside & ~covered).sum((1, 2))
        fits = (added > 0) & (added <= wanted)
        covered = covered | (inside & fits.view(-1, 1, 1))
    return covered.unsqueeze(1)


def extreme_square(values: Tensor, side: Tensor, *, largest: bool) -> Tensor:
    """Return the top left cell of the square with the largest or smallest sum of values.

    Args:
        values: (B,1,R,C).
        side: (B,) int64, side of the square in cells, from 1 to the shorter side of the grid.
        largest: The largest sum; otherwise the smallest.

    Returns:
        (B,2) int64 row and column, the first in reading order of equal ones.
    """
    columns = values.shape[3]
    found = torch.zeros(len(values), dtype=torch.int64, device=values.device)
    for length in range(1, min(values.shape[2:]) + 1):
        sums = F.avg_pool2d(values, length, 1)
        flat = sums.flatten(1)
        best = flat.argmax(1) if largest else flat.argmin(1)
        row, column = best // sums.shape[3], best % sums.shape[3]
        found = torch.where(side == length, row * columns + column, found)
    return torch.stack([found // columns, found % columns], dim=1)


def shifted_square(
    place: Tensor, source: Tensor, side: Tensor, grid: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """Return which cells lie in a square, and of which cell each of them shows the content.

    Args:
        place: (B,2) int64 top left cell of the square.
        source: (B,2) int64 top left cell of the square that is shown there.
        side: (B,) int64, side of both in cells.
        grid: Rows R and columns C.

    Returns:
        (B,1,R,C) bool, and (B,R,C) int64 numbers of cells in reading order: elsewhere a cell shows
        itself.
    """
    inside, shown = [], []
    for axis, length in enumerate(grid):
        number = torch.arange(length, device=place.device)
        first = place[:, axis, None]
        within = (number >= first) & (number < first + side[:, None])
        inside.append(within)
        shown.append(torch.where(within, number - first + source[:, axis, None], number))
    square = inside[0][:, :, None] & inside[1][:, None, :]
    columns = grid[1]
    own = torch.arange(grid[0] * columns, device=place.device).view(1, *grid)
    moved = shown[0][:, :, None] * columns + shown[1][:, None, :]
    return square.unsqueeze(1), torch.where(square, moved, own)
