"""Masks of other shapes than a box: blobs, soft spots and cells, as plain functions of tensors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


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
    down = torch.arange(-reach, reach + 1, device=noise.device)
    across = torch.arange(columns, device=noise.device)
    frequency = torch.hypot(down[:, None] / height, across / width)
    amplitude = frequency.clamp_min(1.0 / max(size)).pow(-decay)
    spectrum = noise.new_zeros((len(noise), height, width // 2 + 1), dtype=torch.complex64)
    kept = torch.view_as_complex(noise * amplitude[:, :, None])
    spectrum[:, down % height, :columns] = kept
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
    """Return the (B,N) mask of the highest values of tensors on the CPU."""
    values, mask = flat.numpy(), np.zeros(tuple(flat.shape), dtype=np.float32)
    for row, wanted in enumerate(count):
        if wanted > 0:
            first = flat.shape[1] - wanted
            mask[row, np.argpartition(values[row], first)[first:]] = 1.0
    return torch.from_numpy(mask)


def _sort(flat: Tensor, count: Sequence[int]) -> Tensor:
    """Return the (B,N) mask of the highest values on any device."""
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
        place = torch.arange(length, device=centre.device) + 0.5
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
