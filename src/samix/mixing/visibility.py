"""How much of what is on two images stays visible in their mix."""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from .blend import read_original, read_partner
from .masks import resized_box_mask
from .plan import MixPlan
from .resizing import area_average


def visible_share(region: Tensor, mask: Tensor) -> Tensor:
    """Return how much of each region a mask lets through: ``sum(region * mask) / sum(region)``.

    Args:
        region: (B,1,H,W) of at least 0, how much of the content lies in each pixel: a defect mask
            that was shrunk by area averaging, or a saliency.
        mask: (B,1,H,W) in [0, 1], weight of the image in each pixel of the mix.

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


def visible_shares(
    region: Tensor, plan: MixPlan, *, partner_region: Tensor | None = None
) -> Tensor:
    """Return how much of the content of both images of each pair stays visible in the mix.

    A partner that the plan moves is read where the plan says, as :func:`samix.blend` reads the
    image. Its share is that of the pixels that its content had before: a partner that is shrunk to
    half its side keeps at most a quarter.

    Args:
        region: (B,1,H,W) of at least 0, how much of the content lies in each pixel.
        plan: The plan of these images.
        partner_region: (B,1,H,W) of the batch that partners are taken from, where that is another
            view; None takes ``region``.

    Returns:
        (B,2) float32 in [0, 1], original and partner; NaN where there is no content.
    """
    region = region.float()
    others = region if partner_region is None else partner_region.float()
    own = visible_share(read_original(region, plan), plan.mask)
    partner = _ratio(read_partner(others, plan) * (1.0 - plan.mask), others[plan.index])
    return torch.stack([own, partner], dim=1)


def at_size(plan: MixPlan, size: tuple[int, int]) -> MixPlan:
    """Return a plan whose mask and grid are shrunk or enlarged to another size in pixels.

    Args:
        plan: The plan.
        size: Height and width.
    """
    known = (plan.mask.shape[2], plan.mask.shape[3])
    if known == size:
        return plan
    boxed = plan.known_box
    if boxed is None:
        mask = area_average(plan.mask, size)
    else:
        mask = resized_box_mask(boxed.box, known, size, boxed.inside)
    grid = plan.grid
    if grid is not None:
        grid = F.interpolate(grid.permute(0, 3, 1, 2), size, mode="area").permute(0, 2, 3, 1)
    return replace(plan, mask=mask, grid=grid)


def _ratio(shown: Tensor, region: Tensor) -> Tensor:
    """Return (B,) sums of (B,1,H,W) divided, at most 1; NaN where the second is empty."""
    part, whole = (value.float().sum((1, 2, 3)) for value in (shown, region))
    return torch.where(whole > 0, part / whole, torch.nan).clamp(max=1.0)
