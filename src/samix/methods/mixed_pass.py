"""The pass of a mix through the encoder: mixed images, or features that are mixed inside."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from samix.mixing import MixPlan, blend, by_attention, mix_targets
from samix.networks import (
    changed_at,
    in_format,
    last_attention,
    stage_module,
    watched_attention,
)
from samix.policies import FeaturePolicy, Policy, RecursivePolicy


@dataclass(frozen=True)
class EncoderPass:
    """One pass through an encoder.

    Attributes:
        encoder: From (B,3,H,W) to (B,K) logits.
        memory_format: Of the encoder, see :func:`samix.networks.settle_format`.
        clean: (N,3,H,W) images that are shown in the same pass, after those that are mixed; None
            for none.
    """

    encoder: nn.Module
    memory_format: torch.memory_format
    clean: Tensor | None = None

    def logits(self, images: Tensor) -> Tensor:
        """Return the (B + N,K) logits of (B,3,H,W) images and of the clean ones after them."""
        shown = images if self.clean is None else torch.cat([images, self.clean])
        return cast(Tensor, self.encoder(in_format(shown, self.memory_format)))


def mixed_logits(run: EncoderPass, policy: Policy, images: Tensor, plan: MixPlan) -> Tensor:
    """Return the (B + N,K) logits of the mix, and of the clean images of the pass.

    Args:
        run: The pass.
        policy: The one that made the plan.
        images: (B,3,H,W), unmixed.
        plan: Its plan.
    """
    if not policy.traits.mixes:
        return run.logits(images)
    if plan.stage is None or not isinstance(policy, FeaturePolicy):
        return run.logits(blend(images, plan))

    def mix(features: Tensor) -> Tensor:
        mixed = policy.mix(features[: len(plan)], plan)
        return mixed if run.clean is None else torch.cat([mixed, features[len(plan) :]])

    with changed_at(run.encoder, plan.stage, mix):
        return run.logits(images)


def attended_logits(run: EncoderPass, images: Tensor, plan: MixPlan) -> tuple[Tensor, MixPlan]:
    """Return logits as :func:`mixed_logits`, and the plan with the label of the attention it got.

    What a guard repaired keeps the label that the guard gave it.

    Args:
        run: The pass, through a vision transformer.
        images: (B,3,H,W), unmixed.
        plan: The plan.
    """
    place = last_attention(run.encoder)
    with watched_attention(place) as seen:
        logits = run.logits(blend(images, plan))
    attended = by_attention(plan, place.to_map(seen[-1])[: len(plan)])
    if plan.repair is not None:
        attended = plan.relabel(plan.weight.where(plan.repair > 0, attended.weight))
    return logits, attended


def recalled_logits(
    run: EncoderPass, policy: RecursivePolicy, images: Tensor, target: Tensor, plan: MixPlan
) -> Tensor:
    """Return logits as :func:`mixed_logits`, of a mix that the policy remembers for the next batch.

    Args:
        run: The pass.
        policy: The one that made the plan.
        images: (B,3,H,W), unmixed.
        target: (B,) int64 classes.
        plan: Its plan.
    """
    mixed = blend(images, plan)
    logits = run.logits(mixed)
    policy.remember(mixed, mix_targets(target, plan, logits.shape[1]))
    return logits


def check_seam(encoder: nn.Module, policy: Policy) -> None:
    """Raise a ValueError where a policy mixes or reads what the encoder does not have."""
    if "attention" in policy.traits.needs:
        last_attention(encoder)
    if isinstance(policy, FeaturePolicy):
        for stage in policy.stages:
            if stage is not None:
                stage_module(encoder, stage)
