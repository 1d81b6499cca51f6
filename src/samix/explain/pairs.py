"""Mixes of given pairs at a given lam, by the policy of a run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import cast

import numpy as np
import torch
from torch import Tensor

from samix.errors import InputError
from samix.mixing import (
    IN_PLACE,
    Grid,
    MixPlan,
    area_of,
    blend,
    box_mask,
    choose_source,
    constant_mask,
    draw_uniform,
    keep_clean,
    step_generator,
)
from samix.mixing.draws import given_lam
from samix.policies import Policy
from samix.policies.static import resizemix_plan

from .results import Mix
from .subject import RunNetwork, RunPhotos

_OWN_LAM = "it finds lam by itself, where others take samix.mixing.draw_lam"
_SAME = 1e-3  # distance at which a lam is the given one


def plan_pairs(
    subject: RunNetwork, originals: Tensor, partners: Tensor, lam: Tensor, *, seed: int = 0
) -> MixPlan:
    """Plan the mix of each original with the partner beside it, at a given lam.

    What is random (the place of a box) depends on seed and position alone, so that one pair can be
    mixed at several lam. A box is placed as a whole inside the photo, so that its area follows lam
    exactly and the ends of a path are the photos themselves. At lam 0 and 1 nothing is mixed.

    Returns:
        A plan for ``blend(originals, plan, partner_images=partners)``.

    Raises:
        InputError: It is not known how the policy mixes at a given lam.
    """
    policy, device = subject.policy, originals.device
    lam = lam.to(device, torch.float32)
    if policy.mixer is not None:
        mask = _masks(subject, originals, partners, lam)
        plan = MixPlan(lam, torch.arange(len(lam), device=device), mask, lam)
    else:
        plan = _by_rule(subject, originals, partners, lam, seed)
    return keep_clean(_all_partner(plan, lam <= 0), lam >= 1)


def draw_mixes(subject: RunNetwork, images: Tensor, target: Tensor, seed: int) -> MixPlan:
    """Plan the mixes of a batch as a training step of the run would."""
    return subject.policy.plan(
        images,
        target=target.to(images.device),
        evidence=subject.evidence(images, target.to(images.device)),
        generator=step_generator(seed, 0),
    ).detach()


@torch.no_grad()
def _masks(subject: RunNetwork, originals: Tensor, partners: Tensor, lam: Tensor) -> Tensor:
    size = (originals.shape[2], originals.shape[3])
    policy = subject.policy
    if not policy.traits.learned:
        return cast("Tensor", policy.mixer(originals, partners, lam))
    first, second = (subject.evidence(images).features for images in (originals, partners))
    return cast("Tensor", policy.mixer(first, second, lam, size))


def _by_rule(
    subject: RunNetwork, originals: Tensor, partners: Tensor, lam: Tensor, seed: int
) -> MixPlan:
    rules: dict[str, Callable[[Tensor, Tensor, Tensor], MixPlan]] = {
        "none": _constant,
        "mixup": _constant,
        "cutmix": _boxed,
        "transmix": _boxed,
        "mixup-cutmix": _either(subject.policy),
        "resizemix": _shrunk,
    }
    # one generator a pair: a pair does not depend on how many there are
    generators = [step_generator(seed, number) for number in range(len(originals))]
    if subject.policy.name in rules:
        places = torch.stack([draw_uniform(3, generator=generator) for generator in generators])
        return rules[subject.policy.name](originals, lam, places.to(originals.device))
    _check_drawable(subject.policy)
    return _drawn(subject, originals, partners, lam, generators)


def _check_drawable(policy: Policy) -> None:
    if policy.traits.seam != "pixel":
        raise _not_drawable(policy, "it mixes inside the network")
    if policy.traits.sources != "pair":
        raise _not_drawable(policy, "its mixes are of more than two photos")
    if not policy.traits.draws_lam:
        raise _not_drawable(policy, _OWN_LAM)


def _not_drawable(policy: Policy, why: str) -> InputError:
    return InputError(
        f"the run's policy '{policy.name}' cannot be drawn for two photos at a given lam ({why}), "
        "so this run cannot be explained; 'samix preview' shows mixes of photos"
    )


def _drawn(
    subject: RunNetwork,
    originals: Tensor,
    partners: Tensor,
    lam: Tensor,
    generators: Sequence[torch.Generator],
) -> MixPlan:
    """Return what the policy itself draws for each pair when it is given lam."""
    count, policy = len(lam), subject.policy.always()
    images = torch.cat([originals, partners])
    known = subject.evidence(images)
    other = torch.tensor([1, 0], device=images.device)
    plans = []
    for number, (share, generator) in enumerate(zip(lam.tolist(), generators, strict=True)):
        rows = torch.tensor([number, number + count], device=images.device)
        with given_lam(share):
            plan = policy.plan(
                images[rows], evidence=known.rows(rows), generator=generator, index=other
            )
        if abs(float(plan.lam[0]) - share) > _SAME:
            raise _not_drawable(policy, _OWN_LAM)
        plans.append(plan)

    shares = [plan.partner_weight for plan in plans if plan.partner_weight is not None]
    kind = type(plans[0].source)
    return MixPlan(
        lam,
        torch.arange(count, device=lam.device),
        torch.cat([plan.mask[:1] for plan in plans]),
        torch.cat([plan.weight[:1] for plan in plans]),
        kind.first_of([plan.source for plan in plans]),
        torch.cat([share[:1] for share in shares]) if shares else None,
    )


def _constant(images: Tensor, lam: Tensor, places: Tensor) -> MixPlan:
    mask = constant_mask(lam, (images.shape[2], images.shape[3]))
    return MixPlan(lam, torch.arange(len(lam), device=lam.device), mask, lam)


def _boxed(images: Tensor, lam: Tensor, places: Tensor) -> MixPlan:
    """Return a box of area 1 - lam inside each photo."""
    side = (1.0 - lam).sqrt()
    firsts, lasts = [], []
    for axis, length in enumerate(images.shape[2:]):
        long = (side * length).round().long()
        first = (places[:, axis] * (length - long + 1)).long().clamp_max(length)
        firsts.append(first)
        lasts.append(first + long)
    mask = box_mask(torch.stack([*firsts, *lasts], 1), (images.shape[2], images.shape[3]))
    return MixPlan(lam, torch.arange(len(lam), device=lam.device), mask, area_of(mask))


def _either(policy: Policy) -> Callable[[Tensor, Tensor, Tensor], MixPlan]:
    switch = getattr(policy.rule, "keywords", {}).get("switch", 0.5)

    def rule(images: Tensor, lam: Tensor, places: Tensor) -> MixPlan:
        cut, mix = _boxed(images, lam, places), _constant(images, lam, places)
        chosen = places[:, 2] < switch
        mask = torch.where(chosen.view(-1, 1, 1, 1), cut.mask, mix.mask)
        return MixPlan(lam, cut.index, mask, torch.where(chosen, cut.weight, mix.weight))

    return rule


def _shrunk(images: Tensor, lam: Tensor, places: Tensor) -> MixPlan:
    """Return plans of ResizeMix in which the partner takes the area 1 - lam."""
    plans = []
    for number, share in enumerate((1.0 - lam).sqrt().clamp_min(1e-3).tolist()):
        generator = torch.Generator().manual_seed(int(places[number, 0] * 2**31))
        one = images[number : number + 1]
        index = torch.zeros(1, dtype=torch.int64, device=images.device)
        plans.append(resizemix_plan(one, index, generator, scale=(share, share)))
    return MixPlan(
        lam,
        torch.arange(len(lam), device=lam.device),
        torch.cat([plan.mask for plan in plans]),
        torch.cat([plan.weight for plan in plans]),
        Grid.first_of([cast("Grid", plan.source) for plan in plans]),
    )


def _all_partner(plan: MixPlan, whole: Tensor) -> MixPlan:
    wide, share = whole.view(-1, 1, 1, 1), plan.partner_weight
    return replace(
        plan,
        mask=plan.mask.masked_fill(wide, 0.0),
        weight=plan.weight.masked_fill(whole, 0.0),
        source=choose_source(plan.source, IN_PLACE, whole),
        partner_weight=None if share is None else share.masked_fill(whole, 1.0),
    )


Pair = tuple[int, int]  # positions of the original and of the partner


def choose_pairs(photos: RunPhotos, positions: Sequence[int], count: int, seed: int) -> list[Pair]:
    """Return pairs of photos, of different classes where there are any.

    Pairs of classes take turns, so that few pairs show many classes; a photo is used again only
    where there are too few.
    """
    rng = np.random.default_rng([seed, 1])
    waiting: dict[int, list[int]] = {}
    for at in rng.permutation(len(positions)).tolist():
        waiting.setdefault(photos.targets[positions[at]], []).append(positions[at])
    if len(waiting) == 1:
        (line,) = waiting.values()
        return [(line[(2 * k) % len(line)], line[(2 * k + 1) % len(line)]) for k in range(count)]
    names = list(waiting)
    both = [(a, b) for a in names for b in names if a != b]
    order = [both[at] for at in rng.permutation(len(both)).tolist()]
    used: dict[int, int] = dict.fromkeys(names, 0)

    def take(target: int) -> int:
        line = waiting[target]
        used[target] += 1
        return line[(used[target] - 1) % len(line)]

    return [(take(a), take(b)) for a, b in (order[k % len(order)] for k in range(count))]


def mix_at(
    subject: RunNetwork, originals: Tensor, partners: Tensor, lam: Tensor | float, *, seed: int
) -> tuple[Tensor, MixPlan, Tensor]:
    """Mix photos at a given lam.

    Returns:
        (B,3,S,S) as the network sees the mixes, the plan, and (B,3,S,S) as people see them.
    """
    if not isinstance(lam, Tensor):
        lam = torch.full((len(originals),), lam)
    first, second = subject.look(originals), subject.look(partners)
    plan = plan_pairs(subject, first, second, lam, seed=seed)
    shown = blend(originals, plan.to("cpu"), partner_images=partners)
    return blend(first, plan, partner_images=second), plan.to("cpu"), shown


def as_mixes(
    photos: RunPhotos,
    pairs: Sequence[Pair],
    originals: Tensor,
    partners: Tensor,
    plan: MixPlan,
    shown: Tensor,
) -> list[Mix]:
    """Return mixes with all that is said about them."""
    return [
        Mix(
            original=originals[at],
            partner=partners[at],
            mask=plan.mask[at].float(),
            mixed=shown[at],
            names=(photos.name(first), photos.name(second)),
            keys=(photos.images.keys[first], photos.images.keys[second]),
            lam=float(plan.lam[at]),
            area=float(plan.area[at]),
            weight=float(plan.weight[at]),
            partner_weight=float(plan.partner_share[at]),
        )
        for at, (first, second) in enumerate(pairs)
    ]


def load_pairs(photos: RunPhotos, pairs: Sequence[Pair]) -> tuple[Tensor, Tensor]:
    """Return the (P,3,S,S) originals and partners."""
    return photos.load([a for a, _ in pairs]), photos.load([b for _, b in pairs])
