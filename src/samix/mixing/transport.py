"""Moving salient cells of an image to where it is shown."""

from __future__ import annotations

import torch
from torch import Tensor


def transport_cells(saliency: Tensor, shown: Tensor, cost: float) -> Tensor:
    """Return which cell each cell shows, so that much of what is salient is shown.

    Cell i wants the place j of lowest ``cost * d_ij - saliency_i * shown_j``, with d the squared
    distance in units of the longer side. Where several want one place, the one to which it is worth
    most has it, and the others choose again; after as many rounds as the grid has cells along a
    side, those without a place are put into what is left, in reading order. Source: Puzzle Mix,
    arXiv 2009.06962, its algorithm for the transport. Deviations: no place stays empty, and where
    the whole is worth less than leaving all cells in place, they stay.

    Args:
        saliency: (B,R,C) share of the content in each cell, with sum 1.
        shown: (B,R,C) bool, whether the mix shows the image in this cell.
        cost: What a move costs, above 0.

    Returns:
        (B,R,C) int64, number of the cell that each cell shows, in reading order; a permutation.
    """
    count, rows, columns = saliency.shape
    worth = saliency.flatten(1).unsqueeze(2) * shown.flatten(1).unsqueeze(1).to(saliency.dtype)
    distance = _distances(rows, columns, saliency)
    price = cost * distance - worth
    cells = torch.arange(rows * columns, device=saliency.device).expand(count, -1)
    for turn in range(max(rows, columns)):
        best, place = price.min(2)
        won = _winners(best, place, cells)
        if turn < max(rows, columns) - 1:
            lost = best.masked_fill(~won, torch.inf)
            price.scatter_(2, place.unsqueeze(2), lost.unsqueeze(2))
    # those that have a place come first in both orders, then the others, in reading order
    taken = torch.zeros_like(place).scatter_reduce(1, place, won.long(), "amax")
    source = torch.empty_like(cells).scatter_(
        1, _free_last(place, won, taken), _holders_first(cells, won)
    )
    worse = _price(source, worth, cost, distance) > _price(cells, worth, cost, distance)
    return torch.where(worse.unsqueeze(1), cells, source).view(count, rows, columns)


def _price(source: Tensor, worth: Tensor, cost: float, distance: Tensor) -> Tensor:
    """Return the (B,) price of showing (B,N) cells, without what is not shown anyway."""
    place = torch.arange(source.shape[1], device=source.device)
    far = distance[0][source, place].sum(1)
    return cost * far - worth.gather(1, source.unsqueeze(1)).squeeze(1).sum(1)


def _distances(rows: int, columns: int, like: Tensor) -> Tensor:
    """Return the (1,N,N) squared distances of cells, in units of the longer side."""
    row, column = (torch.arange(n, device=like.device, dtype=like.dtype) for n in (rows, columns))
    y, x = (part.flatten() for part in torch.meshgrid(row, column, indexing="ij"))
    apart = (y[:, None] - y).square() + (x[:, None] - x).square()
    return apart[None] / max(max(rows, columns) - 1, 1) ** 2


def _winners(best: Tensor, place: Tensor, cells: Tensor) -> Tensor:
    """Return (B,N) bool, which cells have the lowest price at the place that they want."""
    lowest = torch.full_like(best, torch.inf).scatter_reduce(1, place, best, "amin")
    lowest_here = best == lowest.gather(1, place)
    # of equal ones the first
    first = torch.full_like(cells, cells.shape[1]).scatter_reduce(
        1, place, cells.masked_fill(~lowest_here, cells.shape[1]), "amin"
    )
    return cells == first.gather(1, place)


def _holders_first(cells: Tensor, won: Tensor) -> Tensor:
    """Return the (B,N) cells, those that won a place first, each part in reading order."""
    return cells.gather(1, won.int().argsort(dim=1, descending=True, stable=True))


def _free_last(place: Tensor, won: Tensor, taken: Tensor) -> Tensor:
    """Return the (B,N) places for :func:`_holders_first`: those won, then the free ones."""
    holders = won.int().argsort(dim=1, descending=True, stable=True)
    held = place.gather(1, holders)
    free = taken.argsort(dim=1, stable=True)
    # the n-th cell without a place takes the n-th free place
    number = torch.arange(place.shape[1], device=place.device) - won.sum(1, keepdim=True)
    return torch.where(number < 0, held, free.gather(1, number.clamp_min(0)))
