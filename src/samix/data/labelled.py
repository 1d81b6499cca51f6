"""Smaller label budgets: nested subsets of the train part."""

from __future__ import annotations

import math

import numpy as np

from samix.data.collection import ImageSet
from samix.data.splits import Splits
from samix.errors import InputError


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


def _first_groups(
    photos: list[int], groups: tuple[str | None, ...], wanted: int, rng: np.random.Generator
) -> list[int]:
    """Take whole groups in random order until there are enough photos."""
    members: dict[str | int, list[int]] = {}
    for i in photos:
        group = groups[i]
        members.setdefault(i if group is None else group, []).append(i)
    names = list(members)
    taken: list[int] = []
    for at in rng.permutation(len(names)):
        if len(taken) >= wanted:
            break
        taken += members[names[at]]
    return taken
