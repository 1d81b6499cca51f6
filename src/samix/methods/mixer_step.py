"""What the Mixer's step has in common in every method: the mask's loss, and its signs of life."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from samix.mixing import (
    MixPlan,
    area_of,
    blend,
    box_mask,
    constant_mask,
    cut_box,
    draw_index,
    draw_uniform,
    step_generator,
)
from samix.objectives import (
    Candidates,
    area_lam_correlation,
    area_loss,
    attention_entropy,
    exchange_correlation,
    global_loss,
    local_loss,
    partner_change,
    within_mask_deviation,
)
from samix.policies import Evidence, Policy, pair_features

_GRADIENT_SCALE = 1024.0


def untouched(policy: Policy) -> Tensor:
    """Return a loss of 0 that has a gradient of 0 for every parameter that is to be trained."""
    trained = [parameter for parameter in policy.parameters() if parameter.requires_grad]
    return (nn.utils.parameters_to_vector(trained) * 0.0).sum()


class _Carried(torch.autograd.Function):
    """A loss whose gradient by the mask is known already."""

    @staticmethod
    def forward(ctx: Any, mask: Tensor, loss: Tensor, gradient: Tensor) -> Tensor:
        ctx.save_for_backward(gradient)
        return loss.clone()

    @staticmethod
    def backward(ctx: Any, *outputs: Tensor) -> tuple[Tensor, None, None]:
        (gradient,) = ctx.saved_tensors
        return gradient * outputs[0], None, None


def judged(mask: Tensor, loss_of: Callable[[Tensor], Tensor]) -> Tensor:
    """Return the loss of a mask, with its gradient taken at once.

    The graph of the network that judges is freed before the encoder builds its own, so that the two
    never lie in memory together. Value and gradient are those of ``loss_of(mask)``. A constant
    factor keeps the gradient within the range of float16; it is a power of two, hence exact.
    """
    if not mask.requires_grad:
        return loss_of(mask)
    leaf = mask.detach().requires_grad_(True)
    loss = loss_of(leaf)
    (gradient,) = torch.autograd.grad(loss * _GRADIENT_SCALE, leaf)
    judged_loss: Tensor = _Carried.apply(mask, loss.detach(), gradient / _GRADIENT_SCALE)
    return judged_loss


def plan_loss(
    plan: MixPlan, loss_of: Callable[[Tensor], Tensor], area_weight: float, area_margin: float
) -> tuple[Tensor, dict[str, Tensor]]:
    """Return the Mixer's loss for its plan, and its terms."""
    loss = judged(plan.mask, loss_of)
    terms = {"mixer": loss.detach(), **mask_terms(plan)}
    if area_weight:
        loss = loss + area_weight * area_loss(plan.mask, plan.lam, area_margin)
    return loss, terms


@torch.no_grad()
def mask_terms(plan: MixPlan) -> dict[str, Tensor]:
    """Return the signs of life that cost nothing: structure of the masks, and area against lam."""
    return {
        "mask_deviation": within_mask_deviation(plan.mask),
        "area_lam_correlation": area_lam_correlation(plan.mask, plan.lam),
    }


@torch.no_grad()
def signs_of_life(
    policy: Policy,
    images: Tensor,
    evidence: Evidence,
    *,
    judge: Callable[[Tensor, Tensor], Candidates],
    partner_images: Tensor | None = None,
) -> dict[str, Tensor]:
    """Return what shows whether a Mixer is alive, on pairs and lam that are the same at every call.

    lam is spread over 0.2 to 0.8, whatever alpha and p of the policy, so that neither clean samples
    nor the constant masks of an extreme lam dilute what is measured.

    The losses of the learned mix stand beside those of mixup and of CutMix for the same pairs and
    lam under the same network. A Mixer that is alive has masks with structure and a lower loss than
    mixup.

    Returns:
        Scalars: ``mask_deviation``, ``area_lam_correlation``, ``exchange_correlation`` and
        ``partner_change`` (see :mod:`samix.objectives.mask`), ``attention_entropy`` where the Mixer
        has an attention, and ``{samix,mixup,cutmix}_{local,global}``.
    """
    generator = step_generator(0, 0)
    batch, size, device = len(images), (images.shape[2], images.shape[3]), images.device
    index = draw_index(batch, generator=generator, device=device)
    lam = 0.2 + 0.6 * draw_uniform(batch, generator=generator, device=device)
    training = policy.training
    policy.eval()  # measuring changes nothing, also with batch norm in a Mixer of the paper's form
    features, partner = pair_features(evidence, index)
    mask = policy.mixer(features, partner, lam, size)
    exchanged = policy.mixer(partner, features, 1.0 - lam, size)
    source = features if evidence.partner_features is None else evidence.partner_features
    other = policy.mixer(features, source[index.roll(1)], lam, size)
    attention = policy.mixer.attention(features, partner, lam)
    policy.train(training)
    learned = MixPlan(lam, index, mask, lam)
    centre = draw_uniform(len(lam), 2, generator=generator, device=device)
    box = box_mask(cut_box(lam, centre, size), size)
    plans = {
        "samix": learned,
        "mixup": MixPlan(lam, index, constant_mask(lam, size), lam),
        "cutmix": MixPlan(lam, index, box, area_of(box)),
    }
    signs = {
        **mask_terms(learned),
        "exchange_correlation": exchange_correlation(mask, exchanged),
        "partner_change": partner_change(mask, other),
    }
    if attention is not None:
        signs["attention_entropy"] = attention_entropy(attention)
    for name, plan in plans.items():
        candidates = judge(blend(images, plan, partner_images=partner_images), index)
        signs[f"{name}_local"] = local_loss(*candidates, plan.weight)
        signs[f"{name}_global"] = global_loss(*candidates, plan.weight)
    return signs
