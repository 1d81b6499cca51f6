"""What can be chosen about self-supervised training, and what goes together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from samix.networks import Clusters, KeyQueue, Tap
from samix.policies import Policy

from .clean import CleanBranch, CleanLike, check_clean, find_clean
from .contrast import Contrast
from .mixer_step import check_mixer_numbers
from .rivals import MixedObjective
from .step import DEFAULT_COST, Cost, check_mix_batches, check_steps, find_cost


@dataclass(frozen=True)
class SelfSupervisedOptions:
    """What can be chosen about self-supervised training.

    Attributes:
        eta: Weight of the global term in the Mixer's loss, 0 or more; without negatives there is
            no such term.
        area_weight: Weight of the area loss in the Mixer's loss, 0 or more.
        area_margin: Distance of area and lam that costs nothing, in [0, 1].
        clean_branch: Whether and how the encoder also learns from unmixed views: True, a name in
            :data:`samix.methods.CLEAN_BRANCHES`, or a :class:`samix.methods.CleanBranch` of mode
            "branch" with the shared head; False shows it mixed views alone.
        mix_batches: Batches after the first so many are not mixed, nor does the Mixer learn; None
            mixes all.
        cross_view: Partners are taken from the other view of the images.
        mixer_candidates: What the Mixer's mixes are told apart from: "instances" (SAMix-I) or
            "clusters" of keys (SAMix-C).
        cost: "fast", "seldom" or "full", or a :class:`samix.methods.Cost`: how much work a
            learned policy may cause. Where one pass gives features and keys, ``look_scale`` does
            not apply.
        steps: Planned number of optimiser steps, from which the decay is derived; None if unknown.
        seed: Seed of all draws.
    """

    eta: float = 0.5
    area_weight: float = 0.0
    area_margin: float = 0.1
    clean_branch: CleanLike = False
    mix_batches: int | None = None
    cross_view: bool = False
    mixer_candidates: Literal["instances", "clusters"] = "instances"
    cost: str | Cost = DEFAULT_COST
    steps: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        find_cost(self.cost)
        find_clean(self.clean_branch)
        check_mixer_numbers(self.eta, self.area_weight, self.area_margin)
        if self.mixer_candidates not in ("instances", "clusters"):
            raise ValueError(
                "mixer_candidates: expected 'instances' or 'clusters', got "
                f"{self.mixer_candidates!r}"
            )
        check_mix_batches(self.mix_batches)
        check_steps(self.steps)


@dataclass(frozen=True)
class Memory:
    """What a method keeps of earlier steps.

    Attributes:
        queue: Keys: negatives, or what clusters are found in; None keeps none.
        clusters: Centroids for SAMix-C, or None.
    """

    queue: KeyQueue | None = None
    clusters: Clusters | None = None


def check_fit(
    policy: Policy,
    tap: Tap | None,
    options: SelfSupervisedOptions,
    contrast: Contrast,
    objective: MixedObjective,
) -> None:
    """Raise a ValueError where policy, tap, options and method do not go together."""
    special = policy.traits.seam == "feature" or policy.traits.sources != "pair"
    if special or policy.traits.label == "attention":
        raise ValueError(
            f"policy: expected one that mixes pairs of images and asks no classifier with method "
            f"{contrast.name!r}, got {policy.name!r}; use it in method 'supervised'"
        )
    if policy.traits.learned and (
        policy.objective == "adversarial"
        or (policy.objective == "global" and contrast.negatives is None)
    ):
        raise ValueError(
            f"policy: {policy.name!r} has no loss for its Mixer in method {contrast.name!r}; take "
            "'samix', or method 'supervised'"
        )
    for need in policy.traits.needs:
        if need != "features":
            raise ValueError(
                f"policy: expected one that needs no {need} with method {contrast.name!r}, got "
                f"{policy.name!r}; use it in method 'supervised'"
            )
    if policy.traits.learned and tap and policy.mixer.channels != tap.channels:
        raise ValueError(
            f"policy: expected a Mixer for the {tap.channels} channels at tap {tap.index}, got "
            f"one for {policy.mixer.channels}"
        )
    clean = find_clean(options.clean_branch)
    check_clean(policy, clean)
    if clean is not None:
        _check_clean_views(clean, options, contrast)
    if not policy.traits.mixes and options.cross_view:
        raise ValueError(
            f"cross_view: expected False with policy {policy.name!r}, which mixes nothing, got True"
        )
    if options.cross_view and objective.mixed_keys:
        raise ValueError(
            "cross_view: expected False where mixes are compared with mixed keys (policy 'sdmp'), "
            "which would show the same view of the partner in both, got True"
        )
    if options.mixer_candidates == "clusters" and not policy.traits.learned:
        raise ValueError(
            f"mixer_candidates: expected 'instances' with policy {policy.name!r}, which has no "
            "Mixer to train, got 'clusters'"
        )
    if options.cross_view and not contrast.momentum_keys:
        raise ValueError(
            f"cross_view: expected False with method {contrast.name!r}, which has no keys of the "
            "other view without a further pass, got True"
        )


def _check_clean_views(
    clean: CleanBranch, options: SelfSupervisedOptions, contrast: Contrast
) -> None:
    """Raise a ValueError where a clean branch does not go with methods without labels."""
    wanted = {"mode": "branch", "head": "shared"}
    if not contrast.momentum_keys:  # both views are queries and keys of the whole batch
        wanted["fraction"] = 1.0  # type: ignore[assignment]
    if options.cross_view:  # features of the partners are those of the other view
        wanted["look"] = "average"
    for name, value in wanted.items():
        if getattr(clean, name) != value:
            how = " and cross_view" if name == "look" else ""
            raise ValueError(
                f"clean_branch.{name}: expected {value!r} with method {contrast.name!r}{how}, got "
                f"{getattr(clean, name)!r}"
            )
