"""The learned policy: SAMix, where the Mixer computes the mask."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import torch
from torch import Tensor, nn

from samix.mixing import Evidence, MixPlan, draw_lam
from samix.networks import Mixer, MixerOptions

from .policy import Traits, check_alpha, check_probability, plan_with


class LearnedPolicy(nn.Module):
    """A policy whose masks come from a Mixer that reads feature maps of both images.

    Args:
        mixer: The Mixer; its parameters are this module's.
        alpha: Parameter of Beta(alpha, alpha), above 0.
        p: Probability that a sample is mixed, in [0, 1].
        name: Name in :data:`samix.POLICIES`.
    """

    traits = Traits(label="lam", learned=True, needs=("features",))

    def __init__(
        self, mixer: Mixer, *, alpha: float = 2.0, p: float = 1.0, name: str = "samix"
    ) -> None:
        super().__init__()
        check_probability(p)
        check_alpha(alpha)
        self.mixer = mixer
        self.alpha = alpha
        self.p = p
        self.name = name

    def plan(
        self,
        images: Tensor,
        *,
        target: Tensor | None = None,
        evidence: Evidence | None = None,
        generator: torch.Generator | None = None,
        index: Tensor | None = None,
    ) -> MixPlan:
        """Plan the mix of a batch; the mask carries the graph of the Mixer.

        Args:
            images: (B,C,H,W).
            target: Not used: no label is needed.
            evidence: With ``features`` (B,C,h,w) of the images.
            generator: Source of randomness, on the CPU; None takes fresh entropy.
            index: (B,) int64, the partners to mix with; None draws them.

        Raises:
            ValueError: No features were given.
        """
        if evidence is None or evidence.features is None:
            raise ValueError(
                f"evidence: policy {self.name!r} expected the features of the images, got none; "
                "pass evidence=Evidence(features=...) or use it inside a method"
            )
        rule = partial(samix_plan, mixer=self.mixer, evidence=evidence, alpha=self.alpha)
        return plan_with(rule, images, p=self.p, generator=generator, index=index)


def samix_plan(
    images: Tensor,
    index: Tensor,
    generator: torch.Generator,
    *,
    mixer: Mixer,
    evidence: Evidence,
    alpha: float,
) -> MixPlan:
    """Plan of SAMix: the Mixer computes the mask from both feature maps and lam.

    The label uses lam. Source: SAMix, arXiv 2111.15454. Deviation from the public implementation:
    lam is drawn per sample, partners are never the sample itself, and the mask that the encoder
    trains on is not rescaled to another lam.
    """
    lam = draw_lam(images.shape[0], alpha, generator=generator, device=images.device)
    features, partner = pair_features(evidence, index)
    mask = mixer(features, partner, lam, (images.shape[2], images.shape[3]))
    return MixPlan(lam, index, mask, lam)


def pair_features(evidence: Evidence, index: Tensor) -> tuple[Tensor, Tensor]:
    """Return the (B,C,h,w) features of the originals and of their partners.

    Args:
        evidence: With features.
        index: (B,) int64, partner of each sample.

    Raises:
        ValueError: There are no features.
    """
    if evidence.features is None:
        raise ValueError("evidence: expected the features of the images, got none")
    source = evidence.features if evidence.partner_features is None else evidence.partner_features
    return evidence.features, source[index]


def samix(
    channels: int | None = None,
    alpha: float = 2.0,
    p: float = 1.0,
    lam_margin: float | None = None,
    mixer: MixerOptions | None = None,
) -> LearnedPolicy:
    """SAMix with a fresh Mixer.

    Args:
        channels: Channels of the feature map that the Mixer reads; a method fills them in.
        alpha: Parameter of Beta(alpha, alpha), above 0.
        p: Probability that a sample is mixed, in [0, 1].
        lam_margin: Where lam or 1 - lam is at most this, the mask is constant; None takes that of
            ``mixer``.
        mixer: Further choices, see :class:`samix.networks.MixerOptions`.
    """
    if channels is None:
        raise ValueError(
            "channels: policy 'samix' expected the channels of the feature map that it reads, got "
            "None; pass the name 'samix' to samix.create_method, which knows them"
        )
    options = mixer or MixerOptions()
    if lam_margin is not None:
        options = replace(options, lam_margin=lam_margin)
    return LearnedPolicy(Mixer(channels, options), alpha=alpha, p=p)
