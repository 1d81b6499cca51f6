"""What `samix preview` says about each mix beyond its numbers."""

from __future__ import annotations

import torch
from torch import Tensor

from samix.mixing import MixPlan
from samix.mixing.saliency import label_noise, visible_shares
from samix.pages.mixes import Photos, Verdict, percent

LABEL_NOISE = "label noise"
_SIDES = ("original", "partner")


def harm_verdicts(photos: Photos, plan: MixPlan) -> list[Verdict]:
    """Say for each mix how much of each defect is visible, and whether the label promises more.

    Args:
        photos: B photos; those without a mask are not judged.
        plan: Their plan.

    Returns:
        B verdicts.
    """
    if photos.regions is None:
        return [Verdict()] * len(plan)
    visible = visible_shares(photos.regions, plan)
    same = (photos.target == photos.target[plan.index]) & (photos.target >= 0)
    noisy = label_noise(visible, plan.shares, same)
    return [
        _verdict(photos, plan, number, visible[number], noisy[number], bool(same[number]))
        for number in range(len(plan))
    ]


def count_defects(photos: Photos, plan: MixPlan, count: int) -> int | None:
    """Return how many of the first mixes have a known defect in their label.

    Args:
        photos: B photos.
        plan: Their plan.
        count: How many mixes are looked at.

    Returns:
        The number; None where no defect is known at all.
    """
    if photos.regions is None:
        return None
    there = photos.regions.flatten(1).any(1)
    own, partner = (plan.shares > 0).unbind(1)
    defect = (there & own) | (there[plan.index] & partner)
    return int(defect[:count].sum())


def _verdict(
    photos: Photos, plan: MixPlan, number: int, visible: Tensor, noisy: Tensor, same: bool
) -> Verdict:
    """Return what is said about one mix."""
    lines = []
    for side, share in enumerate(plan.shares[number].tolist()):
        if share == 0.0:
            continue
        position = number if side == 0 else int(plan.index[number])
        name = photos.class_of(position) or _SIDES[side]
        name = f"{name} ({_SIDES[side]})" if same else name
        if not torch.isnan(visible[side]):
            seen = percent(float(visible[side]))
            says = percent(1.0 if same else share)
            lines.append(f"{name}: {seen} of its defect is visible, label says {says}")
        elif photos.empty_masks[position]:
            lines.append(f"{name}: its defect mask is empty, so that nothing can be said")
    bad = bool(noisy.any())
    return Verdict(LABEL_NOISE if bad else "", "bad" if bad else "ok", tuple(lines))
