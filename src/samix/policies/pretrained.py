"""The policy of a pre-trained Mixer (SAMix^P): it needs no training, no labels, no user's model."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from samix.mixing import Evidence, MixPlan
from samix.networks import PretrainedMixer, open_mixer

from .learned import samix_plan
from .policy import Traits, check_alpha, check_probability, plan_with


class PretrainedPolicy(nn.Module):
    """A policy whose masks come from a frozen Mixer with an encoder of its own.

    Args:
        mixer: The Mixer with its encoder.
        alpha: Parameter of Beta(alpha, alpha), above 0.
        p: Probability that a sample is mixed, in [0, 1].
        name: What the policy is called.
    """

    traits = Traits(label="lam", reads_pixels=True)

    def __init__(
        self,
        mixer: PretrainedMixer,
        *,
        alpha: float = 1.0,
        p: float = 1.0,
        name: str = "samix-p",
    ) -> None:
        super().__init__()
        check_probability(p)
        check_alpha(alpha)
        self.mixer = mixer
        self.alpha = alpha
        self.p = p
        self.name = name

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
        """Plan the mix of a batch.

        Args:
            images: (B,3,H,W) of any size and normalisation.
            target: Not used: no label is needed.
            evidence: ``partner_images`` where partners are taken from another view.
            generator: Source of randomness, on the CPU; None takes fresh entropy.
            index: (B,) int64, the partners to mix with; None draws them.
        """
        other = None if evidence is None else evidence.partner_images
        own = Evidence(
            self.mixer.features(images), None if other is None else self.mixer.features(other)
        )
        rule = partial(samix_plan, mixer=self.mixer.mixer, evidence=own, alpha=self.alpha)
        return plan_with(rule, images, p=self.p, generator=generator, index=index)


def samix_p(
    mixer: str | Path | None = None, alpha: float = 1.0, p: float = 1.0
) -> PretrainedPolicy:
    """SAMix with a frozen Mixer that was trained before, which comes with the package.

    Source: SAMix^P of SAMix, arXiv 2111.15454. Deviation: the Mixer has an encoder of its own, so
    that it mixes images of any size and normalisation without the user's model.

    Args:
        mixer: Name of a Mixer in this package, folder of
            :meth:`samix.PretrainedMixer.save_pretrained`, or "owner/name" of a repository on the
            Hugging Face hub; None takes the default one of this package.
        alpha: Parameter of Beta(alpha, alpha), above 0.
        p: Probability that a sample is mixed, in [0, 1].

    Raises:
        ValueError: No such Mixer; or it is damaged, of another version, or cannot be fetched.
    """
    return PretrainedPolicy(open_mixer(mixer), alpha=alpha, p=p)


def pretrained(source: str | Path, alpha: float = 1.0, p: float = 1.0) -> PretrainedPolicy:
    """A pre-trained Mixer from a folder or a repository: ``samix-p`` with it, named after it.

    Args:
        source: Folder or repository, as for :func:`samix_p`.
        alpha: Parameter of Beta(alpha, alpha), above 0.
        p: Probability that a sample is mixed, in [0, 1].
    """
    policy = samix_p(source, alpha, p)
    policy.name = Path(source).name
    return policy
