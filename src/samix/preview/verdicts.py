"""What is said about mixes before any training: what their labels promise, and what guards say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from samix.errors import InputError
from samix.guard import OUTCOMES, Guard, RuleVerdict
from samix.mixing import Evidence, MixPlan
from samix.mixing.saliency import label_noise, visible_shares
from samix.pages.mixes import MixRow, Remark, ShownPhotos, mix_rows, percent, together

from .policies import Shown

LABEL_NOISE = "label noise"
_SIDES = ("original", "partner")
_DONE = {
    "partner": "another partner",
    "mask": "another mask",
    "label": "another label",
    "mixup": "mixup instead",
    "clean": "left unmixed",
}
_AT_LEAST = ("visibility", "plausibility")  # the other rules have a limit above


def harm_verdicts(photos: ShownPhotos, plan: MixPlan) -> list[Remark]:
    """Say for each mix how much of each defect is visible, and whether the label promises more.

    Args:
        photos: B photos; those without a mask are not judged.
        plan: Their plan.

    Returns:
        B verdicts.
    """
    if photos.regions is None:
        return [Remark()] * len(plan)
    visible = visible_shares(photos.regions, plan)
    same = (photos.target == photos.target[plan.index]) & (photos.target >= 0)
    noisy = label_noise(visible, plan.shares, same)
    return [
        _verdict(photos, plan, number, visible[number], noisy[number], bool(same[number]))
        for number in range(len(plan))
    ]


def _verdict(
    photos: ShownPhotos, plan: MixPlan, number: int, visible: Tensor, noisy: Tensor, same: bool
) -> Remark:
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
    return Remark(LABEL_NOISE if bad else "", "bad" if bad else "ok", tuple(lines))


def count_defects(photos: ShownPhotos, plan: MixPlan, count: int) -> int | None:
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


def guarded_rows(
    guard: Guard,
    shown: Shown,
    photos: ShownPhotos,
    plan: MixPlan,
    rows: Sequence[MixRow],
    *,
    generator: torch.Generator,
    outlines: bool,
) -> list[MixRow]:
    """Return the rows with what the guard says about them, and with what it repaired.

    Args:
        guard: One that needs no network in training.
        shown: The policy.
        photos: B photos.
        plan: What the policy made of them.
        rows: The first of its mixes.
        generator: That of the plan, which goes on with the repairs.
        outlines: Draw outlines of defects.
    """
    known = bool((photos.target >= 0).all())
    given = guard.options.saliency == "given"
    if given and photos.regions is None:
        raise InputError(
            "--guard: saliency 'given' takes the masks of the defects, which none of the photos "
            "shown has; choose others with --classes or --seed, or leave it out"
        )
    asked: dict[str, Any] = {
        "target": photos.target if known else None,
        "evidence": Evidence(saliency=photos.regions if given else None),
    }
    said = guard.verdicts(photos.images, plan, **asked)

    def redraw(index: Tensor) -> MixPlan:
        return shown.policy.plan(photos.images, generator=generator, index=index)

    # as in a run: the work of a Mixer is not repeated
    cheap = not shown.policy.traits.reads_pixels
    mended, record = guard(
        photos.images,
        plan,
        redraw=redraw if cheap else None,
        generator=generator,
        count=False,
        **asked,
    )
    harm = harm_verdicts(photos, mended)
    after = mix_rows(photos, mended, harm, count=len(rows), outlines=outlines)
    outcomes = [OUTCOMES[number] for number in _numbers(record.repair, len(rows))]
    return [
        _row(row, new, outcome, verdict_lines(said, place))
        for place, (row, new, outcome) in enumerate(zip(rows, after, outcomes, strict=True))
    ]


def _row(row: MixRow, after: MixRow, outcome: str, lines: list[str]) -> MixRow:
    """Return a row with the guard's verdict, and the repaired mix where there is one."""
    if outcome == "accepted":
        return replace(row, verdict=together(row.verdict, Remark(outcome, "ok", tuple(lines))))
    # partners are drawn anew for the whole batch, so that one may come up again
    again = outcome == "partner" and after.partner == row.partner
    done = _DONE["mask" if again else outcome]
    where = f" ({after.names[1]})" if outcome == "partner" and not again else ""
    lines.append(f"guard: repaired, {done}{where}: {after.label_text}")
    lines += [f"after the guard: {line}" for line in after.verdict.lines]
    both = together(row.verdict, Remark(f"repaired: {done}", "changed", tuple(lines)))
    harmful = LABEL_NOISE in after.verdict.badge
    return replace(row, verdict=replace(both, state="bad" if harmful else "changed"), after=after)


def verdict_lines(said: Mapping[str, RuleVerdict], place: int) -> list[str]:
    """Return what each rule says about one mix, with its numbers.

    Args:
        said: From :meth:`samix.guard.Guard.verdicts`.
        place: Of the mix in its batch.
    """
    lines = []
    for rule, verdict in said.items():
        number, limit = float(verdict.number[place]), float(verdict.limit[place])
        bound = "at least" if rule in _AT_LEAST else "at most"
        state = "passed" if bool(verdict.passed[place]) else "broken"
        lines.append(f"guard: {rule} {state}: {number:.2f}, {bound} {limit:.2f}")
    return lines


def _numbers(repair: Tensor | None, count: int) -> list[int]:
    if repair is None:
        return [OUTCOMES.index("accepted")] * count
    return [int(number) for number in repair[:count].tolist()]
