"""What the Mixer's step has in common in every method: the mask's loss, and its signs of life."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from samix.mixing import (
    MixPlan,
    area_of,
    blend,
    box_mask,
    constant_mask,
    cut_box,
    draw_uniform,
    step_generator,
)
from samix.objectives import (
    area_lam_correlation,
    area_loss,
    attention_entropy,
    global_loss,
    local_loss,
    within_mask_deviation,
)
from samix.policies import Evidence, LearnedPolicy

_GRADIENT_SCALE = 1024.0


def mask_loss(plan: MixPlan, weight: float, margin: float) -> Tensor:
    """Return the weighted area loss of the Mixer's plan, a scalar."""
    return weight * area_loss(plan.mask, plan.lam, margin)


def judged(mask: Tensor, loss_of: Callable[[Tensor], Tensor]) -> Tensor:
    """Return the loss of a mask, with its gradient taken at once.

    The graph of the network that judges is freed before the encoder builds its own, so that the two
    never lie in memory together. Value and gradient are those of ``loss_of(mask)``: the gradient g
    is kept, and ``sum(mask * g)`` carries it on. The constant factor keeps g within the range of
    float16; it is a power of two, hence exact.

    Args:
        mask: (B,1,H,W), the Mixer's.
        loss_of: From a mask to a scalar.
    """
    if not mask.requires_grad:
        return loss_of(mask)
    leaf = mask.detach().requires_grad_(True)
    loss = loss_of(leaf)
    (gradient,) = torch.autograd.grad(loss * _GRADIENT_SCALE, leaf)
    carried = (mask * (gradient / _GRADIENT_SCALE)).sum()
    return loss.detach() + (carried - carried.detach())


@torch.no_grad()
def mask_terms(plan: MixPlan) -> dict[str, Tensor]:
    """Return the signs of life that cost nothing: structure of the masks, and area against lam."""
    return {
        "mask_deviation": within_mask_deviation(plan.mask),
        "area_lam_correlation": area_lam_correlation(plan.mask, plan.lam),
    }


@torch.no_grad()
def signs_of_life(
    policy: LearnedPolicy,
    images: Tensor,
    features: Tensor,
    *,
    logits_of: Callable[[Tensor], Tensor],
    candidate: Tensor,
) -> dict[str, Tensor]:
    """Return what shows whether a Mixer is alive, on pairs that are the same at every call.

    The losses of the learned mix stand beside those of mixup and of CutMix for the same pairs and
    lam under the same network. A Mixer that is alive has masks with structure and a lower loss than
    mixup.

    Args:
        policy: The learned policy.
        images: (B,3,H,W), normalised.
        features: (B,C,h,w) of the images.
        logits_of: From mixed images to (B,K) logits over the candidates.
        candidate: (B,) int64, the candidate that each image is.

    Returns:
        Scalars: ``mask_deviation``, ``area_lam_correlation``, ``attention_entropy``, and
        ``{samix,mixup,cutmix}_{local,global}``.
    """
    generator = step_generator(0, 0)
    learned = policy.plan(images, evidence=Evidence(features=features), generator=generator)
    lam, index, size = learned.lam, learned.index, (images.shape[2], images.shape[3])
    centre = draw_uniform(len(lam), 2, generator=generator, device=images.device)
    box = box_mask(cut_box(lam, centre, size), size)
    plans = {
        "samix": learned,
        "mixup": MixPlan(lam, index, constant_mask(lam, size), lam),
        "cutmix": MixPlan(lam, index, box, area_of(box)),
    }
    attention, _ = policy.mixer.attend(features, features[index], lam.view(-1, 1, 1, 1))
    signs = {**mask_terms(learned), "attention_entropy": attention_entropy(attention)}
    for name, plan in plans.items():
        logits = logits_of(blend(images, plan)).float()
        arguments = (logits, candidate, candidate[index], plan.weight)
        signs[f"{name}_local"] = local_loss(*arguments)
        signs[f"{name}_global"] = global_loss(*arguments)
    return signs
