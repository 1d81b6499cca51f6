"""`samix preview --guard`: what a guard says about each mix, and what it makes of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from samix.data import ImageSet
from samix.errors import InputError
from samix.guard import OUTCOMES, Guard, create_guard
from samix.guard import Verdict as Judged
from samix.mixing import Evidence, MixPlan
from samix.pages.mixes import MixRow, Photos, Verdict, mix_rows, together

from .guard_file import read_guard
from .preview_policies import Shown
from .preview_verdicts import LABEL_NOISE, harm_verdicts

_DONE = {
    "partner": "another partner",
    "mask": "another mask",
    "label": "another label",
    "mixup": "mixup instead",
    "clean": "left unmixed",
}
_AT_LEAST = ("visibility", "plausibility")  # the other rules have a limit above


def open_guard(word: str, images: ImageSet) -> Guard:
    """Return a guard that needs no network.

    Args:
        word: YAML file with the guard's options, or "default".
        images: The photos, whose classes the rules may name.

    Raises:
        InputError: The file cannot be used, or a rule needs what is not there before training.
    """
    try:
        guard = create_guard(read_guard(word), images.classes)
    except InputError:
        raise
    except (ValueError, TypeError) as error:
        raise InputError(f"--guard: {error}") from error
    asks = [rule for rule in guard.rules if rule == "plausibility"]
    asks += ["saliency attention"] if guard.options.saliency == "attention" else []
    if asks:
        raise InputError(
            f"--guard: {asks[0]} asks a network in training, and there is none before it; leave it "
            "out to preview the others"
        )
    if guard.options.saliency == "given" and images.read_mask is None:
        raise InputError(
            "--guard: saliency 'given' takes the masks of the defects, which DATA does not have; "
            "leave it out"
        )
    return guard


def guarded_rows(
    guard: Guard,
    shown: Shown,
    photos: Photos,
    plan: MixPlan,
    rows: Sequence[MixRow],
    *,
    generator: torch.Generator,
    outlines: bool,
) -> list[MixRow]:
    """Return the rows with what the guard says about them, and with what it repaired.

    Args:
        guard: From :func:`open_guard`.
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
        return replace(row, verdict=together(row.verdict, Verdict(outcome, "ok", tuple(lines))))
    # partners are drawn anew for the whole batch, so that one may come up again
    again = outcome == "partner" and after.partner == row.partner
    done = _DONE["mask" if again else outcome]
    where = f" ({after.names[1]})" if outcome == "partner" and not again else ""
    lines.append(f"guard: repaired, {done}{where}: {after.label_text}")
    lines += [f"after the guard: {line}" for line in after.verdict.lines]
    both = together(row.verdict, Verdict(f"repaired: {done}", "changed", tuple(lines)))
    harmful = LABEL_NOISE in after.verdict.badge
    return replace(row, verdict=replace(both, state="bad" if harmful else "changed"), after=after)


def verdict_lines(said: Mapping[str, Judged], place: int) -> list[str]:
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
