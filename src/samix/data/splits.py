"""Train, validation and test parts of an image set, its groups, and label budgets."""

from __future__ import annotations

import csv
import io
import math
import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from samix.data.image_set import NO_LABEL, ImageSet, SplitName
from samix.data.tables import TABLES, column_by_photo, open_table
from samix.errors import InputError
from samix.files import whole_file
from samix.shown import NameWriter, name_of

_SIDES: tuple[SplitName, ...] = ("train", "val", "test")


@dataclass(frozen=True)
class Splits:
    """Positions of the photos of each part.

    Attributes:
        train: Positions to learn from, ascending.
        val: Positions that choose the checkpoint, ascending.
        test: Positions that are looked at once, at the end, ascending.
        groups: The group of each photo of the image set; None is a photo that stands for itself.
    """

    train: tuple[int, ...]
    val: tuple[int, ...]
    test: tuple[int, ...]
    groups: tuple[str | None, ...]


def make_splits(
    images: ImageSet,
    *,
    group_by: str | None = None,
    val_fraction: float = 0.15,
    test_fraction: float = 0.2,
    seed: int = 0,
    groups: tuple[str | None, ...] | None = None,
) -> Splits:
    """Split an image set, the same way each time for the same seed.

    Parts that the data gives are kept. A missing val or test part is taken out of train (or of all
    photos where nothing is given), each class in proportion and groups as a whole. Photos without
    a label are in no part, unless no photo of the set has one.

    Args:
        images: The photos.
        group_by: Regular expression or CSV file, see `find_groups`.
        val_fraction: Share of the photos that are divided which goes to val, in (0, 1).
        test_fraction: The same for test.
        seed: Seed of the division.
        groups: The group of each photo, such as those of near-duplicates; not with group_by.

    Returns:
        The three parts and the group of each photo.

    Raises:
        InputError: A fraction is out of range, a class has too few groups to be in every part, a
            given part lacks a class, or a group lies in two given parts.
    """
    fractions: dict[SplitName, float] = {"val": val_fraction, "test": test_fraction}
    for side, fraction in fractions.items():
        if not 0 < fraction < 1:
            msg = f"the {side} fraction must lie between 0 and 1, got {fraction}"
            raise InputError(msg)
    if val_fraction + test_fraction >= 1:
        msg = f"val and test fraction leave nothing for train: {val_fraction} + {test_fraction}"
        raise InputError(msg)
    if groups is None:
        groups = find_groups(images, group_by)
    elif group_by is not None or len(groups) != len(images):
        msg = f"groups: expected {len(images)} without group_by, got {len(groups)}, {group_by!r}"
        raise ValueError(msg)
    labelled = [i for i, target in enumerate(images.targets) if target != NO_LABEL]
    given = {i: images.given_split[i] for i in labelled or range(len(images))}
    parts = {side: [i for i, s in given.items() if s == side] for side in fractions}
    pool = [i for i, s in given.items() if s not in fractions]
    shares = {side: fraction for side, fraction in fractions.items() if not parts[side]}
    shares["train"] = 1 - sum(shares.values())
    parts |= _divide(images, groups, pool, shares, np.random.default_rng(seed))
    train, val, test = (tuple(sorted(parts[side])) for side in _SIDES)
    splits = Splits(train, val, test, groups)
    check_splits(images, splits)
    return splits


def make_unlabelled_splits(
    images: ImageSet,
    *,
    group_by: str | None = None,
    val_fraction: float = 0.15,
    test_fraction: float = 0.2,
    seed: int = 0,
    groups: tuple[str | None, ...] | None = None,
) -> tuple[Splits, tuple[str, ...]]:
    """Split an image set for training without labels.

    Where the photos have classes, val and test are those of :func:`make_splits` with the same
    arguments, so that a later supervised run has a test part that was never learned from. Photos
    without a label are learned from too. Where the classes do not allow such a division, and no
    classifier could be trained, photos are divided without looking at them.

    Args:
        images: The photos.
        group_by: As for :func:`make_splits`.
        val_fraction: The same.
        test_fraction: The same.
        seed: The same.
        groups: The same.

    Returns:
        The three parts, and what is to be told about them.

    Raises:
        InputError: As for :func:`make_splits`, except what is about classes.
    """
    options: dict[str, Any] = {
        "group_by": group_by,
        "val_fraction": val_fraction,
        "test_fraction": test_fraction,
        "seed": seed,
        "groups": groups,
    }
    try:
        return _with_unlabelled(images, make_splits(images, **options)), ()
    except InputError as error:
        plain = replace(images, classes=(), targets=(NO_LABEL,) * len(images))
        splits = make_splits(plain, **options)
        return splits, (f"The photos are split without a look at their classes: {error}.",)


def labelled_subset(
    images: ImageSet,
    splits: Splits,
    *,
    labels_per_class: int | None = None,
    label_fraction: float | None = None,
    seed: int = 0,
) -> tuple[int, ...]:
    """Draw the photos of the train part whose labels may be used.

    Each class has one random order for a seed, and a budget takes its beginning: 10 labels a class
    are among the 25 of the same seed. Groups are taken as a whole: one is added while the class
    has fewer photos than asked for, so that the last one may overshoot.

    Args:
        images: The photos.
        splits: Their parts and groups.
        labels_per_class: At least so many photos of each class, >= 1; None is no such limit.
        label_fraction: At least this share of each class, in (0, 1]; None is no such limit.
        seed: Seed of the order.

    Returns:
        Positions in the image set, ascending; all labelled photos of train where neither limit is
        given.

    Raises:
        InputError: Both limits at once, one out of range, or more labels than a class has.
    """
    if labels_per_class is not None and label_fraction is not None:
        msg = (
            f"give labels per class ({labels_per_class}) or the fraction of labels "
            f"({label_fraction}), not both"
        )
        raise InputError(msg)
    if labels_per_class is not None and labels_per_class < 1:
        msg = f"labels per class must be at least 1, got {labels_per_class}"
        raise InputError(msg)
    if label_fraction is not None and not 0 < label_fraction <= 1:
        msg = f"the fraction of labels must be above 0 and at most 1, got {label_fraction}"
        raise InputError(msg)
    chosen: list[int] = []
    for target, name in enumerate(images.classes):
        photos = [i for i in splits.train if images.targets[i] == target]
        wanted = len(photos)
        if labels_per_class is not None:
            wanted = labels_per_class
        elif label_fraction is not None:
            wanted = math.ceil(label_fraction * len(photos) - 1e-9)
        if wanted > len(photos):
            msg = (
                f"class '{name}' has {len(photos)} photos to train with, fewer than the {wanted} "
                "labels asked for; ask for fewer"
            )
            raise InputError(msg)
        rng = np.random.default_rng([seed, target])
        chosen += _first_groups(photos, splits.groups, wanted, rng)
    return tuple(sorted(chosen))


def members_of(photos: Iterable[int], groups: Sequence[str | None]) -> dict[str | int, list[int]]:
    """Return the photos of each group; one without a group is its own, by its position."""
    members: dict[str | int, list[int]] = {}
    for i in photos:
        group = groups[i]
        members.setdefault(i if group is None else group, []).append(i)
    return members


def find_groups(images: ImageSet, group_by: str | None) -> tuple[str | None, ...]:
    """Return the group of each photo.

    Args:
        images: The photos.
        group_by: A regular expression that is searched in each key (its first bracket, or all that
            it matched, is the group), or the path of a table with the columns path and group;
            None for what the data itself says.

    Returns:
        One group a photo; None is a photo that stands for itself.

    Raises:
        InputError: The expression or file does not give every photo a group, or it gives all
            photos the same one, or (expression only) each photo its own.
    """
    if group_by is None:
        return images.given_group
    end = os.path.splitext(group_by.lower())[1]
    from_file = end == ".csv" or (end in TABLES and os.path.isfile(group_by))
    groups = _from_table(images, Path(group_by)) if from_file else _from_pattern(images, group_by)
    if len(set(groups)) == 1:
        msg = (
            f"group_by '{group_by}' puts all {len(groups)} photos into one group "
            f"('{groups[0]}'), so they cannot be split; name what tells parts apart"
        )
        raise InputError(msg)
    if not from_file and len(set(groups)) == len(groups):
        msg = (
            f"group_by '{group_by}' gives each photo its own group (such as '{groups[0]}'); "
            "name what photos of one part have in common, or leave it out"
        )
        raise InputError(msg)
    return groups


def check_splits(images: ImageSet, splits: Splits) -> None:
    """Refuse parts that lack a class or share a group.

    Raises:
        InputError: A part lacks a class, or two parts share a group; the message names it.
    """
    side_of: dict[str, SplitName] = {}
    total = Counter(images.targets)
    for side in _SIDES:
        positions: tuple[int, ...] = getattr(splits, side)
        present = {images.targets[i] for i in positions}
        for target, name in enumerate(images.classes):
            if target not in present:
                msg = (
                    f"class '{name}' ({total[target]} photos) has no photo in the {side} part; "
                    "add photos, leave the class out, or group less coarsely"
                )
                raise InputError(msg)
        for group in {splits.groups[i] for i in positions} - {None}:
            other = side_of.setdefault(str(group), side)
            if other != side:
                msg = (
                    f"group '{group}' lies in {other} and in {side} of the given parts; "
                    "move its photos to one side or leave group_by out"
                )
                raise InputError(msg)


def write_splits(path: str | Path, images: ImageSet, splits: Splits) -> None:
    """Write the part and the group of each photo as CSV: path, split, group.

    Photos in no part are written as "unused". The file appears as a whole or not at all.
    """
    sides = sides_of(splits)
    with (
        whole_file(path) as partial,
        partial.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file,
    ):
        writer = NameWriter(file)
        writer.writerow(("path", "split", "group"))
        for key, side, group in zip(images.keys, sides, splits.groups, strict=True):
            writer.writerow((key, side, group or ""))


def sides_of(splits: Splits) -> list[str]:
    """Return the part of each photo; "unused" is in none."""
    sides = ["unused"] * len(splits.groups)
    for side in _SIDES:
        for i in getattr(splits, side):
            sides[i] = side
    return sides


def read_splits(path: str | Path, images: ImageSet) -> Splits:
    """Read what `write_splits` wrote.

    Args:
        path: The CSV file.
        images: The same photos.

    Raises:
        InputError: The file is unreadable or of other photos.
    """
    rows = {row["path"]: row for row in read_table(Path(path), ("path", "split", "group"))}
    missing = [key for key in images.keys if key not in rows]
    unknown = set(rows).difference(images.keys)
    if missing or unknown:
        example = missing[0] if missing else min(unknown)
        msg = (
            f"'{path}' was written for other photos ({len(missing)} of the data are not in it, "
            f"{len(unknown)} of it are not in the data, such as '{example}'); give the same data"
        )
        raise InputError(msg)
    parts: dict[str, list[int]] = {side: [] for side in (*_SIDES, "unused")}
    for i, key in enumerate(images.keys):
        side = rows[key]["split"]
        if side not in parts:
            msg = f"'{path}' has the unknown split '{side}' for '{key}'; expected {list(parts)}"
            raise InputError(msg)
        parts[side].append(i)
    groups = tuple(rows[key]["group"] or None for key in images.keys)
    train, val, test = (tuple(parts[side]) for side in _SIDES)
    return Splits(train, val, test, groups)


def unused_notes(images: ImageSet, splits: Splits, path: str) -> tuple[str, ...]:
    """Return what to tell where splits that were read leave out photos that have a label.

    Args:
        images: The photos.
        splits: Their parts.
        path: The file that the parts were read from.
    """
    used = {*splits.train, *splits.val, *splits.test}
    out = sum(target != NO_LABEL and i not in used for i, target in enumerate(images.targets))
    if not out:
        return ()
    return (
        f"{out} labelled photos are not used, since '{path}' puts them in no part, as a run with "
        "few labels does; for all of them take the splits of a run without such a limit.",
    )


def read_table(path: Path, columns: tuple[str, ...]) -> list[dict[str, str]]:
    """Read a CSV file that samix wrote, with names as :mod:`samix.shown` has them."""
    try:
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            text = file.read()
    except OSError as error:
        msg = f"'{path}' cannot be read ({error.strerror})"
        raise InputError(msg) from error
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        rows = list(reader)
    except csv.Error as error:
        msg = f"'{path}' is not a CSV file ({error})"
        raise InputError(msg) from error
    lacking = [column for column in columns if column not in (reader.fieldnames or ())]
    if lacking:
        msg = (
            f"'{path}' lacks the column '{lacking[0]}'; expected a first row of "
            f"'{','.join(columns)}', parted by commas, got '{text[:80].splitlines()[0]}'"
        )
        raise InputError(msg)
    found = [{column: name_of(row[column] or "") for column in columns} for row in rows]
    said: dict[str, dict[str, str]] = {}
    for row in found:
        if said.setdefault(row[columns[0]], row) != row:
            name, both = row[columns[0]], " and ".join(map(_rest, (said[row[columns[0]]], row)))
            msg = f"'{path}' says two things of '{name}' ({both}); leave one row for each"
            raise InputError(msg)
    return found


def _rest(row: dict[str, str]) -> str:
    return ", ".join(f"'{value}'" for value in list(row.values())[1:])


def _with_unlabelled(images: ImageSet, splits: Splits) -> Splits:
    """Put the photos that are in no part into train, unless something of theirs is elsewhere."""
    placed = {*splits.train, *splits.val, *splits.test}
    away = {splits.groups[i] for i in (*splits.val, *splits.test)} - {None}
    more = [
        i
        for i, given in enumerate(images.given_split)
        if i not in placed and given not in ("val", "test") and splits.groups[i] not in away
    ]
    return replace(splits, train=tuple(sorted((*splits.train, *more))))


def _divide(
    images: ImageSet,
    groups: tuple[str | None, ...],
    pool: list[int],
    shares: dict[SplitName, float],
    rng: np.random.Generator,
) -> dict[SplitName, list[int]]:
    """Divide photos in proportion within each class, groups as a whole.

    The classes with the fewest groups come first. Within a class the groups come in random order,
    large ones first, and each goes to the part that still lacks most of the class; the last groups
    go to the parts that have none.
    """
    members = members_of(pool, groups)
    names = list(members)
    order = [names[i] for i in rng.permutation(len(names))]
    of_class: dict[int, list[str | int]] = {}
    for name in sorted(order, key=lambda name: -len(members[name])):
        for target in {images.targets[i] for i in members[name]}:
            of_class.setdefault(target, []).append(name)
    total = Counter(images.targets[i] for i in pool)
    have: dict[SplitName, Counter[int]] = {side: Counter() for side in shares}
    parts: dict[SplitName, list[int]] = {side: [] for side in shares}
    placed: set[str | int] = set()
    for target in sorted(of_class, key=lambda target: (len(of_class[target]), target)):
        _check_size(images, target, len(of_class[target]), total[target], list(shares))
        waiting = [name for name in of_class[target] if name not in placed]
        wanted = {side: max(1.0, share * total[target]) for side, share in shares.items()}
        for left, name in zip(range(len(waiting), 0, -1), waiting, strict=True):
            empty = [side for side in shares if not have[side][target]]
            sides = empty if left <= len(empty) else list(shares)
            side = max(sides, key=lambda s: wanted[s] - have[s][target])
            parts[side] += members[name]
            have[side].update(images.targets[i] for i in members[name])
            placed.add(name)
    return parts


def _check_size(
    images: ImageSet, target: int, groups: int, photos: int, sides: list[SplitName]
) -> None:
    """Refuse a class with fewer groups than parts."""
    if target != NO_LABEL and groups < len(sides):
        what = f"{photos} photos" if groups == photos else f"{photos} photos of {groups} groups"
        msg = (
            f"class '{images.classes[target]}' is too small to be in {', '.join(sorted(sides))}: "
            f"it has {what}; add photos or leave the class out"
        )
        raise InputError(msg)


def _from_pattern(images: ImageSet, pattern: str) -> tuple[str, ...]:
    try:
        search = re.compile(pattern).search
    except re.error as error:
        msg = f"group_by '{pattern}' is not a regular expression ({error})"
        raise InputError(msg) from error
    groups: list[str] = []
    for key in images.keys:
        match = search(key)
        group = None if match is None else match.group(1 if match.re.groups else 0)
        if not group:
            msg = f"group_by '{pattern}' does not match photo '{key}'; it must match every photo"
            raise InputError(msg)
        groups.append(group)
    return tuple(groups)


def _from_table(images: ImageSet, path: Path) -> tuple[str, ...]:
    table = open_table(path)
    column = table.named("group")
    if column is None and table.headless and len(table.columns) == 2:
        column = table.columns[-1]  # as of a table of labels
    if column is None:
        msg = f"'{path}' lacks the column 'group', it has {', '.join(table.columns)}"
        raise InputError(f"{msg}; expected one of paths and one of groups")
    groups, _ = column_by_photo(images, table, column, what="group")
    found = tuple(group for group in groups if group is not None)
    if len(found) < len(groups):
        missing = [key for key, group in zip(images.keys, groups, strict=True) if group is None]
        msg = f"'{path}' names no group for {len(missing)} photos, the first is '{missing[0]}'"
        raise InputError(msg)
    return found


def _first_groups(
    photos: list[int], groups: tuple[str | None, ...], wanted: int, rng: np.random.Generator
) -> list[int]:
    """Take whole groups in random order until there are enough photos."""
    members = members_of(photos, groups)
    names = list(members)
    taken: list[int] = []
    for at in rng.permutation(len(names)):
        if len(taken) >= wanted:
            break
        taken += members[names[at]]
    return taken
