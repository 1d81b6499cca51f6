"""The same pairs of photos under several policies: what each policy makes of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import torch

from samix.data import ImageSet
from samix.guard import Guard
from samix.mixing import draw_index, step_generator
from samix.pages.mixes import MixRow, ShownPhotos, mix_rows
from samix.pages.words import Words, word

from .photos import candidates, choose, read_photos
from .policies import Shown
from .verdicts import count_defects, guarded_rows, harm_verdicts

PAIRS = 8  # pairs that are shown where nothing is said
_APART = 5e-4  # mean distance of area and lam that is none


@dataclass(frozen=True)
class PolicyMixes:
    """What one policy makes of the pairs."""

    name: str  # what the policy is called
    about: Words  # what it is
    draw: Words  # where lam comes from, such as "Beta(1, 1)"
    label: str  # which share the label uses: "area" or "lam"
    rows: Sequence[MixRow]  # the pairs
    # how many rows have a defect class in the label whose defect is known; None where no defects
    # are known
    defects: int | None = None
    noisy: int = 0  # in how many of them the label promises a defect that is not seen
    guarded: bool = False  # a guard looked at the mixes; ``after`` of a row is what it made of it

    @property
    def repaired(self) -> list[MixRow]:
        """The mixes that a guard put in the place of others."""
        return [row.after for row in self.rows if row.after is not None]

    @property
    def area_from_lam(self) -> float:
        """Mean distance of area and lam."""
        return fmean(abs(row.area - row.lam) for row in self.rows)

    @property
    def label_words(self) -> Words:
        """What the label uses, where both are the same."""
        return word(f"uses-{self.label if self.area_from_lam >= _APART else 'same'}")

    def record(self) -> dict[str, Any]:
        """Return all but the pictures as plain values."""
        return {
            "about": self.about.en,
            "lam_from": self.draw.en,
            "label_uses": self.label,
            "mean_distance_of_area_and_lam": self.area_from_lam,
            "rows_with_defects": self.defects,
            "rows_with_label_noise": None if self.defects is None else self.noisy,
            **({"rows_repaired_by_guard": len(self.repaired)} if self.guarded else {}),
            "rows": [row.record() for row in self.rows],
        }


@dataclass(frozen=True)
class Look:
    """What is looked at."""

    data: str  # name of the image set
    what: Words  # which of its photos were chosen from
    photos: ShownPhotos  # those that are mixed
    policies: Sequence[PolicyMixes]  # what each policy makes of them
    seed: int  # of the choice of photos and of lam
    outlines: bool  # defects have an outline


def look(
    images: ImageSet,
    policies: Sequence[Shown],
    *,
    pairs: int = PAIRS,
    classes: Sequence[str] = (),
    image_size: int | None = None,
    seed: int = 0,
    outlines: bool = True,
    guard: Guard | None = None,
) -> Look:
    """Mix the same pairs of photos with each policy."""
    positions, what = candidates(images, classes)
    batch = min(max(pairs, 2), len(positions))
    # policies draw partners first: the photos can be laid out for those that they will draw
    index = draw_index(batch, generator=step_generator(seed, 0)).tolist()
    batch_of = choose(images.targets, positions, index, seed)
    photos = read_photos(images, batch_of, image_size)
    outlines = outlines and photos.regions is not None
    mixes = [
        mix(shown, photos, seed, count=pairs, outlines=outlines, guard=guard) for shown in policies
    ]
    return Look(images.name, what, photos, mixes, seed, outlines)


@torch.no_grad()
def mix(
    shown: Shown,
    photos: ShownPhotos,
    seed: int,
    *,
    count: int,
    outlines: bool,
    guard: Guard | None = None,
) -> PolicyMixes:
    """Return what one policy makes of the photos; every policy has the same generator."""
    generator = step_generator(seed, 0)
    plan = shown.policy.plan(photos.images, target=photos.target, generator=generator)
    verdicts = harm_verdicts(photos, plan)
    rows = mix_rows(photos, plan, verdicts, count=count, outlines=outlines)
    noisy = sum(row.verdict.noisy for row in rows)
    label, defects = shown.policy.traits.label, count_defects(photos, plan, count)
    guarded = guard is not None and shown.policy.traits.mixes
    if guard is not None and guarded:
        rows = guarded_rows(
            guard, shown, photos, plan, rows, generator=generator, outlines=outlines
        )
    return PolicyMixes(shown.name, shown.text, shown.draw, label, rows, defects, noisy, guarded)
