"""Policies that look where the content of the images lies.

SaliencyMix and GuidedMixup find it in the pixels, Attentive CutMix and SnapMix ask a network.
"""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from samix.mixing import (
    Boxed,
    Evidence,
    Grid,
    MixPlan,
    area_of,
    as_shares,
    blur_saliency,
    box_area,
    box_in_box,
    box_mask,
    cell_mask,
    cut_box,
    draw_cut,
    draw_lam,
    keep_clean,
    keep_highest,
    saliency_peak,
    saliency_ratio,
    spectral_residual,
)

from .policy import Policy, PolicyCard, Traits, check_alpha, check_number, pair_features, register
from .static import box_plan, check_cells


def saliencymix_plan(
    images: Tensor, index: Tensor, generator: torch.Generator, *, evidence: Evidence, alpha: float
) -> MixPlan:
    """Plan of SaliencyMix: the box of CutMix lies around the most salient place of the partner.

    The box is taken from the partner and pasted at the same place; at the border it is clipped, and
    the label uses the area that is left.
    """
    others = images if evidence.partner_images is None else evidence.partner_images
    lam = draw_lam(images.shape[0], alpha, generator=generator, device=images.device)
    size = (images.shape[2], images.shape[3])
    peak = saliency_peak(spectral_residual(others))[index]
    return box_plan(lam, index, cut_box(lam, peak, size), size)


def guidedmixup_plan(
    images: Tensor, index: Tensor, generator: torch.Generator, *, evidence: Evidence
) -> MixPlan:
    """Plan of GuidedMixup with random pairs: each pixel is shared by saliency.

    ``mask = s / (s + s[index])`` with saliencies that are blurred and have sum 1; the label uses
    the mean of the mask. Nothing is drawn: lam is that mean.
    """
    size = (images.shape[2], images.shape[3])
    own = guidedmixup_saliency(images)
    others = evidence.partner_images
    other = own if others is None else guidedmixup_saliency(others)
    mask = saliency_ratio(own, other[index], size)
    area = area_of(mask)
    return MixPlan(area, index, mask, area)


def guidedmixup_saliency(images: Tensor) -> Tensor:
    """Return the (B,1,h,w) maps of GuidedMixup, each with sum 1: the blurred spectral residual.

    At 128 px at most, in a Gaussian window of 7 with a width of 3, as in the paper's code.
    """
    # the square root of the residual's power is its amplitude
    return blur_saliency(spectral_residual(images, side=128, sharpness=0.5))


@register(
    "saliencymix",
    PolicyCard(
        "SaliencyMix: CutMix with the box around the most salient place of the partner.",
        source='arXiv 2006.01791, its scheme "salient to corresponding"',
        notes=(
            "Deviations: box and saliency are those of each sample, where the public code takes "
            "one image of the batch for all; the saliency is the spectral residual, at 64 px at "
            "most, instead of OpenCV's fine-grained one."
        ),
    ),
)
def saliencymix(alpha: float = 1.0, p: float = 1.0) -> Policy:
    check_alpha(alpha)
    traits = Traits(reads_pixels=True)
    return Policy("saliencymix", partial(saliencymix_plan, alpha=alpha), traits, p=p)


@register(
    "guidedmixup",
    PolicyCard(
        "GuidedMixup with random pairs: each pixel shows more of the image that is salient there.",
        source="GuidedMixup with the spectral residual, arXiv 2306.16612",
        notes=(
            "Deviations: pairs are random, as for all policies, where the paper also chooses those "
            "whose saliencies overlap least; the spectral residual is that of "
            "samix.mixing.spectral_residual, which fades out the border; a tenth of the mean is "
            "added to each saliency, so that a place where neither image has content shows both "
            "alike."
        ),
    ),
)
def guidedmixup(p: float = 1.0) -> Policy:
    traits = Traits(reads_pixels=True, draws_lam=False)
    return Policy("guidedmixup", guidedmixup_plan, traits, p=p)


def attentivemix_plan(
    images: Tensor,
    index: Tensor,
    generator: torch.Generator,
    *,
    evidence: Evidence,
    cells: int,
    share: float | None,
    alpha: float,
) -> MixPlan:
    """Plan of Attentive CutMix: the most attended cells of the partner are pasted in place.

    ``attention = |features|`` over the channels, averaged in a grid of cells; the highest ones show
    the partner, and the label uses their share.
    """
    features, partner = pair_features(evidence, index)
    attention = partner.float().norm(dim=1, keepdim=True)
    grid = min(cells, features.shape[2]), min(cells, features.shape[3])
    attention = F.adaptive_avg_pool2d(attention, grid)
    count = grid[0] * grid[1]
    if share is None:
        lam = draw_lam(len(images), alpha, generator=generator)
        # lam is still on the CPU: no device is waited for
        pasted = ((1.0 - lam.double()) * count).round().long().tolist()
    else:
        lam = None
        pasted = [max(round(share * count), 1)] * len(images)
    mask = cell_mask(1.0 - keep_highest(attention, pasted), (images.shape[2], images.shape[3]))
    area = area_of(mask)
    return MixPlan(area if lam is None else lam.to(images.device), index, mask, area)


def snapmix_plan(
    images: Tensor,
    index: Tensor,
    generator: torch.Generator,
    *,
    evidence: Evidence,
    alpha: float,
    normalise: bool,
) -> MixPlan:
    """Plan of SnapMix: a box of the partner, resized into a box of another size and place.

    The label gives the original the share of its class's activation outside the covered box, and
    the partner that inside the box that is shown: ``1 - sum(S_a in box_a)`` and ``sum(S_b in
    box_b)``, which need not sum to 1.
    """
    size, batch, device = (images.shape[2], images.shape[3]), len(images), images.device
    boxes, draws = [], []
    for _ in range(2):
        lam, box, _ = draw_cut(batch, alpha, size, generator=generator, device=device)
        draws.append(lam)
        boxes.append(box)
    covered, taken = boxes
    shown, rest = Boxed(covered, size), box_mask(taken, size)
    area = shown.area
    activation = evidence.known("activation").float()
    whole = as_shares(F.interpolate(activation, size, mode="bilinear"))
    weight = (whole * shown.mask).sum((1, 2, 3)).clamp(0.0, 1.0)
    partner = (whole[index] * (1.0 - rest)).sum((1, 2, 3)).clamp(0.0, 1.0)
    if normalise:
        total = weight + partner
        weight = torch.where(total > 0, weight / total, area)
    plan = MixPlan.of_boxes(
        draws[0],
        index,
        shown,
        weight,
        source=Grid(box_in_box(covered, taken, size)),
        partner_weight=None if normalise else partner,
    )
    empty = (area == 1.0) | (box_area(taken, size) == 1.0)
    return keep_clean(plan, empty)


@register(
    "attentivemix",
    PolicyCard(
        "Attentive CutMix: the cells of the partner that a network attends to most are pasted.",
        source="Attentive CutMix, arXiv 2003.13048, where 6 of 7 x 7 cells are pasted",
        notes=(
            "Of the paper only abstract and introduction were at hand; the number 6 and the grid "
            "are from an implementation by others. Deviations: the features are those of the "
            "momentum encoder at its tap, where the paper has a network that was trained before; a "
            "grid that the features do not fill is theirs, with the same share of cells; with "
            "share=None lam is drawn per sample, and a share of 1 - lam is pasted, as others have "
            "it too."
        ),
        options={
            "alpha": "Parameter of Beta(alpha, alpha), above 0, where share is None.",
            "share": (
                "Share of the cells that show the partner, in (0, 1); None draws lam per sample."
            ),
            "cells": "Cells along a side.",
        },
    ),
)
def attentivemix(
    share: float | None = 6 / 49, cells: int = 7, alpha: float = 1.0, p: float = 1.0
) -> Policy:
    check_alpha(alpha)
    check_cells(cells)
    if share is not None:
        check_number(share, "share")
        if not 0.0 < share < 1.0:
            raise ValueError(f"share: expected a number between 0 and 1, or None, got {share}")
    rule = partial(attentivemix_plan, cells=cells, share=share, alpha=alpha)
    traits = Traits(needs=("features",), draws_lam=share is None)
    return Policy("attentivemix", rule, traits, p=p)


@register(
    "snapmix",
    PolicyCard(
        "SnapMix: a box of the partner in a box of another size; labels by class activation.",
        source=(
            "SnapMix, arXiv 2012.04846, by its public code; of the paper's text only the abstract "
            "and parts of the introduction were at hand"
        ),
        notes=(
            "Deviations: both lam and both places per sample; the activation is that of the "
            "momentum encoder; a box without pixels mixes nothing, per sample; in a pair of one "
            "class the shares are added once, where the code adds each to each; with normalise "
            "both shares are divided by their sum, and by the area where the sum is 0. lam is the "
            "one that the box in the original was drawn with."
        ),
        options={
            "alpha": (
                "Parameter of Beta(alpha, alpha), above 0; the paper's code has 5 for fine-tuning."
            ),
            "normalise": (
                "Divide both shares of the label by their sum; as published, a label says less "
                "than 1 in total where little of either class is shown, and such a mix counts "
                "less."
            ),
        },
    ),
)
def snapmix(alpha: float = 5.0, normalise: bool = False, p: float = 1.0) -> Policy:
    check_alpha(alpha)
    rule = partial(snapmix_plan, alpha=alpha, normalise=normalise)
    traits = Traits(label="content", needs=("activation",), rows_sum_to_one=normalise)
    return Policy("snapmix", rule, traits, p=p)
