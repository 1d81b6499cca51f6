"""Policies that mix inside the network: manifold mixup and AlignMixup."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor

from samix.mixing import MixPlan, aligned, alignment

from .policy import Inside, Policy, PolicyCard, Traits, check_alpha, check_number, register
from .static import mixup_plan

_STEPS = 30  # of both sides; more change the mixture by less than its rounding


class FeaturePolicy(Policy):
    """A policy that mixes what comes out of a stage of the network.

    Args:
        name: Name in :data:`samix.POLICIES`.
        mix: From features (B,...) and a plan to mixed features of the same shape; images are mixed
            as by mixup.
        alpha: Parameter of Beta(alpha, alpha), above 0.
        stages: Where a batch may be mixed, one of them each time: indices into timm's
            ``feature_info``, negative from the end; None are the images.
        p: Probability that a sample is mixed, in [0, 1].
    """

    traits = Traits(seam="feature", relabel=False)

    def __init__(
        self,
        name: str,
        mix: Callable[[Tensor, MixPlan], Tensor],
        alpha: float,
        stages: Sequence[int | None],
        *,
        p: float = 1.0,
    ) -> None:
        super().__init__(name, partial(mixup_plan, alpha=alpha), p=p)
        check_alpha(alpha)
        self._mix, self.stages = mix, tuple(stages)
        known = [stage is None or type(stage) is int for stage in self.stages]
        if not known or not all(known):
            raise ValueError(
                f"stages: expected at least one index of a stage, or None for the images, got "
                f"{self.stages}"
            )

    def mix(self, images: Tensor, plan: MixPlan) -> Tensor:
        """Return the mix of features of any shape (B,...)."""
        return self._mix(images, plan)

    def mix_inside(self, generator: torch.Generator) -> Inside | None:
        """Draw where the batch is mixed: one place for all, since a network is left at one place.

        Args:
            generator: Source of randomness, on the CPU.
        """
        chosen = int(torch.randint(len(self.stages), (), generator=generator))
        stage = self.stages[chosen]
        return None if stage is None else Inside(stage, self._mix)


def mix_features(features: Tensor, plan: MixPlan) -> Tensor:
    """Mix features (B,...) as mixup mixes images: ``lam h + (1 - lam) h[index]``."""
    lam = plan.lam.to(features.dtype).view(-1, *(1,) * (features.ndim - 1))
    return torch.lerp(features[plan.index], features, lam)


def mix_aligned(features: Tensor, plan: MixPlan, *, eps: float, steps: int) -> Tensor:
    """Mix feature maps after one of them was aligned with the other; images as mixup does.

    ``lam A + (1 - lam) A' R^T``, or ``lam A R + (1 - lam) A'``, with the map A (C,N) of the
    original, A' of the partner, and R = N P the transport between their places.

    Raises:
        ValueError: The features are no map.
    """
    if features.ndim != 4:
        raise ValueError(
            f"policy: 'alignmix' expected feature maps (B,C,h,w), got "
            f"{tuple(features.shape)}; use a convolutional network, or 'manifold-mixup'"
        )
    partner = features[plan.index]
    transport = alignment(features, partner, eps=eps, steps=steps)
    places = torch.arange(len(plan), device=plan.index.device)
    keeps = (plan.index > places).view(-1, 1, 1, 1)
    lam = plan.lam.to(features.dtype).view(-1, 1, 1, 1)
    mixed = torch.where(
        keeps,
        torch.lerp(_moved(partner, transport), features, lam),
        torch.lerp(partner, _moved(features, transport.transpose(1, 2)), lam),
    )
    # an unmixed sample keeps its own layout
    return torch.where(lam == 1.0, features, mixed)


def _moved(features: Tensor, transport: Tensor) -> Tensor:
    """Return features moved by a transport, in their own precision, also under autocast."""
    return aligned(features, transport).to(features.dtype)


@register(
    "manifold-mixup",
    PolicyCard(
        (
            "Manifold mixup: mixup of the images, or of what comes out of a random stage of the "
            "network."
        ),
        source="manifold mixup, arXiv 1806.05236, equation 2",
        notes="Deviation: lam per sample, where the paper draws one for the batch.",
        options={
            "stages": (
                "Where to mix, one of them for each batch: indices into timm's feature_info, "
                "negative from the end; None are the images. (None, 1, 2) is the paper's for "
                "ResNets."
            )
        },
    ),
)
def manifold_mixup(
    alpha: float = 2.0, stages: Sequence[int | None] = (None, 1, 2), p: float = 1.0
) -> FeaturePolicy:
    return FeaturePolicy("manifold-mixup", mix_features, alpha, stages, p=p)


@register(
    "alignmix",
    PolicyCard(
        "AlignMixup: mixup of the images, or of the last feature maps after they were aligned.",
        source=(
            "AlignMixup, arXiv 2103.15375, by its public code; of the paper's text only the "
            "abstract was at hand"
        ),
        notes=(
            "Deviations: lam per sample; which image keeps its layout follows from which comes "
            "first in the batch, where the code tosses a coin for the batch; the rows of R are "
            "divided by their sum; the number of updates is fixed, so that no device is waited "
            "for."
        ),
        options={
            "stages": "Where to mix, one of them for each batch; see manifold-mixup.",
            "eps": (
                "Weight of the entropy in the transport, above 0; smaller ones align more sharply."
            ),
        },
    ),
)
def alignmix(
    alpha: float = 2.0, stages: Sequence[int | None] = (None, -1), eps: float = 0.1, p: float = 1.0
) -> FeaturePolicy:
    check_number(eps, "eps")
    if not eps > 0:
        raise ValueError(f"eps: expected a number above 0, got {eps}")
    mix = partial(mix_aligned, eps=eps, steps=_STEPS)
    return FeaturePolicy("alignmix", mix, alpha, stages, p=p)
