"""Photos that one process opens and reads once, for many trainings on them."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

from torch import Tensor

from samix.data.collection import ImageSet


@dataclass
class _Kept:
    """What a process has opened and read.

    Attributes:
        limit: Bytes of memory that photos of one set and size may take.
        sets: Image sets, by what they were opened from.
        photos: Stored photos by position, by the set and the side that they are stored with.
    """

    limit: int
    sets: dict[Hashable, ImageSet] = field(default_factory=dict)
    photos: dict[tuple[int, int], dict[int, Tensor]] = field(default_factory=dict)


class _Process:
    """This process; nothing is kept until it is asked to."""

    kept: _Kept | None = None


def reuse_photos(limit: int) -> None:
    """Keep image sets and photos from now on, for the next training of this process.

    For a process that lives as long as one study: changes of the photos go unseen.

    Args:
        limit: Bytes of memory that the photos of one set and size may take.
    """
    _Process.kept = _Kept(limit)


def kept_set(key: Hashable, open_it: Callable[[], ImageSet]) -> ImageSet:
    """Return an image set that was opened before, or open it.

    Args:
        key: All that decides what is opened.
        open_it: Opens it.
    """
    kept = _Process.kept
    if kept is None:
        return open_it()
    if key not in kept.sets:
        kept.sets[key] = open_it()
    return kept.sets[key]


def kept_photos(images: ImageSet, size: int) -> dict[int, Tensor]:
    """Return the (3, size, size) uint8 photos that were read before, to which more are added.

    Args:
        images: The set.
        size: Side in px that photos are stored with.

    Returns:
        By position in the set; an empty one that nobody else sees where nothing is kept.
    """
    kept = _Process.kept
    if kept is None or len(images) * 3 * size**2 > kept.limit:
        return {}
    if not any(images is one for one in kept.sets.values()):
        return {}  # only of sets that live on: an id may be used again
    return kept.photos.setdefault((id(images), size), {})
