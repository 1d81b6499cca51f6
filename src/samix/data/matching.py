"""The close look at pairs of photos: are they the same one, seen a little differently."""

from __future__ import annotations

import torch
from torch import Tensor

from samix.data.alignment import refine, shrink
from samix.data.collection import Progress
from samix.data.neighbours import Candidates, best_shift, spectrum
from samix.data.verification import threaded

LEAST_AGREEMENT = 0.8  # correlation of two photos of the same, once one is laid over the other
_WORTH_GOING_ON = 0.7  # the same at a coarser size
_STAGES = ((16, 2.0, 6), (32, 2.5, 6), (64, 3.0, 4))  # side, width of normalise(), iterations
CHUNK = 128  # pairs that are computed at once
_LEAST_OVERLAP = 0.6  # share of the first photo that the second one must cover
_SCALES = (0.6, 1.6)  # of width and height of the second photo against the first
_LARGEST_SHEAR = 0.15


def match(
    grey: Tensor, candidates: Candidates, *, progress: Progress | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Lay the photos of each pair over each other and keep the pairs that agree.

    It is done at 16, 32 and, where the copies are so large, 64 px; a pair that does not agree at
    one size is not looked at again.

    Args:
        grey: (N, S, S) uint8.
        candidates: Pairs to look at.
        progress: Called with (done, total) now and then.

    Returns:
        (M, 2) int64 pairs of the same, the first below the second, in order; (M,) their agreement
        in [0.8, 1]; (M,) whether the second is mirrored.
    """
    best: dict[tuple[int, int], tuple[float, bool]] = {}
    starts = range(0, len(candidates.pair), CHUNK)

    def compare(number: int) -> Tensor:
        part = slice(starts[number], starts[number] + CHUNK)
        parts = (candidates.pair[part], candidates.mirrored[part], candidates.shift[part])
        return agree(grey, *parts)

    values = torch.cat([torch.zeros(0), *threaded(compare, len(starts), progress, chunk=1)])
    good = values >= LEAST_AGREEMENT
    rows = (
        candidates.pair[good].tolist(),
        values[good].tolist(),
        candidates.mirrored[good].tolist(),
    )
    for (first, second), value, mirrored in zip(*rows, strict=True):
        known = best.get((first, second))
        if known is None or value > known[0]:
            best[first, second] = (value, mirrored)
    pairs = sorted(best)
    return (
        torch.tensor(pairs, dtype=torch.int64).view(-1, 2),
        torch.tensor([best[pair][0] for pair in pairs]),
        torch.tensor([best[pair][1] for pair in pairs], dtype=torch.bool),
    )


def agree(grey: Tensor, pair: Tensor, mirrored: Tensor, shift: Tensor | None = None) -> Tensor:
    """Return how well the photos of pairs agree once the second lies over the first.

    Args:
        grey: (N, S, S) uint8.
        pair: (P, 2) positions.
        mirrored: (P,) bool: whether to mirror the second.
        shift: (P, 2) where to begin, across and down, in half sides; None looks for it.

    Returns:
        (P,) correlation at the finest size that was reached; -1 for a pair that was given up.
    """
    first, second = grey[pair[:, 0]], grey[pair[:, 1]]
    second = torch.where(mirrored[:, None, None], second.flip(2), second)
    if shift is None:
        shift = best_shift(spectrum(first), spectrum(second))[1]
    first, second = first.float(), second.float()
    matrix = torch.eye(2, 3).repeat(len(pair), 1, 1)
    matrix[:, :, 2] = shift
    result = torch.full((len(pair),), -1.0)
    left = torch.arange(len(pair))
    for side, width, steps in _STAGES:
        if side > grey.shape[-1] or len(left) == 0:
            break
        least = LEAST_AGREEMENT if side == grey.shape[-1] else _WORTH_GOING_ON
        agreement, matrix, overlap = refine(
            shrink(first[left], side), shrink(second[left], side), matrix, width=width, steps=steps
        )
        good = (agreement >= least) & (overlap >= _LEAST_OVERLAP) & _likely(matrix)
        result[left[~good]] = -1.0
        left, matrix = left[good], matrix[good]
        result[left] = agreement[good]
    return result


def _likely(matrix: Tensor) -> Tensor:
    """Say for (B, 2, 3) maps whether a camera that moved a little could have made them."""
    scale = torch.stack([matrix[:, 0, 0], matrix[:, 1, 1]], 1)
    shear = torch.stack([matrix[:, 0, 1], matrix[:, 1, 0]], 1).abs()
    low, high = _SCALES
    return ((scale > low) & (scale < high)).all(1) & (shear < _LARGEST_SHEAR).all(1)
