"""A pair of photos under several policies for one lam, and the photos to choose from."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from samix.data import ImageSet
from samix.data.sampling import in_turn
from samix.data.views import squeeze
from samix.errors import InputError
from samix.guard import Guard, create_guard
from samix.mixing import MixPlan, step_generator
from samix.mixing.draws import given_lam
from samix.pages.mixes import MixRow, Remark, ShownPhotos, mix_rows, rule_lines
from samix.pages.parts import State
from samix.pages.words import word
from samix.policies import POLICIES

from .dropped import LARGEST, inside
from .policies import Shown, open_policies

_LEAST = 8
_UNNAMED = ("original", "partner")
_MOST = 300  # photos in a list that a person reads


@dataclass(frozen=True)
class Pair:
    """Two photos and what is asked about them."""

    original: Image.Image  # a photo of any size, in mode RGB
    partner: Image.Image  # the other one
    classes: tuple[str, str] = ("", "")  # what each shows; an empty word where that is not known
    lam: float = 0.5  # weight of the original, in [0, 1]
    seed: int = 0  # of all that a policy draws beside lam, at least 0


@dataclass(frozen=True)
class MixedPair:
    """What one policy makes of a pair."""

    name: str  # of the policy
    row: MixRow  # pictures, numbers and label, and as its verdict what the guard says
    moved: bool  # the mix follows the lam that was given; some policies find lam themselves


@lru_cache(maxsize=1)
def policies_for_pairs() -> tuple[str, ...]:
    """Return the policies that make a mask from two photos without a network in training."""
    return tuple(name for name in POLICIES if _mixes_photos(name))


def open_shown(names: Sequence[str]) -> list[Shown]:
    """Return policies by name or folder, each opened once; those that cannot mix are refused."""
    return [_open(name) for name in names]


def mix_pair(pair: Pair, shown: Sequence[Shown], *, guarded: bool = True) -> list[MixedPair]:
    """Mix a pair of photos with each policy, with the same lam and seed, which are checked."""
    if not 0.0 <= pair.lam <= 1.0:
        raise InputError(f"lam must be in [0, 1], got {pair.lam}")
    if pair.seed < 0:
        raise InputError(f"the seed must be at least 0, got {pair.seed}")
    photos = _photos(pair)
    guard = create_guard(None, photos.classes) if guarded else None
    return [_seen(one, photos, pair, guard) for one in shown]


@torch.no_grad()
def _seen(shown: Shown, photos: ShownPhotos, pair: Pair, guard: Guard | None) -> MixedPair:
    """Return what one policy makes of the pair; the second row, the other way round, is unseen."""
    plan = _plan(shown, photos.images, photos.target, pair.lam, pair.seed)
    moved = _draws_lam(shown.name)
    told = Remark(lines=() if moved else (word("live-own-lam"),))
    if guard is not None:
        said = guard.verdicts(photos.images, plan, target=photos.target)
        good = all(bool(one.passed[0]) for one in said.values())
        badge = word("picture-accepted" if good else "live-rejected")
        state: State = "ok" if good else "bad"
        told = Remark(badge, state, (*told.lines, *rule_lines(said, 0)))
    (row,) = mix_rows(photos, plan, count=1)
    return MixedPair(shown.name, replace(row, verdict=told), moved)


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


def _photos(pair: Pair) -> ShownPhotos:
    both = (pair.original, pair.partner)
    side = min(LARGEST, max(_LEAST, *(length for photo in both for length in photo.size)))
    first, second = (
        given.strip() or unnamed for given, unnamed in zip(pair.classes, _UNNAMED, strict=True)
    )
    same = first == second
    return ShownPhotos(
        images=torch.stack([squeeze(photo, side) for photo in both]).float() / 255,
        target=torch.tensor([0, 0 if same else 1]),
        classes=(first,) if same else (first, second),
        names=("", ""),
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


@dataclass(frozen=True)
class Offer:
    """Photos to choose from; no other can be read."""

    images: ImageSet  # all photos of the set
    positions: tuple[int, ...]  # those that are offered, ascending, at least one
    # the folder that each must lie below, links followed; None where the photos are no files of a
    # folder that was named
    root: Path | None = None

    def read(self, position: int) -> tuple[Image.Image, str]:
        """Return a photo of the list and its class, or ""; links out of the folder are refused."""
        if position not in self.positions:
            raise InputError(f"photo {position} is not in the list; choose one that is")
        if not lies_inside(self.root, self.images.keys[position]):
            key = self.images.keys[position]
            raise InputError(f"photo '{key}' leads out of the folder of `data`; choose another")
        return self.images.read(position), self.images.class_of(position)

    def another_pair(self, rng: random.Random) -> tuple[int, int]:
        """Draw two positions, of different classes where there are two."""
        targets = self.images.targets
        first = rng.choice(self.positions)
        others = [i for i in self.positions if targets[i] != targets[first]]
        others = others or [i for i in self.positions if i != first] or [first]
        return first, rng.choice(others)

    def choices(self) -> list[tuple[int, str, str]]:
        """Return what the list of photos shows: position, name and class."""
        images = self.images
        return [(place, images.keys[place], images.class_of(place)) for place in self.positions]


def offer(images: ImageSet, root: Path | None, most: int = _MOST) -> tuple[Offer, int]:
    """Return the photos to choose from: of each class about equally many.

    Returns:
        The photos, and how many are left out because they lead out of the folder.

    Raises:
        InputError: All of them do.
    """
    of_class: dict[int, list[int]] = {}
    outside = 0
    for position, target in enumerate(images.targets):
        if lies_inside(root, images.keys[position]):
            of_class.setdefault(target, []).append(position)
        else:
            outside += 1
    if not of_class:
        raise InputError(
            f"data: all {outside} photos of '{images.name}' are links that lead out of the "
            "folder, which the page does not follow; give the folder that holds them"
        )
    return Offer(images, tuple(sorted(in_turn(of_class.values(), most))), root), outside


def lies_inside(root: Path | None, key: str) -> bool:
    """Say whether a photo lies below a folder when all links are followed.

    Args:
        root: The folder, without links; None asks for nothing.
        key: Of the photo: its path below the folder, or "file.parquet#row".
    """
    if root is None:
        return True
    table, _, _ = key.rpartition(".parquet#")
    return inside(root, root / (f"{table}.parquet" if table else key)) is not None
