"""The photos that `samix ui` offers to choose from."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from samix.data import ImageSet
from samix.data.pixels import decode
from samix.errors import InputError

_MOST = 300  # photos in a list that a person reads


def offered(images: ImageSet, most: int = _MOST) -> tuple[int, ...]:
    """Return the positions of the photos to choose from: of each class about equally many.

    Args:
        images: All photos.
        most: How many at most.

    Returns:
        Positions, ascending.
    """
    of_class: dict[int, list[int]] = {}
    for position, target in enumerate(images.targets):
        of_class.setdefault(target, []).append(position)
    taken: list[int] = []
    for turn in range(max(map(len, of_class.values()), default=0)):
        for positions in of_class.values():
            if turn < len(positions) and len(taken) < most:
                taken.append(positions[turn])
    return tuple(sorted(taken))


def another_pair(images: ImageSet, positions: Sequence[int], rng: random.Random) -> tuple[int, int]:
    """Draw two photos, of different classes where there are two.

    Args:
        images: All photos.
        positions: Those to draw from, at least one.
        rng: Source of randomness.
    """
    first = rng.choice(positions)
    others = [i for i in positions if images.targets[i] != images.targets[first]]
    others = others or [i for i in positions if i != first] or [first]
    return first, rng.choice(others)


def read_photo(file: str, what: str) -> Image.Image:
    """Return a photo that was dropped in.

    Args:
        file: Where it lies.
        what: What it is called in a complaint.

    Raises:
        InputError: It cannot be read.
    """
    try:
        return decode(Path(file).read_bytes(), what)
    except (InputError, OSError) as error:
        raise InputError(f"{error}; choose another photo") from error


def class_of(images: ImageSet, position: int) -> str:
    """Return the class of a photo, or nothing."""
    target = images.targets[position]
    return images.classes[target] if target >= 0 else ""


def choices(images: ImageSet, positions: Sequence[int]) -> list[tuple[str, int]]:
    """Return what the list of photos shows, and which position it stands for."""
    return [(images.keys[position], position) for position in positions]
