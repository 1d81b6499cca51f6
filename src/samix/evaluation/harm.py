"""What mixing does to defects: how much of one stays visible, and where the label lies about it."""

from __future__ import annotations

import torch
from torch import Tensor

from samix.mixing import MixPlan, blend

LEAST_WEIGHT = 0.2
"""Share of the label from which on a class must be seen."""
LEAST_VISIBLE = 0.1
"""Share of a defect below which it counts as not seen."""


def visible_share(region: Tensor, mask: Tensor) -> Tensor:
    """Return how much of each region a mask lets through: ``sum(region * mask) / sum(region)``.

    Args:
        region: (B,1,H,W) in [0, 1], how much of each pixel is defect: a defect mask that was shrunk
            by area averaging.
        mask: (B,1,H,W) in [0, 1], weight of the photo in each pixel of the mix.

    Returns:
        (B,) float32 in [0, 1]; NaN where the region is empty.

    Raises:
        ValueError: Shapes differ.
    """
    if region.shape != mask.shape:
        raise ValueError(
            f"region: expected {tuple(mask.shape)} as the mask, got {tuple(region.shape)}"
        )
    return _ratio(region.float() * mask.float(), region)


def visible_shares(region: Tensor, plan: MixPlan) -> Tensor:
    """Return how much of the defects of both photos of each pair stays visible in the mix.

    A partner that the plan moves is read where the plan says, as :func:`samix.blend` reads the
    photo. Its share is that of the pixels that its defect had before: a partner that is shrunk to
    half its side keeps at most a quarter.

    Args:
        region: (B,1,H,W) in [0, 1], how much of each pixel of the photos is defect.
        plan: The plan of these photos.

    Returns:
        (B,2) float32 in [0, 1], original and partner; NaN where there is no defect.
    """
    region = region.float()
    own = visible_share(region, plan.mask)
    # what a mix of nothing with the partner's defect shows
    shown = blend(torch.zeros_like(region), plan, partner_images=region)
    partner = _ratio(shown, region[plan.index])
    return torch.stack([own, partner], dim=1)


def label_noise(visible: Tensor, weight: Tensor, same_class: Tensor | None = None) -> Tensor:
    """Say for both photos of each pair whether the label promises a defect that is not seen.

    It does where the class has a share of the label of at least 0.2 and less than 0.1 of its defect
    is visible. Where both photos are of one class, that class has the whole label, and is seen
    where either defect is.

    Args:
        visible: (B,2) from :func:`visible_shares`; NaN is never noise.
        weight: (B,) in [0, 1], share of the original that the label uses.
        same_class: (B,) bool; None takes two classes everywhere.

    Returns:
        (B,2) bool, original and partner.
    """
    weights = torch.stack([weight, 1.0 - weight], dim=1)
    seen = visible
    if same_class is not None:
        both = same_class.unsqueeze(1)
        best = visible.nan_to_num(nan=-1.0).amax(1, keepdim=True).expand_as(visible)
        weights = torch.where(both, torch.ones_like(weights), weights)
        seen = torch.where(both & ~visible.isnan(), best, visible)
    return (weights >= LEAST_WEIGHT) & (seen < LEAST_VISIBLE)


def _ratio(shown: Tensor, region: Tensor) -> Tensor:
    """Return (B,) sums of (B,1,H,W) divided, at most 1; NaN where the second is empty."""
    part, whole = (value.float().sum((1, 2, 3)) for value in (shown, region))
    return torch.where(whole > 0, part / whole, torch.nan).clamp(max=1.0)
