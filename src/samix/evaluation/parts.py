"""Which photos an encoder is judged on: never those that it was trained on, where that is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from samix.data import DuplicateUse, ImageSet, Splits, read_splits, split_together
from samix.data.duplicates.search import Announce
from samix.data.splits import read_table


@dataclass(frozen=True)
class Division:
    """The parts of an evaluation.

    Attributes:
        splits: Photos with a label, in train, val and test.
        origin: Where they come from, in words.
        notes: Sentences for the user.
    """

    splits: Splits
    origin: str
    notes: tuple[str, ...]


def divide(
    images: ImageSet,
    of_source: Path | None,
    *,
    group_by: str | None = None,
    val_fraction: float | None = None,
    test_fraction: float | None = None,
    seed: int = 0,
    duplicates: DuplicateUse = "group",
    announce: Announce | None = None,
) -> Division:
    """Divide photos as the run that is judged did, or anew.

    Args:
        images: The photos.
        of_source: The splits.csv of the run; None where there is none.
        group_by: See :func:`samix.data.make_splits`; this and the following are for a new division.
        val_fraction: Share for validation; None is 0.15.
        test_fraction: Share for test; None is 0.2.
        seed: Seed of the division.
        duplicates: What a new division does about near-duplicates: see
            :func:`samix.data.keep_together`.
        announce: Called while they are looked for.

    Raises:
        InputError: The photos cannot be divided.
    """
    reused, why = (None, "") if of_source is None else _reused(images, of_source)
    asked = [
        flag
        for flag, value in (
            ("--group-by", group_by),
            ("--val-fraction", val_fraction),
            ("--test-fraction", test_fraction),
        )
        if value is not None
    ]
    if reused is not None:
        unused = (f"The splits are those of the run; {asked[0]} is not used.",) if asked else ()
        return Division(reused, f"those of '{of_source}'", unused)
    splits, kept = split_together(
        images,
        group_by=group_by,
        use=duplicates,
        announce=announce,
        val_fraction=0.15 if val_fraction is None else val_fraction,
        test_fraction=0.2 if test_fraction is None else test_fraction,
        seed=seed,
    )
    splits = _labelled(images, splits)
    seen = () if of_source is None else (why, *_seen(images, splits.test, of_source))
    notes = tuple(note for note in (*seen, *kept) if note)
    return Division(splits, f"made with seed {seed}", notes)


def _reused(images: ImageSet, path: Path) -> tuple[Splits | None, str]:
    """Return the labelled photos of a run's splits, or None and why they cannot be used."""
    if {row["path"] for row in _rows(path)} != set(images.keys):
        return None, ""
    splits = _labelled(images, read_splits(path, images))
    for side in ("train", "val", "test"):
        present = {images.targets[i] for i in getattr(splits, side)}
        lacking = [name for target, name in enumerate(images.classes) if target not in present]
        if lacking:
            return None, (
                f"The splits of the run are not used: their {side} part has no photo of class "
                f"'{lacking[0]}'."
            )
    return splits, ""


def _seen(images: ImageSet, test: Sequence[int], path: Path) -> tuple[str, ...]:
    """Return a warning where the run trained on photos of the test part, by their names."""
    trained = {row["path"] for row in _rows(path) if row["split"] == "train"}
    count = sum(images.keys[i] in trained for i in test)
    if not count:
        return ()
    return (
        f"Warning: {count} of the {len(test)} test photos were in the train part of the run, so "
        "these numbers flatter it.",
    )


def _rows(path: Path) -> list[dict[str, str]]:
    return read_table(path, ("path", "split"))


def _labelled(images: ImageSet, splits: Splits) -> Splits:
    """Return the parts without photos that have no label."""

    def kept(part: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(i for i in part if images.targets[i] >= 0)

    return replace(splits, train=kept(splits.train), val=kept(splits.val), test=kept(splits.test))
