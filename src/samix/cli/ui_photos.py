"""The photos that `samix ui` offers to choose from."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from samix.data import ImageSet
from samix.errors import InputError

from .ui_uploads import inside

_MOST = 300  # photos in a list that a person reads


@dataclass(frozen=True)
class Offer:
    """Photos to choose from; no other can be read.

    Attributes:
        images: All photos of the set.
        positions: Those that are offered, ascending, at least one.
        root: The folder that each must lie below, links followed; None where the photos are no
            files of a folder that was named.
    """

    images: ImageSet
    positions: tuple[int, ...]
    root: Path | None = None

    def read(self, position: int) -> tuple[Image.Image, str]:
        """Return a photo and its class, or nothing as its class.

        Raises:
            InputError: It is not offered, has become a link that leads out of the folder, or
                cannot be read.
        """
        if position not in self.positions:
            raise InputError(f"photo {position} is not in the list; choose one that is")
        if not lies_inside(self.root, self.images.keys[position]):
            key = self.images.keys[position]
            raise InputError(f"photo '{key}' leads out of the folder of --data; choose another")
        return self.images.read(position), class_of(self.images, position)

    def another_pair(self, rng: random.Random) -> tuple[int, int]:
        """Draw two positions, of different classes where there are two.

        Args:
            rng: Source of randomness.
        """
        targets = self.images.targets
        first = rng.choice(self.positions)
        others = [i for i in self.positions if targets[i] != targets[first]]
        others = others or [i for i in self.positions if i != first] or [first]
        return first, rng.choice(others)

    def choices(self) -> list[tuple[str, int]]:
        """Return what the list of photos shows, and which position it stands for."""
        return [(self.images.keys[position], position) for position in self.positions]


def offer(images: ImageSet, root: Path | None, most: int = _MOST) -> tuple[Offer, int]:
    """Return the photos to choose from: of each class about equally many.

    Args:
        images: All photos.
        root: As in :class:`Offer`.
        most: How many at most.

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
            f"--data: all {outside} photos of '{images.name}' are links that lead out of the "
            "folder, which the page does not follow; give the folder that holds them"
        )
    return Offer(images, _taken(list(of_class.values()), most), root), outside


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


def class_of(images: ImageSet, position: int) -> str:
    """Return the class of a photo, or nothing."""
    target = images.targets[position]
    return images.classes[target] if target >= 0 else ""


def _taken(classes: Sequence[Sequence[int]], most: int) -> tuple[int, ...]:
    """Return positions of each class in turn."""
    taken: list[int] = []
    for turn in range(max(map(len, classes))):
        for positions in classes:
            if turn < len(positions) and len(taken) < most:
                taken.append(positions[turn])
    return tuple(sorted(taken))
