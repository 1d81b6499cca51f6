"""Near-duplicates and splits: what is kept on one side, and what given parts share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from samix.data.duplicates.fingerprints import content_hashes, equal_photos
from samix.data.duplicates.search import (
    HANDFUL,
    LARGEST_SHARE,
    MOST_PHOTOS,
    Duplicates,
    find_duplicates,
    known_duplicates,
)
from samix.data.image_set import NO_LABEL, ImageSet, SplitName
from samix.data.splits import Splits, make_splits
from samix.errors import InputError
from samix.progress import Announce

DuplicateUse = Literal["group", "ignore"]
Groups = tuple[str | None, ...]

_QUICK = 5000  # photos of a set with given parts that are checked before every run


@dataclass(frozen=True)
class Leakage:
    """Near-duplicates between the given parts of a set."""

    # positions of the photos of each group that lies in several parts
    groups: tuple[tuple[int, ...], ...]
    # photos of each part that have a near-duplicate in an earlier one, of train, val and test in
    # this order: those that say more than is true
    affected: dict[SplitName, int]
    parts: dict[SplitName, int]  # photos of each given part

    def sentence(self) -> str:
        """Return how much of each part is affected."""
        earlier = {"val": "train", "test": "train or val" if "val" in self.parts else "train"}
        return " and ".join(
            f"{count:,} of {self.parts[side]:,} {side} photos ({count / self.parts[side]:.1%}) "
            f"have a near-duplicate in {earlier[side]}"
            for side, count in self.affected.items()
            if count
        )


def keep_together(
    images: ImageSet, *, group_by: str | None, use: DuplicateUse, announce: Announce | None = None
) -> tuple[Groups | None, tuple[str, ...]]:
    """Return the groups of near-duplicates that a new split must not divide.

    There are none to look for where the user groups photos, or where the data says which part each
    photo shows. Parts that the data gives are never changed; they are checked where that is quick,
    or known from before.

    Args:
        images: The photos.
        group_by: What the user gave as groups, which comes before near-duplicates.
        use: "ignore" does not look for near-duplicates.
        announce: Called during long work.

    Returns:
        The group of each photo, for :func:`samix.data.make_splits`, or None where there is nothing
        to add; and sentences for the user.
    """
    if use == "ignore" or group_by is not None or any(g is not None for g in images.given_group):
        return None, ()
    if any(side is not None for side in images.given_split):
        return None, _given_note(images, announce)
    if len(images) > MOST_PHOTOS:
        return _equal_files(images, announce)
    found = find_duplicates(images, announce=announce)
    any_found = bool(found.groups or found.equal)
    notes = (*_found_note(found), *large_notes(found), *_label_notes(images, found))
    return (found.names() if any_found else None), notes


def split_together(
    images: ImageSet,
    *,
    group_by: str | None,
    use: DuplicateUse,
    announce: Announce | None = None,
    **options: Any,
) -> tuple[Splits, tuple[str, ...]]:
    """Return a new division that keeps near-duplicates on one side, and sentences for the user.

    Args:
        images: The photos.
        group_by: As for :func:`keep_together`, like the next two.
        use: What is done about near-duplicates.
        announce: Called during long work.
        **options: Fractions and seed of :func:`samix.data.make_splits`.

    Raises:
        InputError: The photos cannot be divided so; where near-duplicates are in the way, it says
            so.
    """
    groups, notes = keep_together(images, group_by=group_by, use=use, announce=announce)
    try:
        return make_splits(images, group_by=group_by, groups=groups, **options), notes
    except InputError as error:
        if groups is None:
            raise
        raise InputError(
            f"{error} (near-duplicates count as one group; duplicates=ignore divides them, and "
            "then the test says more than is true)"
        ) from error


def find_leakage(images: ImageSet, found: Duplicates) -> Leakage:
    """Return which groups lie in several given parts.

    Args:
        images: Photos with given parts.
        found: Their duplicates. Groups that are too large to be used count as well.
    """
    order: tuple[SplitName, ...] = ("train", "val", "test")
    groups = [
        group
        for group in (*found.groups, *found.large)
        if len({images.given_split[i] for i in group} - {None}) > 1
    ]
    affected: dict[SplitName, int] = dict.fromkeys(order, 0)
    for group in groups:
        sides = [images.given_split[i] for i in group]
        first = next(side for side in order if side in sides)
        for side in sides:
            if side is not None and side != first:
                affected[side] += 1
    parts = {side: images.given_split.count(side) for side in order if side in images.given_split}
    return Leakage(tuple(groups), {s: n for s, n in affected.items() if n}, parts)


def large_limit(found: Duplicates) -> int:
    """Return how many photos a group may have that is used without being asked for."""
    return max(HANDFUL, int(LARGEST_SHARE * len(found.size)))


def large_notes(found: Duplicates) -> tuple[str, ...]:
    """Return a sentence where groups are too large to be used without being asked for."""
    if not found.large:
        return ()
    sizes = ", ".join(str(len(group)) for group in found.large[:3])
    verbs = ("has", "is") if len(found.large) == 1 else ("have", "are")
    return (
        f"{counted(len(found.large), 'group')} of photos that look alike ({sizes} photos) "
        f"{verbs[0]} more than {large_limit(found)} photos each and {verbs[1]} NOT kept together: "
        "'samix check DATA' shows them; decide with `group_by`.",
    )


def _equal_files(
    images: ImageSet, announce: Announce | None
) -> tuple[Groups | None, tuple[str, ...]]:
    """Return groups of equal files of a set that is too large for more than this."""
    told = None if announce is None else partial(announce, "hashing photos")
    hashes = content_hashes(images, progress=told)
    names: list[str | None] = [None] * len(images)
    for number, group in enumerate(equal_photos(hashes or ()), start=1):
        for photo in group:
            names[photo] = f"equal files {number}"
    known = "" if hashes is None else " Equal files are kept on one side."
    return (tuple(names) if any(names) else None), (
        f"Near-duplicates were not looked for: {len(images):,} photos are more than "
        f"{MOST_PHOTOS:,}; `group_by` keeps photos of one part together.{known}",
    )


def _found_note(found: Duplicates) -> tuple[str, ...]:
    if not found.groups:
        return ()
    kept = "is" if len(found.groups) == 1 else "are"
    return (
        f"{counted(len(found.groups), 'group')} of near-duplicates ({found.photos:,} of "
        f"{len(found.size):,} photos) {kept} kept on one side of the split; 'samix check DATA' "
        "shows them.",
    )


def _given_note(images: ImageSet, announce: Announce | None) -> tuple[str, ...]:
    if len(images) <= _QUICK:
        found: Duplicates | None = find_duplicates(images, announce=announce)
    else:
        found = known_duplicates(images)
    if found is None:
        return (
            "The split is that of the data; whether near-duplicates lie in several of its parts is "
            "not checked here: 'samix check DATA' does.",
        )
    leak = find_leakage(images, found)
    if not leak.groups:
        return _label_notes(images, found)
    return (
        *_label_notes(images, found),
        f"Warning: the split is that of the data, and is not changed, but {leak.sentence()}; "
        "'samix check DATA' shows them.",
    )


def disagreeing(images: ImageSet, groups: Iterable[Sequence[int]]) -> list[Sequence[int]]:
    """Return the groups of photos that have several labels."""
    return [g for g in groups if len({images.targets[i] for i in g} - {NO_LABEL}) > 1]


def _label_notes(images: ImageSet, found: Duplicates) -> tuple[str, ...]:
    """Return a sentence where equal photos have several labels, one of which must be wrong."""
    wrong = disagreeing(images, found.equal)
    if not wrong:
        return ()
    first, other = (images.keys[photo] for photo in wrong[0][:2])
    return (
        f"Warning: {counted(len(wrong), 'group')} of equal photos with different labels, such as "
        f"'{first}' and '{other}'; 'samix check DATA' shows them.",
    )


def counted(number: int, what: str) -> str:
    """Return "1 group", "2 groups"."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"
