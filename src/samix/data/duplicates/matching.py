"""Which pairs of photos show the same, seen a little differently. Functions of grey copies.

`find_candidates` finds the nearest neighbours of two small descriptors, `match` takes a close look:
it lays one photo over the other (`refine`) and says how well they agree.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from samix.data.reading import threaded
from samix.progress import Progress

LEAST_AGREEMENT = 0.8  # correlation of two photos of the same, once one is laid over the other
CHUNK = 128  # pairs that are computed at once
NEIGHBOURS = 8  # of each photo, for each descriptor, as it is and mirrored
_WORTH_GOING_ON = 0.7  # the same at a coarser size
_STAGES = ((16, 2.0, 6), (32, 2.5, 6), (64, 3.0, 4))  # side, width of normalise(), iterations
_LEAST_OVERLAP = 0.6  # share of the first photo that the second one must cover
_SCALES = (0.6, 1.6)  # of width and height of the second photo against the first
_LARGEST_SHEAR = 0.15
_BLOCK = 512  # rows of the table of similarities that a thread has in memory at once
_CHUNK = 4096  # photos or pairs that are computed at once
_COARSE = 16  # px, side at which shifts are found
_LEAST_PEAK = 0.5  # correlation at the best shift, without any other adjustment
_FREQUENCIES = 8  # of the spectrum, in each direction
_STEADY = 2.0  # grey values: contrast below it is noise and is not blown up
_DAMPING = 0.02  # of the mean curvature, so that flat photos do not run away
_LARGEST_STEP = 0.1  # of half the side, in one iteration
_Job = tuple[Tensor, Tensor, int]  # queries, keys, first row of a block


@dataclass(frozen=True)
class CandidatePairs:
    """Pairs of photos that may show the same."""

    pair: Tensor  # (P, 2) int64 positions, the first below the second
    mirrored: Tensor  # (P,) bool: whether the second is to be mirrored left to right
    # (P, 2) float: how far the second lies from the first, across and down, in half sides
    shift: Tensor


def find_candidates(grey: Tensor, *, progress: Progress | None = None) -> CandidatePairs:
    """Return the pairs that are similar in a descriptor and correlate at some shift.

    Two descriptors, each blind to light: a coarse picture, which small rotations and strong changes
    of exposure hardly alter, and the strength of each frequency, which shifts do not alter. All
    photos, (N, S, S) uint8, are compared by matrix products, block by block.
    """
    keys, shapes = _describe_all(grey), _shapes(grey)
    blocks = range(0, len(grey), _BLOCK)
    found: list[CandidatePairs] = []
    for mirrored in (False, True):
        turned = grey.flip(2) if mirrored else grey
        queries = _describe_all(turned) if mirrored else keys
        theirs = _shapes(turned) if mirrored else shapes
        jobs = [(q, k, start) for q, k in zip(queries, keys, strict=True) for start in blocks]
        told = _half(progress, 1 if mirrored else 0)
        near = partial(_nearest_of, jobs)
        pairs = list(threaded(near, len(jobs), told, chunk=1))
        unique = torch.unique(torch.cat(pairs).sort(dim=1).values, dim=0)
        found.append(_correlated(unique, shapes, theirs, mirrored))
    return CandidatePairs(
        torch.cat([part.pair for part in found]),
        torch.cat([part.mirrored for part in found]),
        torch.cat([part.shift for part in found]),
    )


def match(
    grey: Tensor, candidates: CandidatePairs, *, progress: Progress | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Lay the photos of each pair over each other and keep the pairs that agree.

    It is done at 16, 32 and, where the copies are so large, 64 px; a pair that does not agree at
    one size is not looked at again.

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


def _correlated(pairs: Tensor, ours: Tensor, theirs: Tensor, mirrored: bool) -> CandidatePairs:
    pairs_kept, shifts = [pairs[:0]], [torch.zeros(0, 2)]
    for part in torch.split(pairs, _CHUNK):
        peak, shift = best_shift(ours[part[:, 0]], theirs[part[:, 1]])
        good = peak >= _LEAST_PEAK
        pairs_kept.append(part[good])
        shifts.append(shift[good])
    pair = torch.cat(pairs_kept)
    return CandidatePairs(pair, torch.full((len(pair),), mirrored), torch.cat(shifts))


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


def normalise(images: Tensor, width: float) -> Tensor:
    """Take light and contrast away: (x - mean) / deviation, both of a Gaussian neighbourhood.

    Args:
        images: (N, S, S) float, grey values in [0, 255].
        width: Standard deviation of the neighbourhood in px.

    Returns:
        (N, S, S); the same for every gain and offset of the light, up to noise.
    """
    detail = images - _blur(images, width)
    deviation = _blur(detail * detail, width).clamp(min=0).sqrt()
    return detail / (deviation + _STEADY)


def shrink(images: Tensor, side: int) -> Tensor:
    """Return (N, S, S) images at (N, side, side) by averaging areas."""
    if images.shape[-1] == side:
        return images
    return F.adaptive_avg_pool2d(images[:, None], side)[:, 0]


def unit(values: Tensor) -> Tensor:
    """Return (N, ...) as (N, D) rows of mean 0 and length 1; rows without contrast are 0."""
    rows = values.flatten(1)
    rows = rows - rows.mean(1, keepdim=True)
    length: Tensor = rows.norm(dim=1, keepdim=True)
    return rows / length.clamp(min=1e-3)


def refine(
    first: Tensor, second: Tensor, matrix: Tensor, *, width: float, steps: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Improve how second photos are laid over first ones, and say how well they agree.

    Gauss-Newton on the correlation coefficient over an affine map, as in Evangelidis and Psarakis
    2008, "Parametric image alignment using enhanced correlation coefficient maximization", on
    photos without light and contrast. Deviation: slopes are those of the first photo, which do not
    change, so that a step costs one warp.

    Args:
        first: (B, S, S) float grey values in [0, 255].
        second: (B, S, S), the same.
        matrix: (B, 2, 3) where in the second photo each place of the first one is read, as for
            ``torch.nn.functional.affine_grid``.
        width: See :func:`normalise`.
        steps: Iterations, >= 0.

    Returns:
        (B,) correlation in [-1, 1] where the two overlap, (B, 2, 3) the map that reached it, and
        (B,) share of the first photo that is overlapped.
    """
    target, moved = normalise(first, width), normalise(second, width)
    slopes = _slopes(target)
    best = torch.full((len(first),), -2.0)
    kept, overlap = matrix.clone(), torch.zeros(len(first))
    for step in range(steps + 1):
        warped, inside = _warp(moved, matrix)
        wanted, length = _standard(target, inside)
        found, _ = _standard(warped, inside)
        agreement = (wanted * found).sum((1, 2))
        better = agreement > best
        best = torch.where(better, agreement, best)
        kept = torch.where(better[:, None, None], matrix, kept)
        overlap = torch.where(better, inside.mean((1, 2)), overlap)
        if step == 0:
            rows, curvature = _curvature(slopes / length[:, None, None], wanted)
        if step < steps:
            residual = (wanted - agreement[:, None, None] * found).flatten(1)
            change = torch.linalg.solve(curvature, (rows @ residual[:, :, None])[:, :, 0])
            matrix = matrix + change.clamp(-_LARGEST_STEP, _LARGEST_STEP).view(-1, 2, 3)
    return best, kept, overlap


def _slopes(images: Tensor) -> Tensor:
    """Return (B, 6, S * S): how each pixel changes with each number of the map."""
    side = images.shape[-1]
    across, down = torch.zeros_like(images), torch.zeros_like(images)
    across[:, :, 1:-1] = (images[:, :, 2:] - images[:, :, :-2]) * (side / 4)
    down[:, 1:-1] = (images[:, 2:] - images[:, :-2]) * (side / 4)
    centres = (torch.arange(side) + 0.5) / side * 2 - 1
    x, y = centres[None, :], centres[:, None]
    rows = [across * x, across * y, across, down * x, down * y, down]
    return torch.stack(rows, 1).flatten(2)


def _curvature(slopes: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """Return the (B, 6, S * S) slopes of the correlation, and their (B, 6, 6) products, damped."""
    along = wanted.flatten(1)[:, None]
    rows = slopes - slopes.mean(2, keepdim=True)
    rows = rows - (rows @ along.transpose(1, 2)) * along
    products = rows @ rows.transpose(1, 2)
    mean = products.diagonal(dim1=1, dim2=2).mean(1, keepdim=True)
    return rows, products + torch.diag_embed((_DAMPING * mean + 1e-8).expand(-1, 6))


def _standard(values: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Return (B, S, S) values with mean 0 and length 1 inside the mask, and their (B,) length."""
    count = mask.sum((1, 2), keepdim=True).clamp(min=1)
    centred = (values - (values * mask).sum((1, 2), keepdim=True) / count) * mask
    length = centred.flatten(1).norm(dim=1).clamp(min=1e-3)
    return centred / length[:, None, None], length


def _warp(images: Tensor, matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Read (B, S, S) images through maps; also say which places lie inside (1) or not (0)."""
    side = images.shape[-1]
    centres = (torch.arange(side) + 0.5) / side * 2 - 1
    along, across = matrix[:, :, :1, None] * centres, matrix[:, :, 1:2, None] * centres[:, None]
    grid = along + across + matrix[:, :, 2:, None]  # (B, 2, S, S); affine_grid is slower
    inside = (grid.abs().amax(1) <= 1 - 1 / side).to(images.dtype)
    read = F.grid_sample(images[:, None], grid.permute(0, 2, 3, 1), align_corners=False)
    return read[:, 0], inside


def _blur(images: Tensor, width: float) -> Tensor:
    """Average (N, S, S) with a Gaussian; outside the photo there is nothing that counts."""
    places = torch.arange(images.shape[-1], dtype=images.dtype)
    weights = torch.exp(-((places[:, None] - places) ** 2) / (2 * width**2))
    weights = weights / weights.sum(1, keepdim=True)
    return weights @ images @ weights.T
