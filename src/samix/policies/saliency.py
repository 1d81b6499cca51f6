"""Policies that look where the content of the images lies.

SaliencyMix and GuidedMixup find it in the pixels, Attentive CutMix and SnapMix ask a network.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
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
    draw_lam,
    draw_uniform,
    keep_clean,
    keep_highest,
    saliency_peak,
    saliency_ratio,
    spectral_residual,
)

from .informed import InformedPolicy
from .learned import pair_features
from .policy import Traits, check_alpha, check_batch, check_number, check_probability, plan_with
from .static import box_plan, check_cells

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
        Grid(box_in_box(covered, taken, size)),
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
