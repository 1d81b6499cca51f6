"""The labelling of a grid with least energy, for masks that are found by optimisation."""

from __future__ import annotations

import torch
from torch import Tensor

_ANNEALING = 12  # temperatures
_COOLING = 0.6  # from one temperature to the next
_DESCENTS = 8  # sweeps in which no cell may get worse


def grid_energy(labels: Tensor, unary: Tensor, down: Tensor, across: Tensor) -> Tensor:
    """Return the energy of labels on a grid.

    ``sum_i unary_i(t_i) + sum_ij weight_ij (z_i - z_j)^2`` with ``z = t / (T - 1)``, over the cells
    i and their four neighbours j. Source: Puzzle Mix, arXiv 2009.06962, as its code has it.

    Args:
        labels: (B,R,C) int64 in [0, T).
        unary: (B,T,R,C) cost of each label in each cell.
        down: (B,R-1,C) weight between each cell and the one below.
        across: (B,R,C-1) weight between each cell and the one to the right.

    Returns:
        (B,).
    """
    share = labels.to(unary.dtype) / (unary.shape[1] - 1)
    own = unary.gather(1, labels.unsqueeze(1)).sum((1, 2, 3))
    vertical = (down * (share[:, 1:] - share[:, :-1]).square()).sum((1, 2))
    horizontal = (across * (share[:, :, 1:] - share[:, :, :-1]).square()).sum((1, 2))
    return own + vertical + horizontal


def lowest_energy(unary: Tensor, down: Tensor, across: Tensor) -> Tensor:
    """Return labels of low energy; see :func:`grid_energy`.

    From several starts (the mean field at falling temperatures, the best label of each cell alone,
    and each label everywhere) cells are set to their best label given their neighbours, in turn the
    black and the white ones of a chessboard; of the results the best is taken. It is not always the
    lowest energy there is, but never above that of any start.

    Args:
        unary: (B,T,R,C) cost of each label in each cell.
        down: (B,R-1,C) weight between each cell and the one below.
        across: (B,R,C-1) weight between each cell and the one to the right.

    Returns:
        (B,R,C) int64 in [0, T).
    """
    count, levels = unary.shape[0], unary.shape[1]
    constant = torch.arange(levels, device=unary.device).view(-1, 1, 1, 1)
    starts = [
        _mean_field(unary, down, across),
        unary.argmin(1),
        *constant.expand(levels, count, *unary.shape[2:]),
    ]
    labels = torch.cat(starts)
    repeated = [part.repeat(len(starts), *(1,) * (part.ndim - 1)) for part in (unary, down, across)]
    labels = _descend(labels, *repeated)
    energy = grid_energy(labels, *repeated).view(len(starts), count)
    best = energy.argmin(0)
    return labels.view(len(starts), count, *labels.shape[1:])[
        best, torch.arange(count, device=best.device)
    ]


def _mean_field(unary: Tensor, down: Tensor, across: Tensor) -> Tensor:
    """Return the (B,R,C) most likely labels of the mean field, cooled down from high to low."""
    share = _shares(unary)
    weight = _neighbours(torch.ones_like(unary[:, 0]), down, across)
    spread = (unary.amax(1) - unary.amin(1)).mean((1, 2)) + weight.abs().mean((1, 2))
    hot = spread.clamp_min(torch.finfo(unary.dtype).tiny).view(-1, 1, 1, 1)
    likely = unary.new_full(unary.shape, 1.0 / unary.shape[1])
    for step in range(_ANNEALING):
        for black in _chessboard(unary):
            field = _field(unary, (likely * share).sum(1), weight, down, across, share)
            likely = torch.where(black, (-field / (hot * _COOLING**step)).softmax(1), likely)
    return _best(-likely)


def _descend(labels: Tensor, unary: Tensor, down: Tensor, across: Tensor) -> Tensor:
    """Return labels (B,R,C) of which none can be bettered alone, or nearly so."""
    share = _shares(unary)
    weight = _neighbours(torch.ones_like(unary[:, 0]), down, across)
    boards = _chessboard(unary)
    for _ in range(_DESCENTS):
        for black in boards:
            value = labels.to(unary.dtype) / (unary.shape[1] - 1)
            field = _field(unary, value, weight, down, across, share)
            labels = torch.where(black[0], _best(field), labels)
    return labels


def _field(
    unary: Tensor, mean: Tensor, weight: Tensor, down: Tensor, across: Tensor, share: Tensor
) -> Tensor:
    """Return the (B,T,R,C) cost of each label given the (B,R,C) mean shares of the neighbours."""
    pull = _neighbours(mean, down, across).unsqueeze(1)
    return unary + share * (share * weight.unsqueeze(1) - 2.0 * pull)


def _best(field: Tensor) -> Tensor:
    """Return the (B,R,C) first label of lowest cost; for few labels much faster than argmin."""
    lowest, label = field[:, 0], torch.zeros_like(field[:, 0], dtype=torch.int64)
    for level in range(1, field.shape[1]):
        label = torch.where(field[:, level] < lowest, level, label)
        lowest = torch.minimum(field[:, level], lowest)
    return label


def _neighbours(values: Tensor, down: Tensor, across: Tensor) -> Tensor:
    """Return the (B,R,C) weighted sums over the four neighbours of each cell."""
    total = torch.zeros_like(values)
    total[:, :-1] += down * values[:, 1:]
    total[:, 1:] += down * values[:, :-1]
    total[:, :, :-1] += across * values[:, :, 1:]
    total[:, :, 1:] += across * values[:, :, :-1]
    return total


def _shares(unary: Tensor) -> Tensor:
    """Return the (1,T,1,1) share z that each label stands for."""
    levels = unary.shape[1]
    share = torch.arange(levels, device=unary.device, dtype=unary.dtype) / (levels - 1)
    return share.view(1, -1, 1, 1)


def _chessboard(unary: Tensor) -> tuple[Tensor, Tensor]:
    """Return the (1,1,R,C) black and white cells."""
    rows, columns = (torch.arange(n, device=unary.device) for n in unary.shape[2:])
    black = ((rows[:, None] + columns) % 2 == 0)[None, None]
    return black, ~black
