"""What a mixing policy is: a rule that plans the mix of a batch, what it declares, and its card.

To add a policy, write one file: a rule, and below it a function that makes the policy, under
:func:`register` with its card. ``policies/registry.py`` imports the file, and every command, the
common tests and the documentation know it by its name.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Real
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from samix.mixing import (
    Evidence,
    MixPlan,
    blend,
    check_generator,
    check_index,
    draw_index,
    draw_uniform,
    keep_clean,
)

if TYPE_CHECKING:
    from typing import Self

    from samix.objectives import Candidates

Rule = Callable[..., MixPlan]
"""From (images, index, generator) to a plan.

Where the traits say that the policy ``needs`` evidence or ``reads_pixels``, it is also given
``evidence``, an :class:`Evidence` that holds what is needed.
"""
Make = TypeVar("Make", bound=Callable[..., "Policy"])

NEEDS = {
    "features": "features (B,C,h,w) of the images",
    "gradient": "gradient (B,1,H,W) of the loss by the pixels",
    "activation": "activation (B,1,h,w) of each image's own class",
    "attention": "attention (B,1,h,w) that a transformer pays to the patches",
}
"""What a policy may need of :class:`Evidence`, in words."""


@dataclass(frozen=True)
class Traits:
    """What a policy declares about itself; the common tests run what is declared.

    Attributes:
        seam: What is mixed: the pixels of images, or a feature inside the network.
        mixes: False for the policy that leaves every image as it is.
        pairwise: A mask depends on the two images of its pair alone.
        label: Share that the label uses: the "area" of the mask, "lam" as drawn, or how much of the
            "content" of both images is shown; "attention" is the area until a method has seen
            the attention that its encoder pays to the mix.
        relabel: Another label may be put on its mixes.
        learned: The policy has parameters that a method trains.
        clean: The clean branch that a supervised method takes unless told otherwise, a key of
            :data:`samix.methods.CLEAN_BRANCHES`; "off" for none.
        needs: Fields of :class:`Evidence` that must be given.
        reads_pixels: A plan follows from what is on the images, not from their number and size
            alone.
        draws_lam: False where lam is not drawn but follows from what is on the images, as in
            GuidedMixup.
        sources: What a mix is made of: a "pair" of the batch, an image and an earlier mix
            ("history"), or "many" images of the batch.
        rows_sum_to_one: False where a label may say more or less than 1 in total.
        excused: Common tests that the paper makes impossible, by name, each with the reason.
    """

    seam: Literal["pixel", "feature"] = "pixel"
    mixes: bool = True
    pairwise: bool = True
    label: Literal["area", "lam", "content", "attention"] = "area"
    relabel: bool = True
    learned: bool = False
    clean: str = "off"
    needs: tuple[str, ...] = ()
    reads_pixels: bool = False
    draws_lam: bool = True
    sources: Literal["pair", "history", "many"] = "pair"
    rows_sum_to_one: bool = True
    excused: Mapping[str, str] = field(default_factory=dict)


_PIXELS = Traits()
_ROUNDED = 1e-3  # by which a share may leave [0, 1] in low precision


@dataclass(frozen=True)
class PolicyCard:
    """What there is to say about a policy.

    Attributes:
        sentence: What it does.
        source: Where it comes from; empty where it comes from no paper.
        notes: How it departs from there, and what else its source leaves open.
        options: What its options mean, beside those that all share.
    """

    sentence: str
    source: str = ""
    notes: str = ""
    options: Mapping[str, str] = field(default_factory=dict)


class Inside(NamedTuple):
    """A mix inside the network.

    Attributes:
        stage: Whose output is mixed: an index into timm's ``feature_info``, negative from the end.
        mix: From features (B,...) and a plan to mixed features of the same shape.
    """

    stage: int
    mix: Callable[[Tensor, MixPlan], Tensor]


def check_kind(policy: object) -> None:
    """Refuse what is neither the name of a policy nor a policy.

    Raises:
        TypeError: It is something else, such as a number of classes in the first place.
    """
    if not isinstance(policy, str | Policy):
        raise TypeError(
            "policy: expected a name in samix.POLICIES such as 'mixup', or a samix.Policy, got "
            f"{policy!r:.40} of type {type(policy).__name__}; give the policy first"
        )


class Policy(nn.Module):
    """Decides who is mixed with whom, where, and what the label says.

    :meth:`plan` is the same for all: it draws partners, asks the rule, and leaves some samples
    clean. A policy with parameters or a memory is a subclass whose ``rule`` is a method. What else
    a method of training must ask of some policies are hooks that do nothing by default:
    :meth:`mix_inside`, :meth:`after` and :meth:`mixer_loss`.

    Args:
        name: What the policy is called; a key of :data:`samix.POLICIES` for those in it.
        rule: Makes the plan for given partners; None where a subclass has one.
        traits: What the rule is.
        p: Probability that a sample is mixed, in [0, 1].
    """

    rule: Rule
    traits: Traits = _PIXELS
    mixer: Any
    """What computes the masks: a Mixer in training, a pre-trained one, or None."""
    objective: str = "balanced"
    """What a Mixer learns from; see :class:`samix.LearnedPolicy`."""
    stages: tuple[int | None, ...] = ()
    """Where in the network a batch may be mixed; None are the images."""
    looked: bool = False
    """Whether the numbers of a plan were looked at; once, as a device must be waited for."""

    def __init__(
        self, name: str, rule: Rule | None = None, traits: Traits | None = None, *, p: float = 1.0
    ) -> None:
        super().__init__()
        check_probability(p)
        self.name, self.p, self.mixer = name, p, None
        if rule is not None:
            self.rule = rule
        if traits is not None:
            self.traits = traits

    def plan(
        self,
        images: Tensor,
        *,
        target: Tensor | None = None,
        evidence: Evidence | None = None,
        generator: torch.Generator | None = None,
        index: Tensor | None = None,
    ) -> MixPlan:
        """Plan the mix of a batch. A mask carries a graph where the policy learns, and none else.

        Args:
            images: (B,C,H,W); never changed.
            target: (B,) int64 or (B,K), for rules of one's own that look at classes.
            evidence: With all that the traits say that the policy needs, and ``partner_images``
                where partners are taken from another view.
            generator: Source of randomness, on the CPU; None takes fresh entropy.
            index: (B,) int64, the partners to mix with; None draws them.

        Raises:
            ValueError: The images are no batch, the partners do not fit them (positions are looked
                at on the CPU alone), evidence that is needed was not given, or what the rule
                planned is no plan for them.
        """
        check_batch(images)
        batch, device, traits = images.shape[0], images.device, self.traits
        known: dict[str, Any] = {}
        if traits.reads_pixels and not images.is_floating_point():
            raise TypeError(
                f"images: policy {self.name!r} looks at them and expected floating point, got "
                f"{images.dtype}; convert them before mixing, for instance with images.float()"
            )
        if traits.needs or traits.reads_pixels:
            known["evidence"] = check_evidence(evidence, traits.needs, self.name, batch)
        generator = check_generator(generator)
        if index is None:
            index = draw_index(batch, generator=generator, device=device)
        elif index.shape != (batch,) or index.dtype != torch.int64:
            raise ValueError(
                f"index: expected ({batch},) int64, a partner for each image, got "
                f"{tuple(index.shape)} {index.dtype}"
            )
        else:
            check_index(index, None if traits.sources == "history" else batch)
        with torch.set_grad_enabled(traits.learned and torch.is_grad_enabled()):
            version = _version(images)
            plan = self.rule(images, index, generator, **known)
            if not isinstance(plan, MixPlan):
                raise TypeError(
                    f"plan: expected a samix.MixPlan from the rule of policy {self.name!r}, got "
                    f"{type(plan).__name__}"
                )
            if _version(images) != version:
                raise ValueError(
                    f"images: expected to stay as they are, but the rule of policy {self.name!r} "
                    "wrote into them; let it work on images.clone()"
                )
            if not (self.looked or torch.compiler.is_compiling()):
                _check_shares(plan, self.name)
                self.looked = True
            if plan.index is not index or traits.sources == "history" or len(plan) != batch:
                check_planned(plan, images, self.name)
            if self.p == 1.0:
                return plan
            drawn = draw_uniform(batch, generator=generator, device=device)
            return keep_clean(plan, drawn >= self.p)

    def plan_both(
        self,
        images: Tensor,
        part: int,
        *,
        target: Tensor,
        evidence: Evidence,
        generator: torch.Generator,
    ) -> tuple[MixPlan, MixPlan]:
        """Plan the mix of a batch for the encoder, and then one of its first images for the Mixer.

        Args:
            images: (B,C,H,W).
            part: How many the Mixer learns from, at most B.
            target: (B,) int64.
            evidence: Of the batch.
            generator: Source of randomness, on the CPU.

        Returns:
            The encoder's without, and the Mixer's with a graph.
        """
        with torch.no_grad():
            plan = self.plan(images, target=target, evidence=evidence, generator=generator)
        images, target, evidence = images[:part], target[:part], evidence.head(part)
        return plan, self.plan(images, target=target, evidence=evidence, generator=generator)

    @property
    def learns(self) -> bool:
        """Whether there are parameters that a method is to train."""
        return self.traits.learned and any(value.requires_grad for value in self.parameters())

    def own(self) -> Self:
        """Return the policy for one method: a copy where it remembers batches, else itself.

        Two methods that were given one object would otherwise mix with each other's batches.
        """
        return copy.deepcopy(self) if self.traits.sources == "history" else self

    def always(self) -> Self:
        """Return a copy of the policy that mixes every sample."""
        other = copy.copy(self)
        other.p = 1.0
        return other

    def mix(self, images: Tensor, plan: MixPlan) -> Tensor:
        """Return the mix of images, or of features (B,C,h,w) where such are mixed."""
        return blend(images, plan)

    def mix_inside(self, generator: torch.Generator) -> Inside | None:
        """Draw where in the network the batch is mixed; None where its images are mixed.

        Args:
            generator: Source of randomness, on the CPU.
        """
        return None

    def after(self, mixed: Tensor, soft_target: Tensor) -> None:
        """Take note of a batch that was mixed; asked of policies whose sources are a history.

        Args:
            mixed: (B,C,H,W) mixed images.
            soft_target: (B,K) their labels.
        """

    def wants_likeness(self, turn: int) -> bool:
        """Say whether the loss of the Mixer is about how like its sources a mix is.

        Args:
            turn: How often the Mixer learned before.
        """
        return False

    def mixer_loss(
        self, candidates: Candidates, lam: Tensor, eta: float, likeness: Tensor | None = None
    ) -> Tensor:
        """Return the scalar loss that a Mixer's mix gives to it; asked of policies that learn.

        Args:
            candidates: What the mix is compared with, by the momentum encoder.
            lam: (B,) weight of the original in [0, 1].
            eta: Weight of the global term beside the local one.
            likeness: Scalar, how like its sources a mix is; given where it is wanted.
        """
        raise NotImplementedError(f"policy: {self.name!r} learns and has no mixer_loss")


POLICIES: dict[str, Callable[..., Policy]] = {}
"""Every policy: its name, and the function that makes it."""
CARDS: dict[str, PolicyCard] = {}  # the card of every policy


def register(name: str, card: PolicyCard) -> Callable[[Make], Make]:
    """Name a function that makes a policy, so that every command knows it.

    Args:
        name: The key in :data:`samix.POLICIES`.
        card: What there is to say about it.

    Raises:
        ValueError: Another policy has this name already.
    """
    if name in POLICIES:
        raise ValueError(f"name: expected one that no policy has yet, got {name!r}")

    def named(make: Make) -> Make:
        POLICIES[name], CARDS[name] = make, card
        make.__doc__ = card.sentence
        return make

    return named


def check_evidence(
    evidence: Evidence | None, needs: Sequence[str], name: str, batch: int
) -> Evidence:
    """Return the evidence; a ValueError unless it holds all that is needed, of as many images."""
    known = evidence or Evidence()
    for need in needs:
        value = getattr(known, need)
        if value is None:
            raise ValueError(
                f"evidence: policy {name!r} expected the {NEEDS[need]}, got none; pass "
                f"evidence=Evidence({need}=...) or use it inside a method that knows them "
                "(samix.create_method)"
            )
        channels = "C" if need == "features" else "1"
        if value.ndim != 4 or len(value) != batch or (channels == "1" and value.shape[1] != 1):
            raise ValueError(
                f"evidence.{need}: expected ({batch},{channels},h,w) for {batch} images, got "
                f"{tuple(value.shape)}"
            )
    return known


def pair_features(evidence: Evidence, index: Tensor) -> tuple[Tensor, Tensor]:
    """Return the (B,C,h,w) features of the originals and of their partners.

    Args:
        evidence: With features.
        index: (B,) int64, partner of each sample.

    Raises:
        ValueError: The evidence holds no features.
    """
    own, other = evidence.known("features"), evidence.partner_features
    return own, (own if other is None else other).index_select(0, index)


def check_planned(plan: MixPlan, images: Tensor, name: str) -> None:
    """Raise a ValueError unless what a rule planned is a plan for the images, and of them."""
    if len(plan) != len(images):
        raise ValueError(
            f"plan: expected one row for each of {len(images)} images, got {len(plan)} from the "
            f"rule of policy {name!r}; plan as many mixes as there are images"
        )
    partners = plan.source.batch(images)
    plan.check_partners(len(partners), f"index in the plan of policy {name!r}")


def _check_shares(plan: MixPlan, name: str) -> None:
    """Raise a ValueError unless mask and weight of what a rule planned are shares."""
    for what, value in (("mask", None if plan.boxed else plan.mask), ("weight", plan.weight)):
        if value is None or not value.numel():
            continue
        least, most = (float(end) for end in value.detach().aminmax())
        if not (least >= -_ROUNDED and most <= 1 + _ROUNDED):  # NaN included
            raise ValueError(
                f"{what} in the plan of policy {name!r}: expected shares of the original from 0 "
                f"to 1, got {least:g} to {most:g}; clamp them, or divide by their largest"
            )


def _version(images: Tensor) -> int:
    """Return how often a batch was written into, where that is counted."""
    return 0 if torch.compiler.is_compiling() or images.is_inference() else images._version


def check_batch(images: Tensor, name: str = "images") -> None:
    """Raise a ValueError unless images are a batch (B,C,H,W)."""
    if images.ndim != 4:
        raise ValueError(
            f"{name}: expected a batch (B,C,H,W), got {tuple(images.shape)}"
            + ("; images[None] makes one of a single image" if images.ndim == 3 else "")
        )


def check_probability(p: float, name: str = "p") -> None:
    """Raise a ValueError unless p is a probability."""
    check_number(p, name)
    if not 0.0 <= p <= 1.0:
        raise ValueError(
            f"{name}: expected a probability in [0, 1], got {p}; 1 mixes every sample, 0 none"
        )


def check_number(value: object, name: str) -> None:
    """Raise a TypeError unless a value is a number."""
    if not isinstance(value, Real) or isinstance(value, bool):  # also those of numpy
        raise TypeError(f"{name}: expected a number, got {value!r}")


def check_bounds(bounds: object, name: str, most: int) -> None:
    """Raise a TypeError unless bounds are two numbers, a ValueError unless in (0, most]."""
    if not isinstance(bounds, Sequence) or isinstance(bounds, str) or len(bounds) != 2:
        raise TypeError(f"{name}: expected two numbers, low and high, got {bounds!r}")
    for value in bounds:
        check_number(value, name)
    if not 0.0 < bounds[0] <= bounds[1] <= most:
        raise ValueError(f"{name}: expected 0 < low <= high <= {most}, got {bounds}")


def check_alpha(alpha: float, name: str = "alpha") -> None:
    """Raise a ValueError unless alpha is a parameter of a Beta distribution."""
    check_number(alpha, name)
    if not 0 < alpha < math.inf:
        raise ValueError(f"{name}: expected a number above 0, got {alpha}; use p=0 to mix nothing")
