"""What is known of an image set before anything is learned from it: `check_images`."""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from samix.data.duplicates.leakage import Leakage, disagreeing, find_leakage
from samix.data.duplicates.search import Duplicates, find_duplicates
from samix.data.image_set import NO_LABEL, ImageSet, SplitName
from samix.data.splits import find_groups, members_of
from samix.progress import Announce

TEST_SHARE = 0.2  # of the parts, that a new split gives to the test
_TRAIN_SHARE = 0.65  # of the photos, that a new split gives to train
TOO_FEW = 10  # independent test parts of a class below which its recall cannot be judged
_RECALL = 0.9  # for which the precision is stated
_Z = 1.96  # 95 %
_MOST, _FEW = 0.9, 0.05  # of the photos of a class, and of all others, where a value tells it
_SIDES: tuple[SplitName, ...] = ("train", "val", "test")


@dataclass(frozen=True, kw_only=True)
class ClassCount:
    """How much there is of one class."""

    name: str  # the class
    photos: int
    parts: int  # its independent parts: photos of one group count once
    # independent parts of it in the test: those of the given test part that are in no other, or the
    # fifth that a new split would take
    test_parts: int
    by_split: Mapping[str, int]  # its photos in each given part

    @property
    def precision(self) -> float:
        """Half the width of the 95 % interval around a recall of 90 %, as a share."""
        return recall_precision(self.test_parts)

    @property
    def is_refused(self) -> bool:
        """Whether it cannot be in train, val and test, so that no classifier can learn from it."""
        missing = 0 in self.by_split.values()
        return missing if self.by_split else self.parts < len(_SIDES)


@dataclass(frozen=True, kw_only=True)
class Check:
    """What was found in an image set."""

    images: ImageSet  # the photos that can be read
    corrupt: Sequence[tuple[str, str]]  # key and reason of each photo that cannot
    duplicates: Duplicates  # equal photos and near-duplicates
    # where the groups come from that parts are counted by: "near-duplicates", "group_by" or "the
    # data"
    grouping: str
    groups: Sequence[str | None]  # the group of each photo
    # counts of each class, in their order; one without a name where there are none
    classes: Sequence[ClassCount]
    unlabelled: int  # photos without a label, where others have one
    disagreeing: Sequence[Sequence[int]]  # groups of duplicates whose photos have several labels
    leakage: Leakage | None  # near-duplicates between given parts; None where none are given
    # groups of ``group_by`` or of the data that lie in several given parts
    shared_groups: Sequence[str]
    # groups of near-duplicates whose photos are in several groups of ``group_by`` or of the data
    divided: Sequence[Sequence[int]]
    # classes that the "kind" of their files or their "size" tells by itself, with that value
    telling: Mapping[str, Sequence[str]]

    @property
    def parts(self) -> int:
        """Number of independent parts of all photos."""
        return len(members_of(range(len(self.images)), self.groups))

    @property
    def known_at_random(self) -> float | None:
        """Share of the test photos whose part is in train too, where photos are split at random.

        Expected, for parts as :attr:`groups` has them; None where the data gives a test part.
        """
        if "test" in self.images.given_split:
            return None
        parts = members_of(range(len(self.images)), self.groups).values()
        unknown = sum(len(part) * (1 - _TRAIN_SHARE) ** (len(part) - 1) for part in parts)
        return 1 - unknown / len(self.images)

    def equal_divided(self) -> int:
        """Return how many sets of equal photos are in several groups."""
        equal = self.duplicates.equal
        return sum(len({self.groups[i] or i for i in same}) > 1 for same in equal)


def check_images(
    images: ImageSet,
    *,
    group_by: str | None = None,
    corrupt: Sequence[tuple[str, str]] = (),
    announce: Announce | None = None,
) -> Check:
    """Look for what makes results on an image set untrustworthy.

    ``group_by`` None takes the groups of the data, and those of near-duplicates where it has none.
    ``corrupt`` has key and reason of photos that cannot be read.
    """
    given = find_groups(images, group_by)  # before the long work
    found = find_duplicates(images, announce=announce)
    known = group_by is not None or any(group is not None for group in given)
    groups = given if known else found.names()
    grouping = "group_by" if group_by is not None else "the data" if known else "near-duplicates"
    everything = (*found.groups, *found.large)
    split = any(side is not None for side in images.given_split)
    return Check(
        images=images,
        corrupt=corrupt,
        duplicates=found,
        grouping=grouping,
        groups=groups,
        classes=_classes(images, groups),
        unlabelled=images.targets.count(NO_LABEL) if images.classes else 0,
        disagreeing=disagreeing(images, everything),
        leakage=find_leakage(images, found) if split else None,
        shared_groups=_shared(images, groups) if known and split else (),
        divided=[g for g in everything if known and len({groups[i] or i for i in g}) > 1],
        telling=_telling(images, found),
    )


def recall_precision(parts: int, recall: float = _RECALL) -> float:
    """Return half the width of the 95 % interval of a recall; 0.5 where there is no part.

    Wilson's interval (1927): z sqrt(p (1 - p) / n + z^2 / (4 n^2)) / (1 + z^2 / n).
    """
    if parts == 0:
        return 0.5
    spread = recall * (1 - recall) / parts + _Z**2 / (4 * parts**2)
    return _Z * math.sqrt(spread) / (1 + _Z**2 / parts)


def parts_needed(precision: float) -> int:
    """Return how many independent parts show a recall of 90 % to within a share, such as 0.05."""
    return next(n for n in range(1, 10**6) if recall_precision(n) <= precision)


def size_facts(check: Check) -> dict[str, list[int] | int]:
    """Return smallest, median and largest width and height, and how many sizes there are."""
    size = check.duplicates.size
    return {
        "width": [int(v) for v in (size[:, 0].min(), np.median(size[:, 0]), size[:, 0].max())],
        "height": [int(v) for v in (size[:, 1].min(), np.median(size[:, 1]), size[:, 1].max())],
        "different": len(np.unique(size, axis=0)),
    }


def _telling(images: ImageSet, duplicates: Duplicates) -> dict[str, list[str]]:
    """Return classes whose photos the "kind" of their files or their "size" tells by itself.

    Each stands with the kind or size that nearly all of its photos have, and hardly any others.
    """
    values = {
        "kind": [os.path.splitext(key)[1].lower() for key in images.keys],
        "size": [f"{width} x {height} px" for width, height in duplicates.size.tolist()],
    }
    found: dict[str, list[str]] = {}
    for what, column in values.items():
        pairs = [p for p in zip(images.targets, column, strict=True) if p[0] != NO_LABEL]
        everywhere, by_class = Counter(value for _, value in pairs), dict[int, Counter[str]]()
        for target, value in pairs:
            by_class.setdefault(target, Counter())[value] += 1
        for target, own in by_class.items():
            value, count = own.most_common(1)[0]
            others = len(pairs) - own.total()
            told = count >= _MOST * own.total() and everywhere[value] - count <= _FEW * others
            if told and value and min(own.total(), others) >= TOO_FEW:
                found.setdefault(what, []).append(f"{images.classes[target]} ({value})")
    return found


def _classes(images: ImageSet, groups: Sequence[str | None]) -> list[ClassCount]:
    names = dict(enumerate(images.classes)) or {NO_LABEL: ""}
    members: dict[int, list[int]] = {target: [] for target in names}
    for i, target in enumerate(images.targets):
        if target in members:
            members[target].append(i)
    return [
        ClassCount(
            name=names[target],
            photos=len(photos),
            parts=len(members_of(photos, groups)),
            test_parts=_test_parts(images, groups, photos),
            by_split={
                side: count
                for side in _SIDES
                if side in images.given_split
                and (count := sum(images.given_split[i] == side for i in photos)) >= 0
            },
        )
        for target, photos in members.items()
    ]


def _test_parts(images: ImageSet, groups: Sequence[str | None], photos: Sequence[int]) -> int:
    if "test" not in images.given_split:
        return round(TEST_SHARE * len(members_of(photos, groups)))
    given = list(enumerate(images.given_split))
    elsewhere = members_of((i for i, side in given if side not in (None, "test")), groups)
    inside = members_of((i for i in photos if images.given_split[i] == "test"), groups)
    return len(inside.keys() - elsewhere.keys())


def _shared(images: ImageSet, groups: Sequence[str | None]) -> list[str]:
    sides: dict[str, set[str]] = {}
    for group, side in zip(groups, images.given_split, strict=True):
        if group is not None and side is not None:
            sides.setdefault(group, set()).add(side)
    return [group for group, found in sides.items() if len(found) > 1]


def imbalance(classes: Sequence[ClassCount]) -> float:
    """Return how many times more photos the largest class has than the smallest that has any."""
    photos = [count.photos for count in classes if count.photos]
    return max(photos) / min(photos) if photos else 1.0
