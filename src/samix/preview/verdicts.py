"""What is said about mixes before any training: what their labels promise, and what guards say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from samix.errors import InputError
from samix.guard import OUTCOMES, Guard
from samix.mixing import Evidence, MixPlan
from samix.mixing.saliency import label_noise, visible_shares
from samix.pages.mixes import MixRow, Remark, ShownPhotos, mix_rows, rule_lines, together
from samix.pages.parts import State
from samix.pages.words import Words, both, rounded, word

from .policies import Shown


def harm_verdicts(photos: ShownPhotos, plan: MixPlan) -> list[Remark]:
    """Say for each mix how much of each defect is visible, and whether the label promises more."""
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
    lines = []
    for side, share in enumerate(plan.shares[number].tolist()):
        if share == 0.0:
            continue
        position = number if side == 0 else int(plan.index[number])
        place = word(f"picture-{('original', 'partner')[side]}")
        name = both(photos.class_of(position) or place)
        name = word("named-side", name=name, side=place) if same else name
        if not torch.isnan(visible[side]):
            seen, says = rounded(float(visible[side])), rounded(1.0 if same else share)
            lines.append(word("defect-seen", name=name, seen=seen, says=says))
        elif photos.empty_masks[position]:
            lines.append(word("defect-empty", name=name))
    if bool(noisy.any()):
        return Remark(word("noise"), "bad", tuple(lines), noisy=True)
    return Remark(lines=tuple(lines))


def count_defects(photos: ShownPhotos, plan: MixPlan, count: int) -> int | None:
    """Return how many of the first mixes have a known defect in their label; None without any."""
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
    """Return the rows with what the guard says about them, and with what it repaired."""
    known = bool((photos.target >= 0).all())
    given = guard.options.saliency == "given"
    if given and photos.regions is None:
        raise InputError(
            "guard: saliency 'given' takes the masks of the defects, which none of the photos "
            "shown has; choose others with `classes` or `seed`, or leave it out"
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
    outcomes = [OUTCOMES[number] for number in record.repair[: len(rows)].tolist()]
    return [
        _row(row, new, outcome, rule_lines(said, place))
        for place, (row, new, outcome) in enumerate(zip(rows, after, outcomes, strict=True))
    ]


def _row(row: MixRow, after: MixRow, outcome: str, lines: tuple[Words, ...]) -> MixRow:
    if outcome == "accepted":
        return replace(row, verdict=together(row.verdict, Remark(word("guard-ok"), "ok", lines)))
    # partners are drawn anew for the whole batch, so that one may come up again
    again = outcome == "partner" and after.partner == row.partner
    done = word(f"guard-{'mask' if again else outcome}")
    where = done
    if outcome == "partner" and not again:
        where = word("named-side", name=done, side=after.names[1])
    lines = (
        *lines,
        word("guard-did", done=where, label=after.label_words),
        *(word("guard-then", line=line) for line in after.verdict.lines),
    )
    said = together(row.verdict, Remark(word("guard-repaired", done=done), "changed", lines))
    state: State = "bad" if after.verdict.noisy else "changed"
    return replace(row, verdict=replace(said, state=state), after=after)
