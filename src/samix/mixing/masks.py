"""Masks: per-pixel weight of the original image, as plain functions of tensors."""

from __future__ import annotations

import torch
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
    height, width = size
    rows = torch.arange(height, device=box.device).view(1, -1)
    columns = torch.arange(width, device=box.device).view(1, -1)
    top, left, bottom, right = box.unsqueeze(-1).unbind(1)
    outside_rows = ((rows < top) | (rows >= bottom)).float()
    outside_columns = ((columns < left) | (columns >= right)).float()
    if inside is not None:
        outside_columns = torch.maximum(outside_columns, inside.float().unsqueeze(1))
    # one pass over the mask
    return torch.maximum(outside_rows[:, None, :, None], outside_columns[:, None, None, :])


def resized_box_mask(
    box: Tensor, size: tuple[int, int], wanted: tuple[int, int], inside: Tensor | None = None
) -> Tensor:
    """Return :func:`box_mask` at another size, by area averaging, without the mask itself.

    Args:
        box: (B,4) integers top, left, bottom, right in pixels; bottom and right are exclusive.
        size: Height and width that the box is in, in pixels.
        wanted: Height and width of the result.
        inside: (B,) float32, the mask inside of each box; None is 0.

    Returns:
        (B,1,h,w) float32 in [0, 1].
    """
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
    sides = (box[:, 2:] - box[:, :2]).clamp_min(0)
    return 1.0 - sides.prod(1).float() / (size[0] * size[1])


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
    side = (1.0 - lam).clamp_min(0).sqrt()
    firsts, lasts = [], []
    for axis, length in enumerate(size):
        half = (side * length * 0.5).long()
        middle = (centre[:, axis] * length).long()
        firsts.append((middle - half).clamp_min(0))
        lasts.append((middle + half).clamp_max(length))
    return torch.stack([*firsts, *lasts], dim=1)


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
