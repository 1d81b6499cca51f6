"""Hand-made policies: none, mixup, CutMix, their switch, and ResizeMix.

Each is a module-level function that makes a plan, and a short function that makes the policy.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from samix.mixing import (
    Boxed,
    MixPlan,
    box_area,
    box_in_box,
    constant_mask,
    cut_box,
    draw_lam,
    draw_uniform,
)

from .policy import StaticPolicy, Traits, check_alpha, check_number, check_probability


def none_plan(images: Tensor, index: Tensor, generator: torch.Generator) -> MixPlan:
    """Plan that leaves every image as it is: lam = 1."""
    lam = torch.ones(images.shape[0], device=images.device)
    return MixPlan(lam, index, constant_mask(lam, _size(images)), lam)


def mixup_plan(
    images: Tensor, index: Tensor, generator: torch.Generator, *, alpha: float
) -> MixPlan:
    """Plan of mixup: the mask is lam everywhere. Source: mixup, arXiv 1710.09412.

    Deviation: lam is drawn per sample, the paper's code draws one for the batch.
    """
    lam = draw_lam(images.shape[0], alpha, generator=generator, device=images.device)
    return MixPlan(lam, index, constant_mask(lam, _size(images)), lam)


def cutmix_plan(
    images: Tensor, index: Tensor, generator: torch.Generator, *, alpha: float
) -> MixPlan:
    """Plan of CutMix: a box of area 1 - lam shows the partner. Source: arXiv 1905.04899.

    The label uses the area that is left after the box is clipped at the border, per sample.
    """
    batch, device = images.shape[0], images.device
    lam = draw_lam(batch, alpha, generator=generator, device=device)
    centre = draw_uniform(batch, 2, generator=generator, device=device)
    return box_plan(lam, index, cut_box(lam, centre, _size(images)), _size(images))


def box_plan(
    lam: Tensor | None,
    index: Tensor,
    box: Tensor,
    size: tuple[int, int],
    grid: Tensor | None = None,
) -> MixPlan:
    """Plan in which a box shows the partner, and the label uses the area.

    Args:
        lam: (B,) as drawn; None is the area.
        index: (B,) int64.
        box: (B,4) int64 top, left, bottom, right in pixels.
        size: Height and width in pixels.
        grid: (B,H,W,2), where the partner is read; None reads it in place.
    """
    boxed, area = Boxed.of(box, size), box_area(box, size)
    lam = area if lam is None else lam
    return MixPlan(lam, index, boxed.mask, area, grid=grid, boxed=boxed)


def mixup_cutmix_plan(
    images: Tensor,
    index: Tensor,
    generator: torch.Generator,
    *,
    alpha: float,
    cutmix_alpha: float,
    switch: float,
) -> MixPlan:
    """Plan that takes CutMix with probability ``switch`` and mixup otherwise, per sample.

    Source: the training recipe of DeiT, arXiv 2012.12877, where the switch is per batch.
    """
    cut = cutmix_plan(images, index, generator, alpha=cutmix_alpha)
    mix = mixup_plan(images, index, generator, alpha=alpha)
    chosen = draw_uniform(images.shape[0], generator=generator, device=images.device) < switch
    return MixPlan(
        torch.where(chosen, cut.lam, mix.lam),
        index,
        torch.where(chosen.view(-1, 1, 1, 1), cut.mask, mix.mask),
        torch.where(chosen, cut.weight, mix.weight),
    )


def resizemix_plan(
    images: Tensor,
    index: Tensor,
    generator: torch.Generator,
    *,
    scale: tuple[float, float],
) -> MixPlan:
    """Plan of ResizeMix: the whole partner is shrunk and pasted. Source: arXiv 2012.11101.

    The side of the pasted image is uniform in ``scale`` of the image's side, its place uniform
    inside the image. Deviation: the partner is read bilinearly, without anti-aliasing, so that the
    plan can carry the move and be replayed.
    """
    batch, device = images.shape[0], images.device
    height, width = _size(images)
    side, top, left = draw_uniform(3, batch, generator=generator, device=device)
    share = scale[0] + (scale[1] - scale[0]) * side
    firsts, lasts = [], []
    for place, length in ((top, height), (left, width)):
        shrunk = (share * length).long().clamp_min(1)
        first = (place * (length - shrunk + 1)).long()
        firsts.append(first)
        lasts.append(first + shrunk)
    box = torch.stack([*firsts, *lasts], dim=1)
    whole = torch.tensor([0, 0, height, width]).to(device, non_blocking=True).expand(batch, -1)
    return box_plan(None, index, box, (height, width), box_in_box(box, whole, (height, width)))


def none() -> StaticPolicy:
    """Leave every image as it is: the control that each policy is measured against."""
    return StaticPolicy("none", none_plan, traits=Traits(mixes=False, relabel=False))


def mixup(alpha: float = 1.0, p: float = 1.0) -> StaticPolicy:
    """Mixup with Beta(alpha, alpha); each sample is mixed with probability p."""
    check_alpha(alpha)
    return StaticPolicy("mixup", partial(mixup_plan, alpha=alpha), p)


def cutmix(alpha: float = 1.0, p: float = 1.0) -> StaticPolicy:
    """CutMix with Beta(alpha, alpha); each sample is mixed with probability p."""
    check_alpha(alpha)
    return StaticPolicy("cutmix", partial(cutmix_plan, alpha=alpha), p)


def mixup_cutmix(
    alpha: float = 0.8, cutmix_alpha: float = 1.0, switch: float = 0.5, p: float = 1.0
) -> StaticPolicy:
    """CutMix with probability ``switch``, else mixup; alpha is that of mixup."""
    check_alpha(alpha)
    check_alpha(cutmix_alpha, "cutmix_alpha")
    check_probability(switch, "switch")
    rule = partial(mixup_cutmix_plan, alpha=alpha, cutmix_alpha=cutmix_alpha, switch=switch)
    return StaticPolicy("mixup-cutmix", rule, p)


def resizemix(scale: tuple[float, float] = (0.1, 0.8), p: float = 1.0) -> StaticPolicy:
    """ResizeMix; ``scale`` bounds the side of the pasted partner as a share of the image's side."""
    if not isinstance(scale, Sequence) or len(scale) != 2:
        raise TypeError(f"scale: expected two numbers, low and high, got {scale!r}")
    for bound in scale:
        check_number(bound, "scale")
    if not 0.0 < scale[0] <= scale[1] <= 1.0:
        raise ValueError(f"scale: expected 0 < low <= high <= 1, got {scale}")
    return StaticPolicy("resizemix", partial(resizemix_plan, scale=scale), p)


def _size(images: Tensor) -> tuple[int, int]:
    return images.shape[2], images.shape[3]
