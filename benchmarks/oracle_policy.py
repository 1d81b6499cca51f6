"""A policy that is told where the objects are: the best that a mask which sees could do."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from samix import Evidence, MixPlan
from samix.mixing import draw_lam, draw_uniform
from samix.policies import Policy, Traits

Background = Literal["lam", "one"]


def oracle_mask(own: Tensor, partner: Tensor, lam: Tensor) -> Tensor:
    """Return masks that show both objects: 1 on the own one, 0 on the partner's, lam on both.

    The rest of the photo has one weight, by which the area is lam wherever that is possible; where
    the objects alone are more than lam or 1 - lam allows, the rest is 0 or 1.

    Args:
        own: (B,1,H,W) in [0, 1], the original's object.
        partner: (B,1,H,W) in [0, 1], the partner's object.
        lam: (B,) in [0, 1].
    """
    shown, rest = _parts(own, partner, lam)
    pixels = rest.sum((1, 2, 3), keepdim=True).clamp_min(1e-6)
    missing = lam.view(-1, 1, 1, 1) * own[0].numel() - shown.sum((1, 2, 3), keepdim=True)
    return shown + rest * (missing / pixels).clamp(0, 1)


def pasted_mask(own: Tensor, partner: Tensor, lam: Tensor, whose: Tensor) -> Tensor:
    """Return masks that show both objects as :func:`oracle_mask`, on the background of one photo.

    Args:
        own: (B,1,H,W) in [0, 1], the original's object.
        partner: (B,1,H,W) in [0, 1], the partner's object.
        lam: (B,) in [0, 1].
        whose: (B,) bool, whether the background is the original's.
    """
    shown, rest = _parts(own, partner, lam)
    return shown + rest * whose.view(-1, 1, 1, 1).float()


def _parts(own: Tensor, partner: Tensor, lam: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mask on the objects, 0 elsewhere, and the share of each pixel that is neither."""
    shown = own * (1 - partner) + own * partner * lam.view(-1, 1, 1, 1)
    return shown, (1 - own) * (1 - partner)


class Oracle(Policy):
    """Shows both objects whole; the label is lam.

    Set :attr:`regions` to those of the batch before each plan.

    Args:
        alpha: Parameter of Beta(alpha, alpha); a very large one makes every label half and half.
        background: "lam" mixes it so that the area is lam; "one" takes the original's with
            probability lam, and otherwise the partner's.
        fallback: Mix a pair as mixup does where either photo has no object, such as a good part: a
            defect that is shown whole would contradict the share of "good" in the label.
    """

    traits = Traits(label="lam", reads_pixels=True)

    def __init__(
        self, *, alpha: float = 1.0, background: Background = "lam", fallback: bool = False
    ) -> None:
        super().__init__("oracle")
        self.alpha, self.background, self.fallback = alpha, background, fallback
        self.regions: Tensor | None = None

    def rule(
        self, images: Tensor, index: Tensor, generator: torch.Generator, evidence: Evidence
    ) -> MixPlan:
        """Plan the mix of a batch whose regions were set."""
        regions = self.regions
        if regions is None or regions.shape[0] != len(images):
            raise ValueError("regions: expected those of this batch to be set before its plan")
        lam = draw_lam(len(images), self.alpha, generator=generator, device=images.device)
        if self.background == "lam":
            mask = oracle_mask(regions, regions[index], lam)
        else:
            whose = draw_uniform(len(images), generator=generator, device=images.device) < lam
            mask = pasted_mask(regions, regions[index], lam, whose)
        if self.fallback:
            there = regions.flatten(1).amax(1) > 0
            both = (there & there[index]).view(-1, 1, 1, 1)
            mask = torch.where(both, mask, lam.view(-1, 1, 1, 1))
        return MixPlan(lam, index, mask, lam)
