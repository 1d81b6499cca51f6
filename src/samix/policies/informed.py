"""Policies that read what a method knows of the images beyond their pixels: the evidence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from samix.mixing import Evidence, MixPlan

from .policy import Traits, check_probability, plan_with

InformedRule = Callable[..., MixPlan]
"""A rule that also takes ``evidence``."""

NEEDS = {
    "features": "features (B,C,h,w) of the images",
    "gradient": "gradient (B,1,H,W) of the loss by the pixels",
    "activation": "activation (B,1,h,w) of each image's own class",
    "attention": "attention (B,1,h,w) that a transformer pays to the patches",
}
"""What a policy may need of :class:`Evidence`, in words."""


@dataclass(frozen=True)
class InformedPolicy:
    """A policy that is a rule over the images and what is known about them.

    Attributes:
        name: Name in :data:`samix.POLICIES`.
        rule: Makes the plan for given partners from the evidence.
        traits: What the rule is, with what it needs.
        p: Probability that a sample is mixed, in [0, 1].
    """

    name: str
    rule: InformedRule
    traits: Traits
    p: float = 1.0

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
            images: (B,C,H,W).
            target: Not used.
            evidence: With all that the policy's traits say that it needs.
            generator: Source of randomness, on the CPU; None takes fresh entropy.
            index: (B,) int64, the partners to mix with; None draws them.

        Raises:
            ValueError: Something that is needed was not given.
        """
        known = check_evidence(evidence, self.traits.needs, self.name, len(images))
        rule = partial(self.rule, evidence=known)
        return plan_with(rule, images, p=self.p, generator=generator, index=index)


def check_evidence(
    evidence: Evidence | None, needs: Sequence[str], name: str, batch: int
) -> Evidence:
    """Return the evidence where it holds all that is needed.

    Args:
        evidence: What was given.
        needs: Fields that must be there.
        name: Of the policy that needs them.
        batch: Number of images B.

    Raises:
        ValueError: A field is missing, or is of another number of images.
    """
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
