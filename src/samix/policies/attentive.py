"""Policies that paste where a network looks: Attentive CutMix."""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from samix.mixing import Evidence, MixPlan, area_of, cell_mask, draw_lam, keep_highest

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
