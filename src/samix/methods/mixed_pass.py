"""The pass of a mix through the encoder: mixed images, or features that are mixed inside."""

from __future__ import annotations

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


def mixed_logits(
    encoder: nn.Module,
    policy: Policy,
    images: Tensor,
    plan: MixPlan,
    memory_format: torch.memory_format,
) -> Tensor:
    """Return the (B,K) logits of the mix.

    Args:
        encoder: From (B,3,H,W) to (B,K).
        policy: The one that made the plan.
        images: (B,3,H,W), unmixed.
        plan: Its plan.
        memory_format: Of the encoder, see :func:`samix.networks.settle_format`.
    """
    if not policy.traits.mixes:
        return cast(Tensor, encoder(in_format(images, memory_format)))
    if plan.stage is None or not isinstance(policy, FeaturePolicy):
        return cast(Tensor, encoder(in_format(blend(images, plan), memory_format)))
    with changed_at(encoder, plan.stage, lambda features: policy.mix(features, plan)):
        return cast(Tensor, encoder(in_format(images, memory_format)))


def attended_logits(
    encoder: nn.Module, images: Tensor, plan: MixPlan, memory_format: torch.memory_format
) -> tuple[Tensor, MixPlan]:
    """Return the (B,K) logits of the mix, and the plan with the label of the attention it got.

    What a guard repaired keeps the label that the guard gave it.

    Args:
        encoder: A vision transformer from (B,3,H,W) to (B,K).
        images: (B,3,H,W), unmixed.
        plan: The plan.
        memory_format: Of the encoder, see :func:`samix.networks.settle_format`.
    """
    place = last_attention(encoder)
    with watched_attention(place) as seen:
        logits = cast(Tensor, encoder(in_format(blend(images, plan), memory_format)))
    attended = by_attention(plan, place.to_map(seen[-1]))
    if plan.repair is not None:
        attended = plan.relabel(plan.weight.where(plan.repair > 0, attended.weight))
    return logits, attended


def recalled_logits(
    encoder: nn.Module,
    policy: RecursivePolicy,
    images: Tensor,
    target: Tensor,
    plan: MixPlan,
    memory_format: torch.memory_format,
) -> Tensor:
    """Return the (B,K) logits of a mix that the policy is to remember for the next batch.

    Args:
        encoder: From (B,3,H,W) to (B,K).
        policy: The one that made the plan.
        images: (B,3,H,W), unmixed.
        target: (B,) int64 classes.
        plan: Its plan.
        memory_format: Of the encoder, see :func:`samix.networks.settle_format`.
    """
    mixed = blend(images, plan)
    logits = cast(Tensor, encoder(in_format(mixed, memory_format)))
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
