"""Laying one photo over another, and how well they then agree. Pure functions of tensors."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

_STEADY = 2.0  # grey values: contrast below it is noise and is not blown up
_DAMPING = 0.02  # of the mean curvature, so that flat photos do not run away
_LARGEST_STEP = 0.1  # of half the side, in one iteration


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
