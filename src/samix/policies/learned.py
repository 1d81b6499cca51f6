"""The policies with a Mixer: SAMix, AutoMix, AdAutoMix, and SAMix^P with a pre-trained one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from samix.mixing import Evidence, MixPlan, draw_index, draw_lam, draw_uniform, keep_clean
from samix.networks import Mixer, MixerOptions
from samix.objectives import Candidates, eta_balanced_loss, global_loss

from .policy import Policy, PolicyCard, Traits, check_alpha, check_evidence, register

if TYPE_CHECKING:
    from samix.networks import PretrainedMixer

_ADVERSARY = 0.3  # weight of the harder mix against its likeness with the sources
_AUTOMIX = MixerOptions(form="attention", value="linear", lam_curve=None, upsample="nearest")
MIXER_OPTIONS = {"samix": MixerOptions(), "automix": _AUTOMIX, "adautomix": _AUTOMIX}
"""The form of the Mixer of each learned policy, where nothing else is chosen."""


_OPTIONS = {
    "lam_margin": (
        "Where lam or 1 - lam is at most this, the mask is constant; None takes that of mixer."
    ),
    "mixer": "Further choices, see samix.networks.MixerOptions.",
}


class LearnedPolicy(Policy):
    """A policy whose masks come from a Mixer that reads feature maps of both images.

    Args:
        mixer: The Mixer; its parameters are this module's.
        alpha: Parameter of Beta(alpha, alpha), above 0.
        p: Probability that a sample is mixed, in [0, 1].
        name: Name in :data:`samix.POLICIES`.
        objective: What the Mixer learns from: the local and the "balanced" global term, the
            "global" one alone, or every second time an "adversarial" one.
    """

    traits = Traits(label="lam", learned=True, clean="cheap", needs=("features",))

    def __init__(
        self,
        mixer: Mixer,
        *,
        alpha: float = 1.0,
        p: float = 1.0,
        name: str = "samix",
        objective: Literal["balanced", "global", "adversarial"] = "balanced",
    ) -> None:
        super().__init__(name, p=p)
        check_alpha(alpha)
        self.mixer = mixer
        self.alpha = alpha
        self.objective = objective

    def rule(
        self, images: Tensor, index: Tensor, generator: torch.Generator, evidence: Evidence
    ) -> MixPlan:
        """Plan the mix of a batch; see :func:`samix_plan`."""
        return samix_plan(
            images, index, generator, mixer=self.mixer, evidence=evidence, alpha=self.alpha
        )

    def plan_both(
        self,
        images: Tensor,
        part: int,
        *,
        target: Tensor,
        evidence: Evidence,
        generator: torch.Generator,
    ) -> tuple[MixPlan, MixPlan]:
        """Plan both mixes with the same draws in one pass of the Mixer; see :class:`Policy`."""
        kind = type(self)
        changed = kind.rule is not LearnedPolicy.rule or kind.plan is not Policy.plan
        if changed or self.mixer.options.start == "paper":  # whose batch norm would see both
            return super().plan_both(
                images, part, target=target, evidence=evidence, generator=generator
            )
        known = check_evidence(evidence, self.traits.needs, self.name, len(images))
        drawn = [self._drawn(count, generator, images.device) for count in (len(images), part)]
        index, lam, clean = zip(*drawn, strict=True)
        both = _masks(self.mixer, images, known, index, torch.cat(lam))
        masks = torch.split(both, [len(images), part])
        plan, own = (
            made if left is None else keep_clean(made, left)
            for made, left in zip(map(MixPlan, lam, index, masks, lam), clean, strict=True)
        )
        return plan.detach(), own

    def _drawn(
        self, count: int, generator: torch.Generator, device: torch.device
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return partners, lam, and who stays clean, as :meth:`plan` draws them."""
        index = draw_index(count, generator=generator, device=device)
        lam = draw_lam(count, self.alpha, generator=generator, device=device)
        if self.p == 1.0:
            return index, lam, None
        return index, lam, draw_uniform(count, generator=generator, device=device) >= self.p

    def wants_likeness(self, turn: int) -> bool:
        """Say whether it is the adversary's turn, who keeps a mix like its sources."""
        return self.objective == "adversarial" and turn % 2 == 1

    def mixer_loss(
        self, candidates: Candidates, lam: Tensor, eta: float, likeness: Tensor | None = None
    ) -> Tensor:
        """Return the loss that a Mixer's mix gives to it, by the objective of the policy."""
        if self.objective == "balanced":
            return eta_balanced_loss(*candidates, lam, eta)
        loss = global_loss(*candidates, lam)
        if likeness is None:
            return loss
        return -_ADVERSARY * loss - (1.0 - _ADVERSARY) * likeness


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

    The label uses lam.
    """
    lam = draw_lam(images.shape[0], alpha, generator=generator, device=images.device)
    return MixPlan(lam, index, _masks(mixer, images, evidence, [index], lam), lam)


def _masks(
    mixer: Mixer, images: Tensor, evidence: Evidence, index: Sequence[Tensor], lam: Tensor
) -> Tensor:
    """Return the masks of several mixes of the first images of a batch, (N,1,H,W).

    Args:
        mixer: Makes them.
        images: (B,3,H,W).
        evidence: With features.
        index: Partners of the images of each mix, at most B, and N in all.
        lam: (N,) of all mixes.
    """
    features, other = evidence.known("features"), evidence.partner_features
    everyone = torch.arange(len(features), device=features.device)
    originals = [everyone[: len(some)] if len(some) < len(everyone) else everyone for some in index]
    partners = index if other is None else [some + len(features) for some in index]
    features = features if other is None else torch.cat([features, other])
    places = torch.cat([*originals, *partners])
    return mixer.masks_among(features, places, lam, (images.shape[2], images.shape[3]))


@register(
    "automix",
    PolicyCard(
        "AutoMix with a fresh Mixer: SAMix's predecessor, which learns from the global term alone.",
        source=(
            "AutoMix, arXiv 2103.13027, as SAMix, arXiv 2111.15454, describes its predecessor; its "
            "own text was not at hand"
        ),
        notes=(
            "mask = 1 - sigmoid(up(attention value)) with a linear value and features scaled by "
            "lam; the Mixer learns by the mixup cross-entropy that the momentum encoder gives to "
            "its mix. Deviations: those of samix.networks.Mixer, which starts as mixup "
            '(MixerOptions(start="paper", value="linear") does not), and of samix_plan; the area '
            "loss is off by default, since area follows lam anyway."
        ),
        options=_OPTIONS,
    ),
)
def automix(
    channels: int | None = None,
    alpha: float = 2.0,
    p: float = 1.0,
    lam_margin: float | None = None,
    mixer: MixerOptions | None = None,
) -> LearnedPolicy:
    made = _fresh_mixer("automix", channels, lam_margin, mixer or _AUTOMIX)
    return LearnedPolicy(made, alpha=alpha, p=p, name="automix", objective="global")


@register(
    "adautomix",
    PolicyCard(
        "AdAutoMix with a fresh Mixer: AutoMix, which every second time makes its mixes harder.",
        source=(
            "Adversarial AutoMixup, arXiv 2312.11954, by its public code; of the paper's text only "
            "the abstract was at hand"
        ),
        notes=(
            "In turn the Mixer lowers the mixup cross-entropy of its mix, and raises it while the "
            "mix stays like both sources: -beta CE - (1 - beta) (lam cos(z, z_a) + (1 - lam) "
            "cos(z, z_b)) with the logits z of the momentum encoder and beta 0.3. Deviations: two "
            "images are mixed, where the paper mixes three; the code adds the likeness with the "
            "other sign, which would drive the mix away from both, where the abstract says that it "
            "keeps their meaning; and those of AutoMix here."
        ),
        options=_OPTIONS,
    ),
)
def adautomix(
    channels: int | None = None,
    alpha: float = 2.0,
    p: float = 1.0,
    lam_margin: float | None = None,
    mixer: MixerOptions | None = None,
) -> LearnedPolicy:
    made = _fresh_mixer("adautomix", channels, lam_margin, mixer or _AUTOMIX)
    return LearnedPolicy(made, alpha=alpha, p=p, name="adautomix", objective="adversarial")


@register(
    "samix",
    PolicyCard(
        "SAMix with a fresh Mixer.",
        source="SAMix, arXiv 2111.15454",
        notes=(
            "Deviation from the public implementation: lam is drawn per sample, partners are never "
            "the sample itself, and the mask that the encoder trains on is not rescaled to another "
            "lam."
        ),
        options={
            "alpha": (
                "Parameter of Beta(alpha, alpha), above 0; 2 in the paper, which was worse where "
                "we measured it."
            ),
            **_OPTIONS,
            "objective": (
                'What the Mixer learns from: "balanced" is the paper\'s local + eta * global loss, '
                '"global" the global one alone, as in the public implementation.'
            ),
        },
    ),
)
def samix(
    channels: int | None = None,
    alpha: float = 1.0,
    p: float = 1.0,
    lam_margin: float | None = None,
    mixer: MixerOptions | None = None,
    objective: Literal["balanced", "global"] = "balanced",
) -> LearnedPolicy:
    if objective not in ("balanced", "global"):
        raise ValueError(f"objective: expected 'balanced' or 'global', got {objective!r}")
    made = _fresh_mixer("samix", channels, lam_margin, mixer or MIXER_OPTIONS["samix"])
    return LearnedPolicy(made, alpha=alpha, p=p, objective=objective)


def _fresh_mixer(
    name: str, channels: int | None, lam_margin: float | None, options: MixerOptions
) -> Mixer:
    if channels is None:
        raise ValueError(
            f"channels: policy {name!r} expected the channels of the feature map that it reads, "
            f"got None; pass the name {name!r} to samix.create_method, which knows them"
        )
    if lam_margin is not None:
        options = replace(options, lam_margin=lam_margin)
    return Mixer(channels, options)


class PretrainedPolicy(Policy):
    """A policy whose masks come from a frozen Mixer with an encoder of its own.

    Args:
        mixer: The Mixer with its encoder.
        alpha: Parameter of Beta(alpha, alpha), above 0.
        p: Probability that a sample is mixed, in [0, 1].
        name: What the policy is called.
    """

    traits = Traits(label="lam", reads_pixels=True)

    def __init__(
        self, mixer: PretrainedMixer, *, alpha: float = 1.0, p: float = 1.0, name: str = "samix-p"
    ) -> None:
        super().__init__(name, p=p)
        check_alpha(alpha)
        self.mixer = mixer
        self.alpha = alpha

    def rule(
        self, images: Tensor, index: Tensor, generator: torch.Generator, evidence: Evidence
    ) -> MixPlan:
        """Plan the mix of a batch, of any size and normalisation; see :func:`samix_plan`."""
        other = evidence.partner_images
        own = Evidence(
            self.mixer.features(images), None if other is None else self.mixer.features(other)
        )
        return samix_plan(
            images, index, generator, mixer=self.mixer.mixer, evidence=own, alpha=self.alpha
        )


@register(
    "samix-p",
    PolicyCard(
        "SAMix with a frozen Mixer that was trained before, which comes with the package.",
        source="SAMix^P of SAMix, arXiv 2111.15454",
        notes=(
            "Deviation: the Mixer has an encoder of its own, so that it mixes images of any size "
            "and normalisation without the user's model."
        ),
        options={
            "mixer": (
                "Name of a Mixer in this package, folder of samix.PretrainedMixer.save_pretrained, "
                'or "owner/name" of a repository on the Hugging Face hub; None takes the default '
                "one of this package."
            )
        },
    ),
)
def samix_p(
    mixer: str | Path | None = None, alpha: float = 1.0, p: float = 1.0
) -> PretrainedPolicy:
    from samix.networks import open_mixer  # noqa: PLC0415 - needs timm and huggingface_hub

    return PretrainedPolicy(open_mixer(mixer), alpha=alpha, p=p)


def pretrained(source: str | Path, alpha: float = 1.0, p: float = 1.0) -> PretrainedPolicy:
    """A pre-trained Mixer from a folder or a repository: ``samix-p`` with it, named after it."""
    policy = samix_p(source, alpha, p)
    policy.name = Path(source).name
    return policy
