"""Policies that look where the content of the images lies: SaliencyMix and GuidedMixup.

The saliency is computed from the pixels of the batch, without labels and without a network.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from samix.mixing import (
    Evidence,
    MixPlan,
    area_of,
    blur_saliency,
    cut_box,
    draw_lam,
    saliency_peak,
    saliency_ratio,
    spectral_residual,
)

from .policy import Traits, check_alpha, check_batch, check_probability, plan_with
from .static import box_plan

SaliencyRule = Callable[..., MixPlan]
"""A rule that also takes ``saliency`` and ``partner_saliency``, each (B,1,h,w)."""


@dataclass(frozen=True)
class SaliencyPolicy:
    """A policy that is a rule over the images and where their content lies.

    Attributes:
        name: Name in :data:`samix.POLICIES`.
        rule: Makes the plan for given partners and saliencies.
        traits: What the rule is.
        p: Probability that a sample is mixed, in [0, 1].
        saliency: From images (B,C,H,W) to maps (B,1,h,w), each with sum 1.
    """

    name: str
    rule: SaliencyRule
    traits: Traits
    p: float = 1.0
    saliency: Callable[[Tensor], Tensor] = spectral_residual

    def __post_init__(self) -> None:
        check_probability(self.p)

    @torch.no_grad()
    def plan(
        self,
        images: Tensor,
        *,
        target: Tensor | None = None,
        evidence: Evidence | None = None,
        generator: torch.Generator | None = None,
        index: Tensor | None = None,
    ) -> MixPlan:
        """Plan the mix of a batch; the mask carries no gradient.

        Args:
            images: (B,C,H,W) of any normalisation.
            target: Not used: no label is needed.
            evidence: ``partner_images`` where partners are taken from another view.
            generator: Source of randomness, on the CPU; None takes fresh entropy.
            index: (B,) int64, the partners to mix with; None draws them.
        """
        check_batch(images)
        own = self.saliency(images)
        other = None if evidence is None else evidence.partner_images
        rule = partial(
            self.rule,
            saliency=own,
            partner_saliency=own if other is None else self.saliency(other),
        )
        return plan_with(rule, images, p=self.p, generator=generator, index=index)


def saliencymix_plan(
    images: Tensor,
    index: Tensor,
    generator: torch.Generator,
    *,
    alpha: float,
    saliency: Tensor,
    partner_saliency: Tensor,
) -> MixPlan:
    """Plan of SaliencyMix: the box of CutMix lies around the most salient place of the partner.

    The box is taken from the partner and pasted at the same place; at the border it is clipped, and
    the label uses the area that is left. Source: arXiv 2006.01791, its scheme "salient to
    corresponding". Deviations: box and saliency are those of each sample, where
    the public code takes one image of the batch for all; the saliency is the spectral residual, at
    64 px at most, instead of OpenCV's fine-grained one.
    """
    lam = draw_lam(images.shape[0], alpha, generator=generator, device=images.device)
    size = (images.shape[2], images.shape[3])
    return box_plan(lam, index, cut_box(lam, saliency_peak(partner_saliency)[index], size), size)


def guidedmixup_plan(
    images: Tensor,
    index: Tensor,
    generator: torch.Generator,
    *,
    saliency: Tensor,
    partner_saliency: Tensor,
) -> MixPlan:
    """Plan of GuidedMixup with random pairs: each pixel is shared by saliency.

    ``mask = s / (s + s[index])`` with saliencies that are blurred and have sum 1; the label uses
    the mean of the mask. Nothing is drawn: lam is that mean. Source: GuidedMixup with the spectral
    residual, arXiv 2306.16612. Deviations: pairs are random, as for all policies, where the paper
    also chooses those whose saliencies overlap least; the spectral residual is that of
    :func:`samix.mixing.spectral_residual`, which fades out the border; a tenth of the mean is added
    to each saliency, so that a place where neither image has content shows both alike.
    """
    size = (images.shape[2], images.shape[3])
    mask = saliency_ratio(saliency, partner_saliency[index], size)
    area = area_of(mask)
    return MixPlan(area, index, mask, area)


def guidedmixup_saliency(images: Tensor) -> Tensor:
    """Return the maps of GuidedMixup: the blurred amplitude of the spectral residual.

    At 128 px at most, in a Gaussian window of 7 with a width of 3, as in the paper's code.

    Args:
        images: (B,C,H,W).

    Returns:
        (B,1,h,w) float32, each with sum 1.
    """
    # the square root of the residual's power is its amplitude
    return blur_saliency(spectral_residual(images, side=128, sharpness=0.5))


def saliencymix(alpha: float = 1.0, p: float = 1.0) -> SaliencyPolicy:
    """SaliencyMix: CutMix with the box around the most salient place of the partner."""
    check_alpha(alpha)
    traits = Traits(reads_pixels=True)
    return SaliencyPolicy("saliencymix", partial(saliencymix_plan, alpha=alpha), traits, p)


def guidedmixup(p: float = 1.0) -> SaliencyPolicy:
    """GuidedMixup with random pairs: each pixel shows more of the image that is salient there."""
    traits = Traits(reads_pixels=True, draws_lam=False)
    return SaliencyPolicy("guidedmixup", guidedmixup_plan, traits, p, guidedmixup_saliency)
