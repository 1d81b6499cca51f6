"""Rules: what a mix must fulfil, each a function from tensors to a verdict for every sample."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from samix.mixing import MixPlan, at_size

_SLACK = 1e-4  # numbers that only rounding tells apart are equal


class RuleVerdict(NamedTuple):
    """What a rule says about each sample.

    Attributes:
        passed: (B,) bool.
        number: (B,) float32, the number that was compared.
        limit: (B,) float32, what it was compared with.
    """

    passed: Tensor
    number: Tensor
    limit: Tensor


def pair_verdict(plan: MixPlan, target: Tensor, most: Tensor) -> RuleVerdict:
    """Say whether each pair of classes may be mixed with these weights.

    An unmixed sample passes. Number and limit are those of the class that is nearer to its limit,
    or further beyond it.

    Args:
        plan: The plan.
        target: (B,) int64 classes.
        most: (K,K) in [0, 1]: ``most[a, b]`` is the largest share that class b may have in the
            label of a mix with class a; 0 on both sides forbids the pair.
    """
    own, partner = target, target[plan.index]
    shares = plan.shares
    limits = torch.stack([most[partner, own], most[own, partner]], dim=1)
    worst = (shares - limits).argmax(1, keepdim=True)
    number, limit = (values.gather(1, worst).squeeze(1) for values in (shares, limits))
    return RuleVerdict((number <= limit + _SLACK) | ~plan.mixed, number, limit)


def visibility_verdict(
    plan: MixPlan,
    saliency: Tensor,
    *,
    weight: float,
    share: float,
    target: Tensor | None = None,
    empty: Tensor | None = None,
    partner_saliency: Tensor | None = None,
) -> RuleVerdict:
    """Say whether each source that the label promises keeps enough of its content in the mix.

    A source whose share w of the label is at least ``weight`` must have ``share`` of its salient
    content where the mix shows it as strongly as the label says: the content counts with
    ``min(mask / w, 1)``. Mixup, which cuts nothing away, passes at every threshold. In a pair of
    one class, that class is seen where either source is. An unmixed sample passes.

    Args:
        plan: The plan.
        saliency: (B,1,h,w) of at least 0, where the content of each image lies, of any size.
        weight: Share of the label from which on a source must be seen, in (0, 1].
        share: Share of its content that must stay visible, in [0, 1].
        target: (B,) int64 classes, where they are known.
        empty: (K,) bool, classes that have nothing to lose sight of, such as a good part; needs
            ``target``.
        partner_saliency: (B,1,h,w) of the batch that partners are taken from, where that is
            another view; None takes ``saliency``.
    """
    plan = at_size(plan, (saliency.shape[2], saliency.shape[3]))
    weights = plan.shares
    visible = _visible(plan, saliency, weights.clamp_min(weight), partner_saliency)
    if target is not None:
        classes = torch.stack([target, target[plan.index]], dim=1)
        same = (classes[:, :1] == classes[:, 1:]).expand_as(visible)
        visible = torch.where(same, visible.amax(1, keepdim=True).expand_as(visible), visible)
        if empty is not None:
            visible = torch.where(empty[classes], torch.ones_like(visible), visible)
    asked = (weights >= weight - _SLACK) & plan.mixed.unsqueeze(1)
    number = torch.where(asked, visible, torch.ones_like(visible)).amin(1)
    return RuleVerdict(number >= share - _SLACK, number, torch.full_like(number, share))


def _visible(
    plan: MixPlan, saliency: Tensor, weights: Tensor, partner_saliency: Tensor | None
) -> Tensor:
    """Return (B,2) shares of both contents that are shown as strongly as (B,2) weights say."""
    region = saliency.float()
    others = region if partner_saliency is None else partner_saliency.float()
    whole = others.flatten(1).sum(1)[plan.index]
    # both are read where the plan has moved them
    original = plan.source.original(region).flatten(1)
    others = plan.source.partner(others, plan.index).flatten(1)
    mask = plan.mask.flatten(1)
    own, partner = weights.unbind(1)
    first = (original * (mask / own[:, None]).clamp_max(1.0)).sum(1)
    second = (others * ((1.0 - mask) / partner[:, None]).clamp_max(1.0)).sum(1)
    shown = torch.stack([first, second], dim=1)
    total = torch.stack([region.flatten(1).sum(1), whole], dim=1)
    return torch.where(total > 0, shown / total, torch.ones_like(shown)).clamp_max(1.0)


def plausibility_verdict(
    probability: Tensor, plan: MixPlan, target: Tensor, least: float
) -> RuleVerdict:
    """Say whether a network sees the two sources in each mix.

    Args:
        probability: (B,K), what the network gives to the classes of the mix.
        plan: The plan.
        target: (B,) int64 classes.
        least: Probability that the classes of both sources must have together, in (0, 1).
    """
    own, partner = target.unsqueeze(1), target[plan.index].unsqueeze(1)
    first = probability.gather(1, own).squeeze(1)
    second = probability.gather(1, partner).squeeze(1)
    both = torch.where(own.squeeze(1) == partner.squeeze(1), first, first + second).float()
    return RuleVerdict((both >= least) | ~plan.mixed, both, torch.full_like(both, least))


def range_verdict(plan: MixPlan, margin: float) -> RuleVerdict:
    """Say whether weight, area and lam of each mix lie within a margin of each other.

    Args:
        plan: The plan.
        margin: Largest distance, in [0, 1].
    """
    numbers = torch.stack([plan.weight, plan.area, plan.lam])
    apart = numbers.amax(0) - numbers.amin(0)
    return RuleVerdict(apart <= margin + _SLACK, apart, torch.full_like(apart, margin))
