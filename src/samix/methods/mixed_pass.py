"""The pass of a mix through the encoder: mixed images, or features that are mixed inside."""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn

from samix.mixing import MixPlan, blend
from samix.networks import changed_at, in_fast_format, stage_module
from samix.policies import FeaturePolicy, Policy


def mixed_logits(encoder: nn.Module, policy: Policy, images: Tensor, plan: MixPlan) -> Tensor:
    """Return the (B,K) logits of the mix.

    Args:
        encoder: From (B,3,H,W) to (B,K).
        policy: The one that made the plan.
        images: (B,3,H,W), unmixed.
        plan: Its plan.
    """
    if not policy.traits.mixes:
        return cast(Tensor, encoder(in_fast_format(images)))
    if plan.stage is None or not isinstance(policy, FeaturePolicy):
        return cast(Tensor, encoder(in_fast_format(blend(images, plan))))
    with changed_at(encoder, plan.stage, lambda features: policy.mix(features, plan)):
        return cast(Tensor, encoder(in_fast_format(images)))


def check_seam(encoder: nn.Module, policy: Policy) -> None:
    """Raise a ValueError where a policy mixes at a stage that the encoder does not have."""
    if isinstance(policy, FeaturePolicy):
        for stage in policy.stages:
            if stage is not None:
                stage_module(encoder, stage)
