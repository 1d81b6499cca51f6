"""Masks: per-pixel weight of the original image, as plain functions of tensors.

Constant, boxes, blobs, soft spots, cells of a grid, and blocks and squares of patches.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

_LOGIT_BOUND = 30.0  # beyond this a sigmoid in float32 is 0 or 1


def constant_mask(lam: Tensor, size: tuple[int, int]) -> Tensor:
    """Return the mask of mixup: every pixel has the weight lam.

    Args:
        lam: (B,) float32 in [0, 1].
        size: Height and width in pixels.

    Returns:
        (B,1,H,W) float32; a view that takes the memory of lam alone.
    """
    return lam.view(-1, 1, 1, 1).expand(-1, 1, *size)


def box_mask(box: Tensor, size: tuple[int, int], inside: Tensor | None = None) -> Tensor:
    """Return the mask of CutMix: 0 inside the box, where the partner is seen, 1 outside.

    Args:
        box: (B,4) integers top, left, bottom, right in pixels; bottom and right are exclusive.
        size: Height and width in pixels.
        inside: (B,) float32 in [0, 1], the mask inside of each box; None is 0.

    Returns:
        (B,1,H,W) float32.
    """
    rows, columns = outside_box(box, size, torch.float32)
    if inside is not None:
        columns = torch.maximum(columns, inside.float().view(-1, 1, 1, 1))
    return torch.maximum(rows, columns)  # one pass over the mask


def outside_box(box: Tensor, size: tuple[int, int], dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Return 1 for rows (B,1,H,1) and columns (B,1,1,W) outside of each box (B,4), else 0."""
    height, width = size
    place = torch.arange(max(size), device=box.device)  # along either side: half the calls
    first, last = box.view(-1, 2, 2, 1).unbind(1)
    rows, columns = ((place < first) | (place >= last)).to(dtype).unbind(1)
    if height != width:
        rows, columns = rows[:, :height], columns[:, :width]
    return rows.view(-1, 1, height, 1), columns.view(-1, 1, 1, width)


def resized_box_mask(
    box: Tensor, size: tuple[int, int], wanted: tuple[int, int], inside: Tensor | None = None
) -> Tensor:
    """Return :func:`box_mask` at a wanted size, by area averaging, without the mask itself."""
    covered = []
    for axis, (length, places) in enumerate(zip(size, wanted, strict=True)):
        place = torch.arange(places, device=box.device)
        first, last = (box[:, side, None] * (places / length) for side in (axis, axis + 2))
        covered.append((torch.minimum(last, place + 1) - torch.maximum(first, place)).clamp_min(0))
    rows, columns = covered
    if inside is not None:
        columns = columns * (1.0 - inside.unsqueeze(1))
    return (1.0 - rows[:, None, :, None] * columns[:, None, None, :]).float()


def box_area(box: Tensor, size: tuple[int, int]) -> Tensor:
    """Return the area of :func:`box_mask` without the mask: the share outside of each box.

    Args:
        box: (B,4) integers top, left, bottom, right in pixels.
        size: Height and width in pixels.

    Returns:
        (B,) float32 in [0, 1].
    """
    first, last = box.chunk(2, dim=1)
    covered = (last - first).clamp_min(0).prod(1, dtype=torch.float32)
    return 1.0 - covered / (size[0] * size[1])


def cut_box(lam: Tensor, centre: Tensor, size: tuple[int, int]) -> Tensor:
    """Return the box of CutMix: sides ``sqrt(1 - lam)`` of the image, clipped at its border.

    Source: CutMix, arXiv 1905.04899, equation 2.

    Args:
        lam: (B,) wanted share of the original, in [0, 1].
        centre: (B,2) row and column of the centre as shares of the image, in [0, 1).
        size: Height and width in pixels.

    Returns:
        (B,4) int64 top, left, bottom, right.
    """
    side = (1.0 - lam).sqrt().unsqueeze(1)
    if size[0] == size[1]:  # both axes at once
        return _cut(side, centre, size[0])
    down, across = (_cut(side, centre[:, i : i + 1], size[i]) for i in (0, 1))
    return torch.stack([down, across], dim=2).flatten(1)


def _cut(side: Tensor, centre: Tensor, length: int) -> Tensor:
    """Return where boxes begin and end along axes of one length, (B,2n) for centres (B,n)."""
    half = (side * (length / 2)).long()
    middle = (centre * length).long()
    return torch.cat([middle - half, middle + half], dim=1).clamp(0, length)


def area_of(mask: Tensor) -> Tensor:
    """Return the area of each mask: (B,1,H,W) to (B,), the mean over the pixels."""
    if mask.stride()[2:] == (0, 0):  # the same everywhere
        return mask[:, :, 0, 0].float().mean(1)
    return mask.float().mean(dim=(1, 2, 3))


def match_area(mask: Tensor, area: Tensor, *, steps: int = 40) -> Tensor:
    """Shift each mask in logit space until its area is the wanted one.

    ``mask' = sigmoid(logit(mask) + c)`` with one number c per sample, found by bisection. The order
    of the pixels stays; a pixel at exactly 0 or 1 counts as very nearly so.

    Args:
        mask: (B,1,H,W) in [0, 1].
        area: (B,) wanted area in [0, 1].
        steps: Bisection steps; 40 give float32 accuracy.

    Returns:
        (B,1,H,W) float32, a new tensor.
    """
    logit = torch.logit(mask.float(), eps=1e-6)
    low = torch.full_like(area, -2 * _LOGIT_BOUND)
    high = -low
    for _ in range(steps):
        middle = (low + high) / 2
        too_small = area_of(torch.sigmoid(logit + middle.view(-1, 1, 1, 1))) < area
        low = torch.where(too_small, middle, low)
        high = torch.where(too_small, high, middle)
    return torch.sigmoid(logit + ((low + high) / 2).view(-1, 1, 1, 1))


def low_frequency_field(noise: Tensor, size: tuple[int, int], *, decay: float) -> Tensor:
    """Return the grey image whose spectrum is noise that decays with frequency.

    ``real(ifft(noise / max(f, 1 / longer side)^decay))`` with frequency f in cycles a pixel.
    Source: FMix, arXiv 2002.12047.

    Args:
        noise: (B,2R+1,C+1,2) normal draws, real and imaginary parts, for the frequencies -R to R
            along the height and 0 to C along the width, in cycles an image; higher ones are zero.
            R is at most (H - 1) // 2 and C at most (W - 1) // 2.
        size: Height H and width W in pixels.
        decay: Exponent; larger ones give fewer and larger blobs.

    Returns:
        (B,1,H,W) float32 of any range.
    """
    height, width = size
    reach, columns = noise.shape[1] // 2, noise.shape[2]
    down = torch.arange(-reach, reach + 1, device=noise.device, dtype=torch.float32)
    across = torch.arange(columns, device=noise.device, dtype=torch.float32)
    frequency = torch.hypot(down[:, None] / height, across / width)
    amplitude = frequency.clamp_min(1.0 / max(size)).pow(-decay)
    spectrum = noise.new_zeros((len(noise), height, width // 2 + 1), dtype=torch.complex64)
    kept = torch.view_as_complex(noise * amplitude[:, :, None])
    spectrum[:, down.long() % height, :columns] = kept
    field: Tensor = torch.fft.irfft2(spectrum, s=size)
    return field.unsqueeze(1)


def keep_highest(field: Tensor, count: Sequence[int]) -> Tensor:
    """Return 1 at the highest values of each field, as many as wanted, and 0 elsewhere.

    Of equal values those are kept that complete the count, so that it is exact.

    Args:
        field: (B,1,H,W).
        count: B numbers of pixels from 0 to H * W; known on the CPU, so that no device is waited
            for.

    Returns:
        (B,1,H,W) float32, 0 or 1.
    """
    flat = field.detach().flatten(1).float()
    # on the CPU a sort takes ten times as long as finding the highest ones alone
    select = _select if flat.device.type == "cpu" else _sort
    return select(flat, count).view(field.shape)


def _select(flat: Tensor, count: Sequence[int]) -> Tensor:
    values, mask = flat.numpy(), np.zeros(tuple(flat.shape), dtype=np.float32)
    for row, wanted in enumerate(count):
        if wanted > 0:
            first = flat.shape[1] - wanted
            mask[row, np.argpartition(values[row], first)[first:]] = 1.0
    return torch.from_numpy(mask)


def _sort(flat: Tensor, count: Sequence[int]) -> Tensor:
    order = flat.argsort(dim=1, descending=True)
    wanted = torch.tensor(count).to(flat.device, non_blocking=True).view(-1, 1)
    kept = torch.arange(flat.shape[1], device=flat.device) < wanted
    return torch.zeros_like(flat).scatter(1, order, kept.float())


def spot_mask(centre: Tensor, sigma: Tensor, size: tuple[int, int]) -> Tensor:
    """Return 1 minus a Gaussian spot: 0 at the centre, where the partner is seen, 1 far from it.

    ``1 - exp(-distance^2 / (2 sigma^2))``. Source: SmoothMix, CVPR workshops 2020.

    Args:
        centre: (B,2) row and column of the centre as shares of the image, in [0, 1).
        sigma: (B,) in pixels, above 0.
        size: Height and width in pixels.

    Returns:
        (B,1,H,W) float32 in [0, 1].
    """
    axes = []
    for axis, length in enumerate(size):
        place = torch.arange(length, device=centre.device, dtype=torch.float32) + 0.5
        distance = (place - centre[:, axis, None] * length) / sigma[:, None]
        axes.append(torch.exp(-0.5 * distance.square()))
    rows, columns = axes
    return torch.addcmul(
        rows.new_ones(()), rows[:, None, :, None], columns[:, None, None, :], value=-1.0
    )


def cell_mask(cells: Tensor, size: tuple[int, int]) -> Tensor:
    """Return the mask in which each cell of a grid has the value given for it.

    Args:
        cells: (B,1,R,C) of [0, 1], values of R rows of C cells. Cells are of one size where the
            grid divides the image, and differ by a pixel where it does not.
        size: Height and width in pixels.

    Returns:
        (B,1,H,W) float32.
    """
    grid, values = cells.shape[2:], cells.float()
    high, wide = (length // number for length, number in zip(size, grid, strict=True))
    if (high * grid[0], wide * grid[1]) == size:  # one copy, which is faster
        blocks = values[:, :, :, None, :, None].expand(-1, -1, -1, high, -1, wide)
        return blocks.reshape(len(cells), 1, *size)
    rows, columns = (
        torch.arange(length, device=cells.device) * number // length
        for length, number in zip(size, grid, strict=True)
    )
    return values[:, :, rows][:, :, :, columns]


def cell_pixels(grid: tuple[int, int], size: tuple[int, int], device: torch.device) -> Tensor:
    """Return how many pixels each cell of a grid has, (R,C) float32; see :func:`cell_mask`."""
    rows, columns = (
        (-(-torch.arange(number + 1, device=device) * length // number)).diff().float()
        for length, number in zip(size, grid, strict=True)
    )
    return rows.unsqueeze(1) * columns


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
