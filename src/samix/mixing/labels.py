"""Other labels of a mix: what counts is the area, the content that is shown, or the attention."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from .plan import MixPlan
from .resizing import area_average
from .visibility import at_size, visible_shares

Relabel = Callable[[MixPlan], MixPlan]
"""Puts another label on a plan."""
_TINY = 1e-6


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
