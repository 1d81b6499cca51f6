"""Policies that ask a network where content lies: Attentive CutMix and SnapMix."""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from samix.mixing import (
    Boxed,
    Evidence,
    MixPlan,
    area_of,
    as_shares,
    box_area,
    box_in_box,
    box_mask,
    cell_mask,
    cut_box,
    draw_lam,
    draw_uniform,
    keep_clean,
    keep_highest,
)

from .informed import InformedPolicy
from .learned import pair_features
from .policy import Traits, check_alpha, check_number
from .shapes import check_cells


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
    the partner, and the label uses their share. Source: Attentive CutMix, arXiv 2003.13048, where 6
    of 7 x 7 cells are pasted. Of the paper only abstract and introduction were at hand; the number
    6 and the grid are from an implementation by others. Deviations: the features are those of the
    momentum encoder at its tap, where the paper has a network that was trained before; a grid that
    the features do not fill is theirs, with the same share of cells; with ``share=None`` lam is
    drawn per sample, and a share of 1 - lam is pasted, as others have it too.
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
    box_b)``, which need not sum to 1. Source: SnapMix, arXiv 2012.04846, by its public code; of the
    paper's text only the abstract and parts of the introduction were at hand. Deviations: both lam
    and both places per sample; the activation is that of the momentum encoder; a box without pixels
    mixes nothing, per sample; in a pair of one class the shares are added once, where the code adds
    each to each; with ``normalise`` both shares are divided by their sum, and by the area where the
    sum is 0. lam is the one that the box in the original was drawn with.
    """
    size, batch, device = (images.shape[2], images.shape[3]), len(images), images.device
    boxes, draws = [], []
    for _ in range(2):
        draws.append(draw_lam(batch, alpha, generator=generator, device=device))
        centre = draw_uniform(batch, 2, generator=generator, device=device)
        boxes.append(cut_box(draws[-1], centre, size))
    covered, taken = boxes
    mask, rest = box_mask(covered, size), box_mask(taken, size)
    area = box_area(covered, size)
    activation = evidence.activation
    if activation is None:
        raise ValueError("evidence: expected the activation of each image's own class, got none")
    whole = as_shares(F.interpolate(activation.float(), size, mode="bilinear"))
    weight = (whole * mask).sum((1, 2, 3)).clamp(0.0, 1.0)
    partner = (whole[index] * (1.0 - rest)).sum((1, 2, 3)).clamp(0.0, 1.0)
    if normalise:
        total = weight + partner
        weight = torch.where(total > 0, weight / total, area)
    plan = MixPlan(
        draws[0],
        index,
        mask,
        weight,
        grid=box_in_box(covered, taken, size),
        partner_weight=None if normalise else partner,
        boxed=Boxed(mask, covered),
    )
    empty = (area == 1.0) | (box_area(taken, size) == 1.0)
    return keep_clean(plan, empty)


def attentivemix(
    share: float | None = 6 / 49, cells: int = 7, alpha: float = 1.0, p: float = 1.0
) -> InformedPolicy:
    """Attentive CutMix: the cells of the partner that a network attends to most are pasted.

    Args:
        share: Share of the cells that show the partner, in (0, 1); None draws lam per sample.
        cells: Cells along a side.
        alpha: Parameter of Beta(alpha, alpha), above 0, where ``share`` is None.
        p: Probability that a sample is mixed, in [0, 1].
    """
    check_alpha(alpha)
    check_cells(cells)
    if share is not None:
        check_number(share, "share")
        if not 0.0 < share < 1.0:
            raise ValueError(f"share: expected a number between 0 and 1, or None, got {share}")
    rule = partial(attentivemix_plan, cells=cells, share=share, alpha=alpha)
    traits = Traits(needs=("features",), draws_lam=share is None)
    return InformedPolicy("attentivemix", rule, traits, p)


def snapmix(alpha: float = 5.0, normalise: bool = False, p: float = 1.0) -> InformedPolicy:
    """SnapMix: a box of the partner in a box of another size; labels by class activation.

    Args:
        alpha: Parameter of Beta(alpha, alpha), above 0; the paper's code has 5 for fine-tuning.
        normalise: Divide both shares of the label by their sum; as published, a label says less
            than 1 in total where little of either class is shown, and such a mix counts less.
        p: Probability that a sample is mixed, in [0, 1].
    """
    check_alpha(alpha)
    rule = partial(snapmix_plan, alpha=alpha, normalise=normalise)
    traits = Traits(label="content", needs=("activation",), rows_sum_to_one=normalise)
    return InformedPolicy("snapmix", rule, traits, p)
