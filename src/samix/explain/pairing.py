"""Which photos are mixed with which, and mixes as they are shown."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from samix.mixing import MixPlan, blend
from samix.report.explain_data import Mix

from .pairs import plan_pairs
from .photos import RunPhotos
from .subject import Subject

Pair = tuple[int, int]
"""Positions of the original and of the partner."""


def choose_pairs(photos: RunPhotos, positions: Sequence[int], count: int, seed: int) -> list[Pair]:
    """Return pairs of photos, of different classes where there are any.

    Pairs of classes take turns, so that few pairs show many classes; a photo is used again only
    where there are too few.

    Args:
        photos: The photos.
        positions: Which of them; two or more.
        count: How many pairs.
        seed: Of the choice.
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
    subject: Subject, originals: Tensor, partners: Tensor, lam: Tensor | float, *, seed: int
) -> tuple[Tensor, MixPlan, Tensor]:
    """Mix photos at a given lam.

    Args:
        subject: Whose policy mixes.
        originals: (B,3,S,S) in [0, 1].
        partners: (B,3,S,S).
        lam: (B,), or one number for all.
        seed: Of the places of boxes.

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
