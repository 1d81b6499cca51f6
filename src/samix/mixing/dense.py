"""Applying a plan to dense targets: a class for each pixel."""

from __future__ import annotations

import torch
from torch import Tensor

from .blend import blend
from .plan import MixPlan


def mix_dense(
    target: Tensor, plan: MixPlan, num_classes: int | None = None, *, ignore: int | None = None
) -> Tensor:
    """Mix segmentation maps as :func:`blend` mixes the images that they belong to.

    ``mask * target + (1 - mask) * target[index]`` in each pixel, with classes as rows: a box shows
    the partner's classes, mixup gives each pixel both. A partner that the plan moves is read where
    its pixels are read. What the plan says about one label for the whole image (``weight``) is not
    used.

    Args:
        target: (B,H,W) integers in [0, num_classes), of the size of the images; or (B,K,H,W) rows.
        plan: The plan that the images were mixed with.
        num_classes: K; needed for integers.
        ignore: Class number of pixels that teach nothing, often 255; their share of a mixed pixel
            is left out of its row.

    Returns:
        (B,K,H,W) float32: in each pixel a row that sums to 1, or to less where pixels to be ignored
        were mixed in, hence to 0 where there are only such. ``-(rows * log_softmax).sum(1)`` is its
        cross-entropy.

    Raises:
        TypeError: Integers were expected in (B,H,W).
        ValueError: Shapes do not fit, a class is out of range, or ``num_classes`` is missing or
            contradicts the target.
    """
    if target.ndim not in (3, 4) or len(target) != len(plan):
        raise ValueError(
            f"target: expected maps ({len(plan)},H,W) of classes or ({len(plan)},K,H,W) of rows, "
            f"got {tuple(target.shape)}"
        )
    size = tuple(plan.mask.shape[2:])
    if tuple(target.shape[-2:]) != size:
        raise ValueError(
            f"target: expected {size} pixels as in the plan's mask, got "
            f"{tuple(target.shape[-2:])}; bring the plan to this size with "
            "samix.mixing.at_size(plan, size), or the maps to that of the images"
        )
    rows = _dense_rows(target, num_classes, ignore)
    return blend(rows, plan)


def _dense_rows(target: Tensor, num_classes: int | None, ignore: int | None) -> Tensor:
    """Return maps in either form as (B,K,H,W) float32."""
    if target.ndim == 4:
        if num_classes is not None and target.shape[1] != num_classes:
            raise ValueError(
                f"num_classes: expected {target.shape[1]} as the target has channels, got "
                f"{num_classes}"
            )
        return target.float()
    if target.is_floating_point() or target.dtype == torch.bool:
        raise TypeError(f"target: expected integers in (B,H,W), got {target.dtype}")
    if num_classes is None:
        raise ValueError("num_classes: expected a number for integer targets, got None")
    outside = (target < 0) | (target >= num_classes)
    if ignore is not None:
        outside = outside & (target != ignore)
    if target.device.type == "cpu" and bool(outside.any()):
        raise ValueError(
            f"target: expected classes in [0, {num_classes}), got {target[outside][0].item()}; "
            "name the class of pixels to leave out with ignore="
        )
    classes = torch.arange(num_classes, device=target.device).view(1, -1, 1, 1)
    rows = target.unsqueeze(1) == classes
    if ignore is not None:
        rows = rows & (target != ignore).unsqueeze(1)
    return rows.float()
