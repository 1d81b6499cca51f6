"""Policies for vision transformers, whose attention they read: TransMix, TokenMix, SMMix."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from samix.mixing import (
    CellMoves,
    Evidence,
    MixPlan,
    area_of,
    as_shares,
    block_cells,
    cell_mask,
    cells_in_place,
    draw_lam,
    draw_uniform,
    extreme_square,
    shifted_square,
)

from .policy import Policy, PolicyCard, Traits, check_alpha, check_bounds, register
from .static import cutmix_plan

_ATTEMPTS = 24  # blocks that are tried for a mask


def tokenmix_plan(
    images: Tensor,
    index: Tensor,
    generator: torch.Generator,
    *,
    evidence: Evidence,
    alpha: float,
    normalise: bool,
) -> MixPlan:
    """Plan of TokenMix: several blocks of patches show the partner; labels by attention to content.

    The label gives each image the share of the attention to it, unmixed, that lies in what is
    shown: ``sum(A_a m)`` and ``sum(A_b (1 - m))``, which need not sum to 1.
    """
    attention = as_shares(evidence.known("attention"))
    grid = (attention.shape[2], attention.shape[3])
    lam = draw_lam(len(images), alpha, generator=generator, device=images.device)
    drawn = draw_uniform(len(images), _ATTEMPTS, 4, generator=generator, device=images.device)
    count = ((1.0 - lam) * (grid[0] * grid[1])).long().clamp_min(1) * (lam < 1)
    shown = (~block_cells(drawn, count, grid)).float()
    weight = (attention * shown).sum((1, 2, 3)).clamp(0.0, 1.0)
    partner = (attention[index] * (1.0 - shown)).sum((1, 2, 3)).clamp(0.0, 1.0)
    if normalise:
        total = weight + partner
        weight = torch.where(total > 0, weight / total, area_of(shown))
    mask = cell_mask(shown, (images.shape[2], images.shape[3]))
    return MixPlan(lam, index, mask, weight, partner_weight=None if normalise else partner)


def smmix_plan(
    images: Tensor,
    index: Tensor,
    generator: torch.Generator,
    *,
    evidence: Evidence,
    sides: tuple[float, float],
) -> MixPlan:
    """Plan of SMMix: the most attended square of the partner covers the least attended one.

    The side of both squares is uniform in ``sides`` of the grid of patches, in whole patches; the
    label uses the area, and lam is that.
    """
    attention = as_shares(evidence.known("attention"))
    grid = (attention.shape[2], attention.shape[3])
    shorter = min(grid)
    low, high = (min(max(int(shorter * share), 1), shorter) for share in sides)
    drawn = draw_uniform(len(images), generator=generator, device=images.device)
    side = low + (drawn * (high - low + 1)).long()
    place = extreme_square(attention, side, largest=False)
    source = extreme_square(attention[index], side, largest=True)
    square, moved = shifted_square(place, source, side, grid)
    mask = cell_mask(1.0 - square.float(), (images.shape[2], images.shape[3]))
    moves = torch.stack([cells_in_place(len(images), grid, images.device), moved], dim=1)
    area = area_of(mask)
    return MixPlan(area, index, mask, area, CellMoves(moves))


@register(
    "transmix",
    PolicyCard(
        "TransMix: CutMix for vision transformers, whose label follows the attention to the mix.",
        source="TransMix, arXiv 2111.09833",
        notes=(
            "Deviation: its recipe switches between this and mixup; here it is CutMix alone, with "
            "box and lam per sample."
        ),
    ),
)
def transmix(alpha: float = 1.0, p: float = 1.0) -> Policy:
    check_alpha(alpha)
    # inside a method half of the label follows the attention, see samix.mixing.by_attention
    return Policy("transmix", partial(cutmix_plan, alpha=alpha), Traits(label="attention"), p=p)


@register(
    "tokenmix",
    PolicyCard(
        "TokenMix: blocks of patches for vision transformers, labels by attention to the content.",
        source=(
            "TokenMix, arXiv 2207.08409, by its public code; of the paper's text only the abstract "
            "was at hand"
        ),
        notes=(
            "Deviations: the attention is that of the momentum encoder's last block, where the "
            "paper has activation maps of a network that was trained before; lam is drawn per "
            "sample from a Beta distribution and at least one patch is shown unless lam is 1, "
            "where the code has one half for all and at least 14 patches; with normalise both "
            "shares are divided by their sum."
        ),
        options={
            "normalise": (
                "Divide both shares of the label by their sum; as published, a label says less "
                "than 1 in total where little of what is attended to is shown."
            )
        },
    ),
)
def tokenmix(alpha: float = 1.0, normalise: bool = False, p: float = 1.0) -> Policy:
    check_alpha(alpha)
    rule = partial(tokenmix_plan, alpha=alpha, normalise=normalise)
    traits = Traits(label="content", needs=("attention",), rows_sum_to_one=normalise)
    return Policy("tokenmix", rule, traits, p=p)


@register(
    "smmix",
    PolicyCard(
        "SMMix: the most attended square of the partner covers the least attended one.",
        source=(
            "SMMix, arXiv 2212.12977, as others implement it; of the paper's text only the "
            "abstract was at hand"
        ),
        notes=(
            "Deviations: the side per sample, not per batch; the attention is that of the momentum "
            "encoder, where the paper has the network in training; the paper's labels for single "
            "patches and its loss on the features of mixed and unmixed images are no part of a "
            "policy and left out."
        ),
        options={"sides": "Least and largest side of the square as shares of the grid of patches."},
    ),
)
def smmix(sides: tuple[float, float] = (0.25, 0.75), p: float = 1.0) -> Policy:
    check_bounds(sides, "sides", 1)
    rule = partial(smmix_plan, sides=(sides[0], sides[1]))
    return Policy("smmix", rule, Traits(needs=("attention",)), p=p)
