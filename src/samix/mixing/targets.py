"""Other labels of a mix: what counts is the area, the content that is shown, or the attention."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .blend import blend
from .plan import MixPlan
from .saliency import area_average, at_size, visible_shares

Relabel = Callable[[MixPlan], MixPlan]
"""Puts another label on a plan."""
_TINY = 1e-6
_WHOLE = 1.01  # a share of 1, as low precision rounds it


def mix_targets(
    target: Tensor, plan: MixPlan, num_classes: int | None = None, *, label_smoothing: float = 0.0
) -> Tensor:
    """Mix the targets of a batch: ``weight * target + partner_share * target[index]``.

    The share of the partner is 1 - weight, unless the plan says otherwise.

    Args:
        target: (B,) or (B,1) integers in [0, num_classes); or (B,K) soft targets with rows that
            sum to 1; or (B,K) multi-label targets of 0 and 1. Lists and numpy arrays are taken.
        plan: The plan that the images were mixed with.
        num_classes: K; needed for integer targets.
        label_smoothing: Share in [0, 1) that is spread evenly over all classes; for integer and
            soft targets.

    Returns:
        (B,K) float32 on the device of the target.

    Raises:
        TypeError: The target's dtype fits neither form.
        ValueError: The target does not fit the plan, or ``num_classes`` is missing or
            contradicts the target.
    """
    check_smoothing(label_smoothing)
    return mix_rows(
        as_rows(as_target(target, num_classes), num_classes), plan, label_smoothing=label_smoothing
    )


def mix_rows(soft: Tensor, plan: MixPlan, *, label_smoothing: float = 0.0) -> Tensor:
    """Mix targets as :func:`mix_targets` does that are rows (B,K) float32 already, and right."""
    if soft.shape[:1] != plan.weight.shape:
        raise ValueError(f"target: expected {len(plan)} samples first, got {tuple(soft.shape)}")
    if label_smoothing:
        soft = soft * (1.0 - label_smoothing) + label_smoothing / soft.shape[1]
    others = plan.source.targets(soft, plan.index, plan.size, label_smoothing)
    weight = plan.weight.unsqueeze(1)
    if plan.partner_weight is None:
        return torch.lerp(others, soft, weight.to(soft.dtype))
    return weight * soft + plan.partner_weight.unsqueeze(1) * others


def as_target(target: Any, num_classes: int | None = None) -> Tensor:
    """Return a target in any usual form as a tensor: class numbers (B,), or rows (B,K).

    Lists, numpy arrays and numpy numbers are taken. Whole numbers of shape (B,1) are class numbers,
    as MedMNIST gives them, not rows of one class.

    Args:
        target: The target of a batch.
        num_classes: Number of classes K where it is known; class numbers must lie below it.

    Raises:
        TypeError: The target holds something else than numbers.
        ValueError: The shape is another one, a class is out of range, whole numbers in rows are
            neither 0 nor 1, or others are below 0, above 1 or no numbers.
    """
    found = target if isinstance(target, Tensor) else _from_numbers(target)
    whole = not found.is_floating_point() and found.dtype != torch.bool
    if whole and found.ndim == 2 and found.shape[1] == 1:
        found = found[:, 0]
    if whole and found.ndim == 1:
        found = found.long()
        if num_classes is not None:
            check_classes(found, num_classes)
    elif whole and found.ndim == 2 and found.device.type == "cpu":
        outside = (found < 0) | (found > 1)
        if not torch.compiler.is_compiling() and outside.any():
            raise ValueError(
                f"target: expected 0 and 1 in rows (B,K) of whole numbers, got "
                f"{found[outside][0].item()}; give class numbers as (B,)"
            )
    elif found.is_floating_point() and found.ndim == 2 and found.device.type == "cpu":
        wrong = ~((found >= 0) & (found <= _WHOLE))  # NaN, too
        if not torch.compiler.is_compiling() and wrong.any():
            raise ValueError(
                f"target: expected shares from 0 to 1 in rows (B,K), got "
                f"{found[wrong][0].item()}; divide percentages or votes by their sum, and leave "
                "out photos whose labels are not known"
            )
    return found


def _from_numbers(target: Any) -> Tensor:
    if isinstance(target, list | tuple) and any(isinstance(t, Tensor) and t.ndim for t in target):
        raise TypeError(
            f"target: expected one tensor, got {len(target)} in a {type(target).__name__}, such as "
            "default_collate makes of rows that are lists; give each row as a tensor, or stack them"
        )
    values = np.asarray(target)
    if values.dtype.kind not in "iufb":
        raise TypeError(
            f"target: expected numbers, got {type(target).__name__} of {values.dtype.name}; number "
            "the classes from 0"
        )
    return torch.from_numpy(values.astype(np.int64) if values.dtype.kind in "iu" else values)


def as_rows(target: Tensor, num_classes: int | None) -> Tensor:
    """Return a target of :func:`as_target` as rows (B,K) float32."""
    if target.ndim == 2:
        if num_classes is not None and target.shape[1] != num_classes:
            raise ValueError(
                f"num_classes: expected {target.shape[1]} as the target has columns, "
                f"got {num_classes}"
            )
        return target.float()
    if target.ndim != 1:
        raise ValueError(f"target: expected (B,) or (B,K), got {tuple(target.shape)}")
    if target.is_floating_point() or target.dtype == torch.bool:
        raise TypeError(
            f"target: expected integers in (B,), got {target.dtype}; give soft or multi-label "
            "targets as (B,K)"
        )
    if num_classes is None:
        raise ValueError(
            "num_classes: expected a number for integer targets, got None; pass num_classes=K"
        )
    return class_rows(target, num_classes)


def class_rows(target: Tensor, num_classes: int) -> Tensor:
    """Return class numbers (B,), which must lie in [0, num_classes), as rows (B,K) float32."""
    rows = target.new_zeros((len(target), num_classes), dtype=torch.float32)
    return rows.scatter_(1, target.unsqueeze(1), 1.0)


def check_smoothing(label_smoothing: float) -> None:
    """Raise a ValueError unless a share of a label can be spread over all classes."""
    if not 0.0 <= label_smoothing < 1.0:
        raise ValueError(f"label_smoothing: expected a number in [0, 1), got {label_smoothing}")


def check_classes(target: Tensor, num_classes: int) -> None:
    """Raise a ValueError unless there are two classes or more and all are in [0, num_classes).

    On a GPU it is raised later, and by torch, since nothing waits for the device.

    Args:
        target: (B,) integers.
        num_classes: Number of classes K.
    """
    if num_classes < 2:
        raise ValueError(
            f"num_classes: expected at least 2, got {num_classes}: one class teaches nothing; two "
            "classes have two outputs, or give targets (B,1) of floats in [0, 1] and a binary loss"
        )
    if not len(target):
        return
    if target.device.type == "cpu" and not torch.compiler.is_compiling():
        numbers = target.numpy()
        if not 0 <= numbers.min() <= numbers.max() < num_classes:
            outside = target[(target < 0) | (target >= num_classes)]
            raise ValueError(
                f"target: expected classes in [0, {num_classes}), got {outside[0].item()}; number "
                "the classes from 0, leave out what has no label (-1), or give the network as many "
                "outputs as there are"
            )
    elif target.device.type in ("cpu", "cuda"):
        # the same check without waiting for the device
        least, most = torch.aminmax(target)
        inside = (least >= 0) & (most < num_classes)
        torch._assert_async(inside, f"target: expected classes in [0, {num_classes})")


def by_content(plan: MixPlan, saliency: Tensor, partner_saliency: Tensor | None = None) -> MixPlan:
    """Return the plan with the label set to what is visible: ``v_a / (v_a + v_b)``.

    The visible shares v of both contents decide instead of area or lam; where one of the two has no
    content at all, the label stays as it is. Source: the label of saliency grafting, arXiv
    2112.08796, equation 5.

    Args:
        plan: The plan.
        saliency: (B,1,h,w) of at least 0.
        partner_saliency: (B,1,h,w) of the view that partners are taken from.
    """
    size = (saliency.shape[2], saliency.shape[3])
    seen = visible_shares(saliency, at_size(plan, size), partner_region=partner_saliency)
    total = seen.sum(1)  # NaN where there is nothing to see on one of them
    known = total > _TINY
    weight = torch.where(known, seen[:, 0] / total.clamp_min(_TINY), plan.weight)
    partner = None
    if plan.partner_weight is not None:
        partner = torch.where(known, 1.0 - weight, plan.partner_weight)
    return replace(plan, weight=weight, partner_weight=partner)


def by_attention(plan: MixPlan, attention: Tensor, *, share: float = 0.5) -> MixPlan:
    """Return the plan with the label set to how much attention falls on either image of the mix.

    ``(1 - share) area + share sum(A m) / (sum(A m) + sum(A (1 - m)))`` with the attention A that
    the network in training paid to the patches of the mix, and the mask m shrunk to the patches.
    Source: TransMix, arXiv 2111.09833, by its public code, which takes one half; of the paper's
    text only the abstract was at hand. Deviation: the mask is shrunk by averaging, where the code
    takes its nearest pixels; no gradient goes into the label.

    Args:
        plan: The plan that the images were mixed by.
        attention: (B,1,h,w) of at least 0.
        share: Of the attention in the label, in [0, 1]; the rest is the area.
    """
    size = (attention.shape[2], attention.shape[3])
    seen = attention.detach().float()
    mask = area_average(plan.mask, size)
    own, partner = (seen * mask).sum((1, 2, 3)), (seen * (1.0 - mask)).sum((1, 2, 3))
    total, area = own + partner, plan.area
    attended = torch.where(total > _TINY, own / total.clamp_min(_TINY), area)
    return plan.relabel(torch.lerp(area, attended, share))


def mix_dense(
    target: Tensor, plan: MixPlan, num_classes: int | None = None, *, ignore: int | None = None
) -> Tensor:
    """Mix segmentation maps in the same way as the images that they belong to.

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
        ValueError: The maps do not fit the plan, a class is out of range, or ``num_classes`` is
            missing or contradicts the target.
    """
    if target.ndim not in (3, 4) or len(target) != len(plan):
        raise ValueError(
            f"target: expected maps ({len(plan)},H,W) of classes or ({len(plan)},K,H,W) of rows, "
            f"got {tuple(target.shape)}"
        )
    size = plan.size
    if tuple(target.shape[-2:]) != size:
        raise ValueError(
            f"target: expected {size} pixels as in the plan's mask, got "
            f"{tuple(target.shape[-2:])}; bring the plan to this size with "
            "samix.mixing.at_size(plan, size), or the maps to that of the images"
        )
    rows = _dense_rows(target, num_classes, ignore)
    return blend(rows, plan)


def _dense_rows(target: Tensor, num_classes: int | None, ignore: int | None) -> Tensor:
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
