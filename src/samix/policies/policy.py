"""What a mixing policy is: something that plans the mix of a batch, and says what it needs."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

import torch
from torch import Tensor

from samix.mixing import Evidence, MixPlan, check_generator, draw_index, draw_uniform, keep_clean


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
    needs: tuple[str, ...] = ()
    reads_pixels: bool = False
    draws_lam: bool = True
    sources: Literal["pair", "history", "many"] = "pair"
    rows_sum_to_one: bool = True
    excused: Mapping[str, str] = field(default_factory=dict)


class Policy(Protocol):
    """Decides lam, index, mask and weight of a mix."""

    @property
    def name(self) -> str:
        """Name in :data:`samix.POLICIES`."""

    @property
    def traits(self) -> Traits:
        """What the policy is and needs."""

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
            images: (B,C,H,W); never changed.
            target: (B,) int64 or (B,K), for policies that look at classes.
            evidence: What the policy's traits say that it needs.
            generator: Source of randomness, on the CPU; None takes fresh entropy.
            index: (B,) int64, the partners to mix with; None draws them.
        """


Rule = Callable[[Tensor, Tensor, torch.Generator], MixPlan]
"""From (images, index, generator) to a plan."""


@dataclass(frozen=True)
class StaticPolicy:
    """A policy that is a rule: it draws partners, applies the rule, and leaves some samples clean.

    Attributes:
        name: Name in :data:`samix.POLICIES`.
        rule: Makes the plan for given partners.
        p: Probability that a sample is mixed, in [0, 1].
        traits: What the rule is.
    """

    name: str
    rule: Rule
    p: float = 1.0
    traits: Traits = Traits()

    def __post_init__(self) -> None:
        check_probability(self.p)

    def plan(
        self,
        images: Tensor,
        *,
        target: Tensor | None = None,
        evidence: Evidence | None = None,
        generator: torch.Generator | None = None,
        index: Tensor | None = None,
    ) -> MixPlan:
        """Plan the mix of a batch; see :meth:`Policy.plan`."""
        return plan_with(self.rule, images, p=self.p, generator=generator, index=index)


def plan_with(
    rule: Rule,
    images: Tensor,
    *,
    p: float,
    generator: torch.Generator | None,
    index: Tensor | None = None,
) -> MixPlan:
    """Draw partners, apply a rule, and leave each sample clean with probability 1 - p.

    Args:
        rule: Makes the plan for given partners.
        images: (B,C,H,W).
        p: Probability that a sample is mixed, in [0, 1].
        generator: Source of randomness, on the CPU; None takes fresh entropy.
        index: (B,) int64, the partners to mix with; None draws them.
    """
    check_batch(images)
    generator = check_generator(generator)
    batch, device = images.shape[0], images.device
    if index is None:
        index = draw_index(batch, generator=generator, device=device)
    elif index.shape != (batch,) or index.dtype != torch.int64:
        raise ValueError(
            f"index: expected ({batch},) int64, a partner for each image, got "
            f"{tuple(index.shape)} {index.dtype}"
        )
    plan = rule(images, index, generator)
    if p == 1.0:
        return plan
    return keep_clean(plan, draw_uniform(batch, generator=generator, device=device) >= p)


def check_batch(images: Tensor, name: str = "images") -> None:
    """Raise a ValueError unless images are a batch (B,C,H,W)."""
    if images.ndim != 4:
        raise ValueError(
            f"{name}: expected a batch (B,C,H,W), got {tuple(images.shape)}; images[None] makes "
            "one of a single image"
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
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise TypeError(f"{name}: expected a number, got {value!r}")


def check_alpha(alpha: float, name: str = "alpha") -> None:
    """Raise a ValueError unless alpha is a parameter of a Beta distribution."""
    check_number(alpha, name)
    if not 0 < alpha < math.inf:
        raise ValueError(f"{name}: expected a number above 0, got {alpha}; use p=0 to mix nothing")
