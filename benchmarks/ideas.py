"""Ideas by which learned mixing might win: each is one switch on a finished method.

An idea that pays moves into the library; the others stay here, with their rows in the results. They
change what the encoder trains on (or, where it says so, what the Mixer is rewarded for); the
Mixer's own mixes, by which it learns, stay as they are unless it says so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

import samix
from samix.methods.mixer_step import plan_loss
from samix.mixing import MixPlan, check_generator, draw_uniform
from samix.networks import logit_with_mean
from samix.objectives import class_candidates, eta_balanced_loss, global_loss
from samix.policies import Evidence

Method = samix.SupervisedMethod
Changed = Callable[[MixPlan, dict[str, Any]], MixPlan]


def planned_by(method: Method, change: Changed) -> None:
    """Let ``change(plan, arguments)`` follow each plan that the encoder trains on.

    Those are planned without gradient, the Mixer's own with it.
    """
    policy: Any = method.policy
    own = policy.plan

    def plan(images: Tensor, **arguments: Any) -> MixPlan:
        found: MixPlan = own(images, **arguments)
        return found if torch.is_grad_enabled() else change(found, {"images": images, **arguments})

    policy.plan = plan


def switch(method: Method, *, share: float, other: str, **options: Any) -> None:
    """A share of the samples is mixed by a free policy instead."""
    free = samix.create_policy(other, **options)

    def change(plan: MixPlan, arguments: dict[str, Any]) -> MixPlan:
        generator = check_generator(arguments.get("generator"))
        second = free.plan(arguments["images"], generator=generator)
        taken = draw_uniform(len(plan), generator=generator) < share
        return MixPlan(
            *(
                torch.where(taken.view(-1, *[1] * (new.ndim - 1)), new, old)
                for old, new in zip(parts(plan), parts(second), strict=True)
            )
        )

    planned_by(method, change)


def parts(plan: MixPlan) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return lam, index, mask and weight."""
    return plan.lam, plan.index, plan.mask, plan.weight


def sharpen(method: Method, *, factor: float) -> None:
    """The logits of the mask are multiplied, its area stays; below 1 the mask becomes flatter."""

    def change(plan: MixPlan, arguments: dict[str, Any]) -> MixPlan:
        logit = torch.logit(plan.mask.flatten(2), eps=1e-4) * factor
        mask = torch.sigmoid(logit_with_mean(logit, plan.area.view(-1, 1, 1)))
        return replace(plan, mask=mask.view_as(plan.mask))

    planned_by(method, change)


def binary(method: Method) -> None:
    """Each pixel shows one image: the lam of the pixels with the highest mask the original."""

    def change(plan: MixPlan, arguments: dict[str, Any]) -> MixPlan:
        flat = plan.mask.flatten(1)
        noise = draw_uniform(*flat.shape, generator=arguments.get("generator"))  # breaks ties
        rank = (flat + 1e-6 * noise).argsort(1, descending=True).argsort(1)
        mask = (rank < (plan.lam * flat.shape[1]).unsqueeze(1)).float().view_as(plan.mask)
        return replace(plan, mask=mask, weight=mask.mean((1, 2, 3)))

    planned_by(method, change)


def confident(method: Method, *, candidates: int) -> None:
    """Of several partners the one is taken whose mask has the most structure."""
    policy: Any = method.policy
    own = policy.plan

    def plan(images: Tensor, **arguments: Any) -> MixPlan:
        if torch.is_grad_enabled():
            result: MixPlan = own(images, **arguments)
            return result
        plans = [own(images, **arguments) for _ in range(candidates)]
        structure = torch.stack([one.mask.flatten(1).std(1) for one in plans])
        best = structure.argmax(0)
        rows = torch.arange(len(images))
        return MixPlan(
            *(torch.stack(part)[best, rows] for part in zip(*map(parts, plans), strict=True))
        )

    policy.plan = plan


def alpha_by_stage(method: Method, *, first: float, last: float) -> None:
    """Alpha moves in a straight line over the run."""
    policy: Any = method.policy
    own, steps = policy.plan, method.counter.planned or 1

    def plan(images: Tensor, **arguments: Any) -> MixPlan:
        policy.alpha = first + (last - first) * min(method.counter.steps / steps, 1.0)
        result: MixPlan = own(images, **arguments)
        return result

    policy.plan = plan


def hard(method: Method, *, weight: float) -> None:
    """The Mixer is also rewarded for mixes that are hard for the encoder.

    While the momentum encoder still tells the sources apart, as AdAutoMix argues (arXiv
    2312.11954).
    """

    def mixer_loss(
        images: Tensor,
        target: Tensor,
        evidence: Evidence,
        generator: torch.Generator,
        *,
        mixing: bool,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        average = method.average
        if average is None:
            raise RuntimeError("average: expected a momentum encoder, got none")
        part = method.cost.mixer_part(len(images))
        images, target, evidence = images[:part], target[:part], evidence.head(part)
        plan = method.policy.plan(images, target=target, evidence=evidence, generator=generator)

        def loss_of(mask: Tensor) -> Tensor:
            mixed = samix.blend(images, replace(plan, mask=mask))
            easy = class_candidates(average(mixed), target, plan.index)
            loss = eta_balanced_loss(*easy, plan.lam, method.options.eta)
            method.encoder.eval()
            difficult = class_candidates(method.encoder(mixed), target, plan.index)
            method.encoder.train()
            return loss - weight * global_loss(*difficult, plan.lam)

        return plan_loss(plan, loss_of, method.options.area_weight, method.options.area_margin)

    method._mixer_loss = mixer_loss  # type: ignore[method-assign]


IDEAS: dict[str, Callable[[Method], None]] = {
    "sharpened 3 times": partial(sharpen, factor=3.0),
    "binary": binary,
    "hard for the encoder": partial(hard, weight=0.3),
    "best of 2 partners": partial(confident, candidates=2),
    "alpha 0.2 to 2": partial(alpha_by_stage, first=0.2, last=2.0),
    "alpha 2 to 0.2": partial(alpha_by_stage, first=2.0, last=0.2),
    "flattened": partial(sharpen, factor=0.5),
    "half mixup-cutmix": partial(
        switch, share=0.5, other="mixup-cutmix", alpha=1.0, cutmix_alpha=1.0
    ),
    "half cutmix": partial(switch, share=0.5, other="cutmix", alpha=1.0),
    "half mixup": partial(switch, share=0.5, other="mixup", alpha=1.0),
}
"""By name: what changes a fresh method in place."""
