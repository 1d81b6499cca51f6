"""How a method plans a mix: its policy proposes, its guard, where there is one, repairs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from samix.guard import Guard, GuardOptions, create_guard
from samix.mixing import (
    Evidence,
    MixPlan,
    Pairing,
    Relabel,
    draw_partners,
    feature_saliency,
    keep_clean,
)
from samix.policies import Policy

from .share import MixShare

GuardLike = Guard | GuardOptions | Mapping[str, Any] | bool | None
"""What the argument ``guard`` of :func:`samix.create_method` may be."""


def find_guard(guard: GuardLike, classes: Sequence[str] = ()) -> Guard | None:
    """Return a guard from what was given: one as it is, options, True for the defaults, or none.

    Args:
        guard: See :data:`GuardLike`.
        classes: Names of the classes in the order of their numbers.
    """
    if guard is None or guard is False:
        return None
    if isinstance(guard, Guard):
        return guard
    return create_guard(None if guard is True else guard, classes)


def check_guard(guard: Guard | None, policy: Policy) -> None:
    """Raise a ValueError where there is nothing to guard."""
    if guard is not None and not policy.traits.mixes:
        raise ValueError(
            f"guard: expected None with policy {policy.name!r}, which mixes nothing, got a guard"
        )
    if guard is not None and policy.traits.sources != "pair":
        raise ValueError(
            f"guard: expected None with policy {policy.name!r}, whose mixes are made of more than "
            "two images, got a guard"
        )
    if guard is not None and policy.traits.seam == "feature":
        raise ValueError(
            f"guard: expected None with policy {policy.name!r}, which mixes inside the network "
            "where a guard sees nothing, got a guard"
        )


def asks_average(guard: Guard | None) -> bool:
    """Say whether a guard needs a momentum encoder."""
    return guard is not None and (
        "plausibility" in guard.rules or guard.options.saliency == "attention"
    )


def reads_features(guard: Guard | None) -> bool:
    """Say whether a guard looks at the features of the momentum encoder."""
    return guard is not None and guard.options.visibility and guard.options.saliency == "attention"


@dataclass(frozen=True)
class Wishes:
    """What a method wants of every plan, whatever the policy.

    Attributes:
        share: How many samples are mixed at all; None mixes all that the policy mixes.
        relabel: Puts another label on the policy's plans, before the guard looks; None puts none.
        pairing: Who is mixed with whom; see :func:`samix.mixing.draw_partners`.
    """

    share: MixShare | None = None
    relabel: Relabel | None = None
    pairing: Pairing = "any"


def plan_mix(
    policy: Policy,
    guard: Guard | None,
    images: Tensor,
    *,
    wishes: Wishes | None = None,
    evidence: Evidence,
    generator: torch.Generator | None,
    target: Tensor | None = None,
    judge: Any = None,
    count: bool = True,
) -> MixPlan:
    """Plan the mix of a batch, and repair what a guard finds harmful.

    A plan that follows from number and size of the images alone costs next to nothing and is drawn
    anew where a repair wants it; the work of a Mixer is not repeated, and pairs by class are kept.

    Args:
        policy: Proposes the plan.
        guard: Repairs it, or None.
        images: (B,C,H,W).
        wishes: What is wanted of the plan besides; None wants nothing.
        evidence: What the policy needs.
        generator: Source of randomness, on the CPU; None takes fresh entropy.
        target: (B,) int64 classes.
        judge: The network that the plausibility rule asks, from images to probabilities.
        count: Add the outcome to the guard's counters.
    """
    wishes = wishes or Wishes()

    def draw(index: Tensor | None = None) -> MixPlan:
        paired = None
        if wishes.pairing != "any":
            index, paired = draw_partners(
                _known(target, wishes.pairing), wishes.pairing, generator=generator
            )
        drawn = policy.plan(
            images, target=target, evidence=evidence, generator=generator, index=index
        )
        drawn = drawn if paired is None else keep_clean(drawn, ~paired)
        drawn = drawn if wishes.share is None else wishes.share.thin(drawn, generator)
        return drawn if wishes.relabel is None else wishes.relabel(drawn)

    plan = draw()
    if guard is None:
        return plan
    if reads_features(guard) and evidence.features is not None and evidence.saliency is None:
        evidence = with_attention(evidence)

    cheap = not policy.traits.needs and not policy.traits.reads_pixels
    guarded: MixPlan = guard(
        images,
        plan,
        redraw=draw if cheap and wishes.pairing == "any" else None,
        relabel=wishes.relabel,
        target=target,
        evidence=evidence,
        judge=judge,
        generator=generator,
        count=count,
    )
    return guarded


def _known(target: Tensor | None, pairing: Pairing) -> Tensor:
    """Return the classes that pairs depend on.

    Raises:
        ValueError: There are none.
    """
    if target is None:
        raise ValueError(f"target: pairing {pairing!r} expected (B,) class numbers, got None")
    return target


def plan_view(
    policy: Policy,
    guard: Guard | None,
    images: Tensor,
    evidence: Evidence,
    generator: torch.Generator | None,
    count: bool,
) -> MixPlan:
    """Plan the mix of one view of a batch without labels; see :func:`plan_mix`."""
    known: dict[str, Any] = {"evidence": evidence, "generator": generator, "count": count}
    return plan_mix(policy, guard, images, **known)


def with_attention(evidence: Evidence) -> Evidence:
    """Return evidence whose saliency is where the features depart from their mean."""
    own, other = evidence.features, evidence.partner_features
    return Evidence(
        own,
        other,
        evidence.partner_images,
        None if own is None else feature_saliency(own),
        None if other is None else feature_saliency(other),
    )
