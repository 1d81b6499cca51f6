"""Hand-made policies that look at nothing: mixup, CutMix, their switch, ResizeMix, FMix and more.

Each is a module-level function that makes a plan, and a short function that makes the policy.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from samix.mixing import (
    IN_PLACE,
    Boxed,
    Grid,
    MixPlan,
    Source,
    area_of,
    box_area,
    box_in_box,
    cell_mask,
    constant_mask,
    draw_cut,
    draw_lam,
    draw_uniform,
    keep_highest,
    low_frequency_field,
    spot_mask,
)

from .policy import (
    Policy,
    PolicyCard,
    Traits,
    check_alpha,
    check_bounds,
    check_number,
    check_probability,
    register,
)


def none_plan(images: Tensor, index: Tensor, generator: torch.Generator) -> MixPlan:
    """Plan that leaves every image as it is: lam = 1."""
    lam = torch.ones(images.shape[0], device=images.device, dtype=torch.float32)
    return MixPlan(lam, index, constant_mask(lam, _size(images)), lam)


def mixup_plan(
    images: Tensor, index: Tensor, generator: torch.Generator, *, alpha: float
) -> MixPlan:
    """Plan of mixup: the mask is lam everywhere."""
    lam = draw_lam(images.shape[0], alpha, generator=generator, device=images.device)
    return MixPlan(lam, index, constant_mask(lam, _size(images)), lam)


def cutmix_plan(
    images: Tensor, index: Tensor, generator: torch.Generator, *, alpha: float
) -> MixPlan:
    """Plan of CutMix: a box of area 1 - lam shows the partner."""
    batch, size = images.shape[0], _size(images)
    lam, box, area = draw_cut(batch, alpha, size, generator=generator, device=images.device)
    return MixPlan.of_boxes(lam, index, Boxed(box, size), area)


def box_plan(
    lam: Tensor | None,
    index: Tensor,
    box: Tensor,
    size: tuple[int, int],
    source: Source | None = None,
) -> MixPlan:
    """Plan in which a (B,4) box shows the partner; the label uses the area, lam too if None."""
    boxed, area = Boxed(box, size), box_area(box, size)
    lam = area if lam is None else lam
    return MixPlan.of_boxes(lam, index, boxed, area, source=source or IN_PLACE)


def mixup_cutmix_plan(
    images: Tensor,
    index: Tensor,
    generator: torch.Generator,
    *,
    alpha: float,
    cutmix_alpha: float,
    switch: float,
) -> MixPlan:
    """Plan that takes CutMix with probability ``switch`` and mixup otherwise, per sample."""
    batch, size, device = images.shape[0], _size(images), images.device
    cut, box, area = draw_cut(batch, cutmix_alpha, size, generator=generator, device=device)
    mix = draw_lam(batch, alpha, generator=generator, device=device)
    chosen = draw_uniform(batch, generator=generator, device=device) < switch
    # mixup is a box of the whole image, through which lam of the original shines
    whole = torch.tensor([0, 0, *size]).to(device, non_blocking=True)
    box = torch.where(chosen.unsqueeze(1), box, whole)
    boxed = Boxed(box, size, mix.masked_fill(chosen, 0.0))
    lam, weight = torch.where(chosen, cut, mix), torch.where(chosen, area, mix)
    return MixPlan.of_boxes(lam, index, boxed, weight)


def resizemix_plan(
    images: Tensor, index: Tensor, generator: torch.Generator, *, scale: tuple[float, float]
) -> MixPlan:
    """Plan of ResizeMix: the whole partner is shrunk and pasted."""
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
    grid = Grid(box_in_box(box, whole, (height, width)))
    return box_plan(None, index, box, (height, width), grid)


@register(
    "none",
    PolicyCard("Leave every image as it is: the control that each policy is measured against."),
)
def none() -> Policy:
    return Policy("none", none_plan, Traits(mixes=False, relabel=False))


@register(
    "mixup",
    PolicyCard(
        "Mixup with Beta(alpha, alpha); each sample is mixed with probability p.",
        source="mixup, arXiv 1710.09412",
        notes="Deviation: lam is drawn per sample, the paper's code draws one for the batch.",
    ),
)
def mixup(alpha: float = 1.0, p: float = 1.0) -> Policy:
    check_alpha(alpha)
    return Policy("mixup", partial(mixup_plan, alpha=alpha), p=p)


@register(
    "cutmix",
    PolicyCard(
        "CutMix with Beta(alpha, alpha); each sample is mixed with probability p.",
        source="arXiv 1905.04899",
        notes=(
            "The label uses the area that is left after the box is clipped at the border, per "
            "sample."
        ),
    ),
)
def cutmix(alpha: float = 1.0, p: float = 1.0) -> Policy:
    check_alpha(alpha)
    return Policy("cutmix", partial(cutmix_plan, alpha=alpha), p=p)


@register(
    "mixup-cutmix",
    PolicyCard(
        "CutMix with probability switch, else mixup; alpha is that of mixup.",
        source="the training recipe of DeiT, arXiv 2012.12877, where the switch is per batch",
    ),
)
def mixup_cutmix(
    alpha: float = 0.8, cutmix_alpha: float = 1.0, switch: float = 0.5, p: float = 1.0
) -> Policy:
    check_alpha(alpha)
    check_alpha(cutmix_alpha, "cutmix_alpha")
    check_probability(switch, "switch")
    rule = partial(mixup_cutmix_plan, alpha=alpha, cutmix_alpha=cutmix_alpha, switch=switch)
    return Policy("mixup-cutmix", rule, p=p)


@register(
    "resizemix",
    PolicyCard(
        "ResizeMix; scale bounds the side of the pasted partner as a share of the image's side.",
        source="arXiv 2012.11101",
        notes=(
            "The side of the pasted image is uniform in scale of the image's side, its place "
            "uniform inside the image. Deviation: the partner is read bilinearly, without "
            "anti-aliasing, so that the plan can carry the move and be replayed."
        ),
    ),
)
def resizemix(scale: tuple[float, float] = (0.1, 0.8), p: float = 1.0) -> Policy:
    check_bounds(scale, "scale", 1)
    return Policy("resizemix", partial(resizemix_plan, scale=scale), p=p)


def _size(images: Tensor) -> tuple[int, int]:
    return images.shape[2], images.shape[3]


_CYCLES = (
    32  # an image; with a decay of 2 or more, higher frequencies hold under 0.1 % of the power
)
_STEEP = 2.0


def fmix_plan(
    images: Tensor, index: Tensor, generator: torch.Generator, *, alpha: float, decay: float
) -> MixPlan:
    """Plan of FMix: blobs from low-frequency noise, of which lam show the original.

    The pixels where a random grey image of low frequencies is highest show the original.
    """
    batch, size = images.shape[0], _size(images)
    lam = draw_lam(batch, alpha, generator=generator)
    highest = max(size) if decay < _STEEP else _CYCLES
    reach, columns = (min((length - 1) // 2, highest) for length in size)
    noise = torch.randn(
        batch, 2 * reach + 1, columns + 1, 2, generator=generator, dtype=torch.float32
    )
    noise = noise.to(images.device, non_blocking=True)
    field = low_frequency_field(noise, size, decay=decay)
    # lam is still on the CPU: no device is waited for
    count = (lam.double() * size[0] * size[1]).round().long().tolist()
    mask = keep_highest(field, count)
    return MixPlan(lam.to(images.device, non_blocking=True), index, mask, area_of(mask))


def smoothmix_plan(
    images: Tensor, index: Tensor, generator: torch.Generator, *, sigma: tuple[float, float]
) -> MixPlan:
    """Plan of SmoothMix: the partner shines through a round spot with a soft edge.

    The partner's weight is a Gaussian of height 1; its centre is uniform in the image, its width
    uniform in ``sigma``; the label uses the mean of the mask. There is no draw from a Beta: lam is
    that mean.
    """
    batch, device, size = images.shape[0], images.device, _size(images)
    top, left, width = draw_uniform(3, batch, generator=generator, device=device)
    wide = (sigma[0] + (sigma[1] - sigma[0]) * width) * min(size)
    mask = spot_mask(torch.stack([top, left], dim=1), wide, size)
    area = area_of(mask)
    return MixPlan(area, index, mask, area)


def gridmix_plan(
    images: Tensor, index: Tensor, generator: torch.Generator, *, alpha: float, cells: int
) -> MixPlan:
    """Plan of GridMix: each cell of a grid shows the original with probability lam.

    The label uses the share of cells.
    """
    batch, device = images.shape[0], images.device
    lam = draw_lam(batch, alpha, generator=generator, device=device)
    drawn = draw_uniform(batch, 1, cells, cells, generator=generator, device=device)
    mask = cell_mask(drawn < lam.view(-1, 1, 1, 1), _size(images))
    return MixPlan(lam, index, mask, area_of(mask))


def maskmix_plan(
    images: Tensor, index: Tensor, generator: torch.Generator, *, alpha: float, cells: int
) -> MixPlan:
    """Plan of MaskMix: of the n cells of a grid, ceil(n * lam) at random show the original.

    The label uses their share.
    """
    batch, device = images.shape[0], images.device
    lam = draw_lam(batch, alpha, generator=generator, device=device)
    drawn = draw_uniform(batch, cells * cells, generator=generator, device=device)
    # the position of each cell in a random order
    place = drawn.argsort(dim=1).argsort(dim=1)
    kept = place < (lam * cells * cells).ceil().view(-1, 1)
    mask = cell_mask(kept.view(batch, 1, cells, cells), _size(images))
    return MixPlan(lam, index, mask, area_of(mask))


@register(
    "fmix",
    PolicyCard(
        "FMix: blobs of low-frequency noise; a larger decay gives fewer and larger ones.",
        source="FMix, arXiv 2002.12047",
        notes=(
            "Deviations: lam per sample; its number of pixels is rounded to the nearest, where the "
            "paper's code rounds up or down at random; the label uses the area, which is within "
            "half a pixel of lam; of steep spectra only the lowest 32 frequencies are drawn; the "
            "soft edges that the paper's code offers are left out."
        ),
    ),
)
def fmix(alpha: float = 1.0, decay: float = 3.0, p: float = 1.0) -> Policy:
    check_alpha(alpha)
    check_number(decay, "decay")
    if not 0.0 < decay <= 10.0:
        raise ValueError(f"decay: expected a number above 0 and at most 10, got {decay}")
    return Policy("fmix", partial(fmix_plan, alpha=alpha, decay=decay), p=p)


@register(
    "smoothmix",
    PolicyCard(
        "SmoothMix: a soft spot; sigma bounds its width as a share of the shorter side.",
        source=(
            'Lee et al., "SmoothMix: a Simple Yet Effective Data Augmentation to Train Robust '
            'Classifiers", CVPR workshops 2020'
        ),
        notes=(
            "Deviations: centre and width per sample, not per batch; the width is a share of the "
            "shorter side of an image that is no square; the paper's second form, a square with "
            "soft edges, is left out."
        ),
    ),
)
def smoothmix(sigma: tuple[float, float] = (0.25, 0.5), p: float = 1.0) -> Policy:
    check_bounds(sigma, "sigma", 2)
    return Policy("smoothmix", partial(smoothmix_plan, sigma=sigma), p=p)


@register(
    "gridmix",
    PolicyCard(
        "GridMix: in a grid of cells by cells, each cell shows one of the two images.",
        source=(
            'Baek, Bang and Shim, "GridMix: Strong regularization through local context mapping", '
            "Pattern Recognition 109, 2021, as its abstract and others describe it; the size of "
            "the grid is a choice made here"
        ),
        notes=(
            "Deviations: lam per sample; the paper's second loss, which predicts the label of each "
            "cell, is no part of a policy and left out."
        ),
    ),
)
def gridmix(alpha: float = 1.0, cells: int = 4, p: float = 1.0) -> Policy:
    check_alpha(alpha)
    check_cells(cells)
    return Policy("gridmix", partial(gridmix_plan, alpha=alpha, cells=cells), p=p)


@register(
    "maskmix",
    PolicyCard(
        "MaskMix: of a grid of cells by cells, a share of lam shows the original.",
        source="MixPro, arXiv 2304.12043, and its code",
        notes=(
            "Deviations: lam per sample, where the code draws one for the batch; the paper's "
            "second part, labels from attention, is no part of this policy."
        ),
        options={
            "cells": (
                "Cells along a side. For a vision transformer a cell should be whole patches: a "
                "number that divides the patches along a side (2, 7 or 14 for 224 pixels in "
                "patches of 16). The paper has 4 for DeiT-T and S."
            )
        },
    ),
)
def maskmix(alpha: float = 1.0, cells: int = 4, p: float = 1.0) -> Policy:
    check_alpha(alpha)
    check_cells(cells)
    return Policy("maskmix", partial(maskmix_plan, alpha=alpha, cells=cells), p=p)


def check_cells(cells: int) -> None:
    """Raise a TypeError or ValueError unless a grid can have so many cells along a side."""
    if not isinstance(cells, int) or isinstance(cells, bool):
        raise TypeError(f"cells: expected a whole number, got {cells!r}")
    if not 2 <= cells <= 64:
        raise ValueError(f"cells: expected 2 to 64 cells along a side, got {cells}")
