"""Which pairs of photos are worth a close look: nearest neighbours of two small descriptors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from samix.data.alignment import normalise, shrink, unit
from samix.data.collection import Progress
from samix.data.verification import threaded

NEIGHBOURS = 8  # of each photo, for each descriptor, as it is and mirrored
_BLOCK = 512  # rows of the table of similarities that a thread has in memory at once
_CHUNK = 4096  # photos or pairs that are computed at once
_COARSE = 16  # px, side at which shifts are found
_LEAST_PEAK = 0.5  # correlation at the best shift, without any other adjustment
_FREQUENCIES = 8  # of the spectrum, in each direction

_Job = tuple[Tensor, Tensor, int]  # queries, keys, first row of a block


@dataclass(frozen=True)
class Candidates:
    """Pairs of photos that may show the same.

    Attributes:
        pair: (P, 2) int64 positions, the first below the second.
        mirrored: (P,) bool: whether the second is to be mirrored left to right.
        shift: (P, 2) float: how far the second lies from the first, across and down, in half sides.
    """

    pair: Tensor
    mirrored: Tensor
    shift: Tensor


def find_candidates(grey: Tensor, *, progress: Progress | None = None) -> Candidates:
    """Return the pairs that are similar in a descriptor and correlate at some shift.

    Two descriptors, each blind to light: a coarse picture, which small rotations and strong changes
    of exposure hardly alter, and the strength of each frequency, which shifts do not alter. All
    photos are compared by matrix products, block by block.

    Args:
        grey: (N, S, S) uint8.
        progress: Called with (done, total) now and then.
    """
    keys, shapes = _describe_all(grey), _shapes(grey)
    blocks = range(0, len(grey), _BLOCK)
    found: list[Candidates] = []
    for mirrored in (False, True):
        turned = grey.flip(2) if mirrored else grey
        queries = _describe_all(turned) if mirrored else keys
        theirs = _shapes(turned) if mirrored else shapes
        jobs = [(q, k, start) for q, k in zip(queries, keys, strict=True) for start in blocks]
        told = _half(progress, 1 if mirrored else 0)
        near = partial(_nearest_of, jobs)
        pairs = list(threaded(near, len(jobs), told, chunk=1))
        found.append(_correlated(_unique(torch.cat(pairs)), shapes, theirs, mirrored))
    return Candidates(
        torch.cat([part.pair for part in found]),
        torch.cat([part.mirrored for part in found]),
        torch.cat([part.shift for part in found]),
    )


def _describe(grey: Tensor) -> tuple[Tensor, Tensor]:
    """Return the (N, 144) coarse pictures and the (N, 153) strengths of the frequencies."""
    images = grey.float()
    coarse = unit(normalise(shrink(images, 12), 1.5))
    window = torch.hann_window(24, periodic=False)
    fine = normalise(shrink(images, 24), 3.0) * window[:, None] * window
    strength = torch.fft.rfft2(fine).abs()
    low = torch.cat([strength[:, : _FREQUENCIES + 1], strength[:, -_FREQUENCIES:]], 1)
    return coarse, unit(low[:, :, : _FREQUENCIES + 1].sqrt())


def spectrum(grey: Tensor) -> Tensor:
    """Return the (N, 16, 9) complex spectrum of each photo, scaled for a correlation."""
    rows = unit(normalise(shrink(grey.float(), _COARSE), 1.5))
    result: Tensor = torch.fft.rfft2(rows.view(-1, _COARSE, _COARSE))
    return result


def _nearest_of(jobs: Sequence[_Job], number: int) -> Tensor:
    return _nearest(*jobs[number])


def _nearest(queries: Tensor, keys: Tensor, start: int) -> Tensor:
    """Return (B * k, 2) pairs of each query of a block with its nearest keys, never with itself."""
    rows = torch.arange(len(queries[start : start + _BLOCK]))
    similarity = queries[start : start + _BLOCK] @ keys.T
    similarity[rows, start + rows] = -2.0
    nearest = similarity.topk(min(NEIGHBOURS, len(keys) - 1), dim=1).indices
    firsts = (start + rows)[:, None].expand_as(nearest)
    return torch.stack([firsts, nearest], 2).flatten(0, 1)


def _unique(pairs: Tensor) -> Tensor:
    unique: Tensor = torch.unique(pairs.sort(dim=1).values, dim=0)
    return unique


def best_shift(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Return how well photos correlate at their best shift, and that shift.

    The shift is cyclic, so that all shifts together cost one small FFT.

    Args:
        first: (B, 16, 9) complex, from :func:`spectrum`.
        second: (B, 16, 9), the same.

    Returns:
        (B,) correlation in [-1, 1], and (B, 2) how far the second lies from the first, across and
        down, in half sides.
    """
    surface: Tensor = torch.fft.irfft2(first * second.conj(), s=(_COARSE, _COARSE)).flatten(1)
    peak, place = surface.max(1)
    cells = torch.stack([place % _COARSE, place // _COARSE], 1)
    cells = (cells + _COARSE // 2) % _COARSE - _COARSE // 2
    return peak, cells * (-2.0 / _COARSE)


def _correlated(pairs: Tensor, ours: Tensor, theirs: Tensor, mirrored: bool) -> Candidates:
    """Keep the pairs that correlate at some shift."""
    pairs_kept, shifts = [pairs[:0]], [torch.zeros(0, 2)]
    for part in torch.split(pairs, _CHUNK):
        peak, shift = best_shift(ours[part[:, 0]], theirs[part[:, 1]])
        good = peak >= _LEAST_PEAK
        pairs_kept.append(part[good])
        shifts.append(shift[good])
    pair = torch.cat(pairs_kept)
    return Candidates(pair, torch.full((len(pair),), mirrored), torch.cat(shifts))


def _shapes(grey: Tensor) -> Tensor:
    return torch.cat([spectrum(part) for part in torch.split(grey, _CHUNK)])


def _describe_all(grey: Tensor) -> tuple[Tensor, Tensor]:
    parts = [_describe(part) for part in torch.split(grey, _CHUNK)]
    return torch.cat([part[0] for part in parts]), torch.cat([part[1] for part in parts])


def _half(progress: Progress | None, which: int) -> Progress | None:
    """Return what to call for the first (0) or the second (1) half of the work."""
    if progress is None:
        return None
    return lambda done, total: progress(which * total + done, 2 * total)
