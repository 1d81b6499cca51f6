"""What `samix ui` shows: one pair of photos under several policies, for a lam that is given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from PIL import Image
from torch import Tensor

from samix.data.views import squeeze
from samix.errors import InputError
from samix.guard import Guard, create_guard
from samix.guard import Verdict as Judged
from samix.mixing import MixPlan, step_generator
from samix.mixing.draws import given_lam
from samix.pages.mixes import MixRow, Photos, mix_rows
from samix.policies import POLICIES

from .preview_guard import verdict_lines
from .preview_policies import Shown, open_policies

LARGEST = 224  # px, side of the mixes
_LEAST = 8
_UNNAMED = ("original", "partner")


@dataclass(frozen=True)
class Pair:
    """Two photos and what is asked about them.

    Attributes:
        original: A photo of any size, in mode RGB.
        partner: The other one.
        classes: What each shows; an empty word where that is not known.
        lam: Weight of the original, in [0, 1].
        seed: Of all that a policy draws beside lam, at least 0.
    """

    original: Image.Image
    partner: Image.Image
    classes: tuple[str, str] = ("", "")
    lam: float = 0.5
    seed: int = 0


@dataclass(frozen=True)
class Seen:
    """What one policy makes of a pair.

    Attributes:
        name: Of the policy.
        about: A few sentences about it.
        row: Pictures, numbers and label.
        moved: The mix follows the lam that was given; some policies find lam themselves.
        accepted: What a guard says as a whole; None where nothing was asked.
        rules: What it says in detail.
    """

    name: str
    about: str
    row: MixRow
    moved: bool
    accepted: bool | None
    rules: tuple[str, ...]


@lru_cache(maxsize=1)
def policies_for_pairs() -> tuple[str, ...]:
    """Return the policies that make a mask from two photos without a network in training."""
    return tuple(name for name in POLICIES if _mixes_photos(name))


def open_shown(names: Sequence[str]) -> list[Shown]:
    """Return policies by name, or by the folder of a run or a Mixer; each is opened once.

    Raises:
        InputError: One is unknown, or cannot mix two photos.
    """
    return [_open(name) for name in names]


def mix_pair(pair: Pair, shown: Sequence[Shown], *, guarded: bool = True) -> list[Seen]:
    """Mix a pair of photos with each policy, with the same lam and seed.

    Args:
        pair: The photos.
        shown: The policies.
        guarded: Ask a guard with its defaults about each mix.

    Raises:
        InputError: lam or seed are out of range.
    """
    if not 0.0 <= pair.lam <= 1.0:
        raise InputError(f"lam must be in [0, 1], got {pair.lam}")
    if pair.seed < 0:
        raise InputError(f"the seed must be at least 0, got {pair.seed}")
    photos = _photos(pair)
    guard = create_guard(None, photos.classes) if guarded else None
    return [_seen(one, photos, pair, guard) for one in shown]


@torch.no_grad()
def _seen(shown: Shown, photos: Photos, pair: Pair, guard: Guard | None) -> Seen:
    """Return what one policy makes of the pair; the second row, the other way round, is unseen."""
    plan = _plan(shown, photos.images, photos.target, pair.lam, pair.seed)
    (row,) = mix_rows(photos, plan, count=1)
    found: dict[str, Judged] = {}
    if guard is not None:
        found = guard.verdicts(photos.images, plan, target=photos.target)
    return Seen(
        name=shown.name,
        about=shown.about,
        row=row,
        moved=_draws_lam(shown.name),
        accepted=all(bool(one.passed[0]) for one in found.values()) if found else None,
        rules=tuple(verdict_lines(found, 0)),
    )


def _plan(shown: Shown, images: Tensor, target: Tensor | None, lam: float, seed: int) -> MixPlan:
    """Return the plan of two photos, each the partner of the other, for a lam that is given."""
    index = torch.tensor([1, 0])
    with given_lam(lam):
        return shown.policy.plan(
            images, target=target, generator=step_generator(seed, 0), index=index
        )


@lru_cache(maxsize=64)
def _draws_lam(name: str) -> bool:
    """Say whether a policy mixes by the lam that is drawn; some find it by themselves."""
    images = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    shown = _open(name)
    return all(
        abs(float(_plan(shown, images, None, lam, 0).lam[0]) - lam) < 1e-3 for lam in (0.25, 0.75)
    )


def _photos(pair: Pair) -> Photos:
    """Return both photos as a network would see them, in one size."""
    both = (pair.original, pair.partner)
    side = min(LARGEST, max(_LEAST, *(length for photo in both for length in photo.size)))
    first, second = (
        given.strip() or unnamed for given, unnamed in zip(pair.classes, _UNNAMED, strict=True)
    )
    same = first == second
    return Photos(
        images=torch.stack([squeeze(photo, side) for photo in both]).float() / 255,
        target=torch.tensor([0, 0 if same else 1]),
        classes=(first,) if same else (first, second),
        names=_UNNAMED,
    )


def _mixes_photos(name: str) -> bool:
    try:
        traits = _open(name).policy.traits
    except InputError:  # it needs a network, or mixes features inside one
        return False
    return traits.mixes and traits.pairwise


@lru_cache(maxsize=64)
def _open(name: str) -> Shown:
    (shown,) = open_policies([name], {})
    return shown
