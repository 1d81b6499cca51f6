"""The labelling of a grid with least energy, for masks that are found by optimisation."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

_ANNEALING = 8  # temperatures
_COOLING = 0.5  # from one temperature to the next
_DESCENTS = 5  # sweeps in which no cell may get worse
_FEW = 4  # labels
_SMALL = 64  # cells, up to which a matrix of all pairs is quicker where there are many labels

Pull = Callable[[Tensor], Tensor]
"""What neighbours take off the cost of each label: (B,T,R,C) for their shares (B,T,R,C)."""


def grid_energy(
    labels: Tensor, unary: Tensor, down: Tensor, across: Tensor, places: Tensor | None = None
) -> Tensor:
    """Return the energy of labels on a grid.

    ``sum_i unary_i(t_i) + sum_ij weight_ij |z_i - z_j|^2`` over the cells i and their four
    neighbours j, with the place z of a label: ``t / (T - 1)`` for shares of an image, as in Puzzle
    Mix, arXiv 2009.06962; for labels without order :func:`unordered_places`, so that two different
    neighbours cost 1, as in Co-Mixup, arXiv 2102.03065.

    Args:
        labels: (B,R,C) int64 in [0, T).
        unary: (B,T,R,C) cost of each label in each cell.
        down: (B,R-1,C) weight between each cell and the one below.
        across: (B,R,C-1) weight between each cell and the one to the right.
        places: (T,D) place of each label; None puts them evenly from 0 to 1.

    Returns:
        (B,).
    """
    where = _places(unary, places)[labels]
    own = unary.gather(1, labels.unsqueeze(1)).sum((1, 2, 3))
    vertical = (where[:, 1:] - where[:, :-1]).square().sum(3)
    horizontal = (where[:, :, 1:] - where[:, :, :-1]).square().sum(3)
    return own + (down * vertical).sum((1, 2)) + (across * horizontal).sum((1, 2))


def unordered_places(levels: int, like: Tensor) -> Tensor:
    """Return (T,T) places of labels of which any two are at a distance of 1."""
    return torch.eye(levels, device=like.device, dtype=like.dtype) / 2**0.5


def lowest_energy(
    unary: Tensor, down: Tensor, across: Tensor, places: Tensor | None = None
) -> Tensor:
    """Return labels of low energy; see :func:`grid_energy`.

    From several starts (the mean field at falling temperatures, the best label of each cell alone,
    and each label everywhere, or of many the best one) cells are set to their best label given
    their neighbours, in turn the black and the white ones of a chessboard; of the results the best
    is taken. It is not always the lowest energy there is, but never above that of any start.

    Args:
        unary: (B,T,R,C) cost of each label in each cell.
        down: (B,R-1,C) weight between each cell and the one below.
        across: (B,R,C-1) weight between each cell and the one to the right.
        places: (T,D) place of each label; None puts them evenly from 0 to 1.

    Returns:
        (B,R,C) int64 in [0, T).
    """
    count, levels = unary.shape[0], unary.shape[1]
    where = _places(unary, places)
    starts = [_mean_field(unary, down, across, where), unary.argmin(1)]
    if levels <= _FEW:
        everywhere = torch.arange(levels, device=unary.device).view(-1, 1, 1, 1)
    else:
        everywhere = unary.sum((2, 3)).argmin(1).view(1, -1, 1, 1)
    starts += list(everywhere.expand(-1, count, *unary.shape[2:]))
    labels = torch.cat(starts)
    own, below, beside = (
        part.repeat(len(starts), *(1,) * (part.ndim - 1)) for part in (unary, down, across)
    )
    labels = _descend(labels, own, below, beside, where)
    energy = grid_energy(labels, own, below, beside, where).view(len(starts), count)
    best = energy.argmin(0)
    return labels.view(len(starts), count, *labels.shape[1:])[
        best, torch.arange(count, device=best.device)
    ]


def _mean_field(unary: Tensor, down: Tensor, across: Tensor, places: Tensor) -> Tensor:
    """Return the (B,R,C) most likely labels of the mean field, cooled down from high to low."""
    fixed, weight = _fixed_cost(unary, down, across, places)
    pull, boards = _pull(down, across, places), _chessboard(unary)
    spread = (unary.amax(1) - unary.amin(1)).mean((1, 2)) + weight.abs().mean((1, 2))
    hot = spread.clamp_min(torch.finfo(unary.dtype).tiny).view(-1, 1, 1, 1)
    likely = unary.new_full(unary.shape, 1.0 / unary.shape[1])
    for step in range(_ANNEALING):
        warmth = hot * _COOLING**step
        for black in boards:
            likely = torch.where(black, ((pull(likely) - fixed) / warmth).softmax(1), likely)
    return _best(-likely)


def _descend(labels: Tensor, unary: Tensor, down: Tensor, across: Tensor, places: Tensor) -> Tensor:
    """Return labels (B,R,C) of which none can be bettered alone, or nearly so."""
    fixed, _ = _fixed_cost(unary, down, across, places)
    pull, boards = _pull(down, across, places), _chessboard(unary)
    for _ in range(_DESCENTS):
        for black in boards:
            shown = F.one_hot(labels, len(places)).permute(0, 3, 1, 2).to(fixed.dtype)
            labels = torch.where(black[0], _best(fixed - pull(shown)), labels)
    return labels


def _fixed_cost(
    unary: Tensor, down: Tensor, across: Tensor, places: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the (B,T,R,C) part of a label's cost that no neighbour changes, and the weights."""
    weight = _neighbours(torch.ones_like(unary[:, :1]), down, across)
    far = places.square().sum(1).view(1, -1, 1, 1)
    return unary + far * weight, weight.squeeze(1)


def _pull(down: Tensor, across: Tensor, places: Tensor) -> Pull:
    """Return how neighbours pull: twice the product of a label's place and their mean place."""
    count, rows, columns = len(down), across.shape[1], down.shape[2]
    if len(places) <= _FEW or rows * columns > _SMALL:

        def by_cell(shares: Tensor) -> Tensor:
            mean = torch.einsum("btrc,td->bdrc", shares, places)
            return torch.einsum("td,bdrc->btrc", 2.0 * places, _neighbours(mean, down, across))

        return by_cell
    alike = 2.0 * places @ places.T
    each = torch.eye(rows * columns, device=down.device, dtype=down.dtype)
    each = each.view(1, -1, rows, columns).expand(count, -1, -1, -1)
    links = _neighbours(each, down, across).flatten(2)
    return lambda shares: (alike @ (shares.flatten(2) @ links)).view_as(shares)


def _best(field: Tensor) -> Tensor:
    """Return the (B,R,C) first label of lowest cost; for few labels much faster than argmin."""
    if field.shape[1] > _FEW:
        return field.argmin(1)
    lowest, label = field[:, 0], torch.zeros_like(field[:, 0], dtype=torch.int64)
    for level in range(1, field.shape[1]):
        label = torch.where(field[:, level] < lowest, level, label)
        lowest = torch.minimum(field[:, level], lowest)
    return label


def _neighbours(values: Tensor, down: Tensor, across: Tensor) -> Tensor:
    """Return the (B,D,R,C) weighted sums over the four neighbours of each cell."""
    down, across = down.unsqueeze(1), across.unsqueeze(1)
    total = torch.zeros_like(values)
    total[:, :, :-1] += down * values[:, :, 1:]
    total[:, :, 1:] += down * values[:, :, :-1]
    total[..., :-1] += across * values[..., 1:]
    total[..., 1:] += across * values[..., :-1]
    return total


def _places(unary: Tensor, places: Tensor | None) -> Tensor:
    """Return the (T,D) places of the labels; evenly from 0 to 1 where none are given."""
    if places is not None:
        return places
    levels = unary.shape[1]
    even = torch.arange(levels, device=unary.device, dtype=unary.dtype) / (levels - 1)
    return even.unsqueeze(1)


def _chessboard(unary: Tensor) -> tuple[Tensor, Tensor]:
    rows, columns = (torch.arange(n, device=unary.device) for n in unary.shape[2:])
    black = ((rows[:, None] + columns) % 2 == 0)[None, None]
    return black, ~black
