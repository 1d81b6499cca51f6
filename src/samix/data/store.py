"""Photos of one part as they are stored: in memory, or read each time.

A process that trains many times on the same photos keeps them with :func:`reuse_photos`.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from samix.data.image_set import ImageSet
from samix.data.reading import threaded
from samix.data.views import squeeze
from samix.progress import Progress


class PhotoStore:
    """Photos of one part by position; labels are not looked at.

    Args:
        images: The image set.
        indices: Positions of the part; positions in the store count within it.
        size: Side in px that photos are stored with, squeezed to a square.
    """

    def __init__(
        self,
        images: ImageSet,
        indices: Sequence[int],
        size: int,
    ) -> None:
        self.images = images
        self.indices = tuple(indices)
        self.size = size
        self.kept: Tensor | None = None

    def __len__(self) -> int:
        return len(self.indices)

    def photos(self, index: NDArray[np.int64]) -> Tensor:
        """Return the (B, 3, size, size) uint8 photos at (B,) positions."""
        if self.kept is not None:
            return self.kept[torch.from_numpy(index)]
        return torch.stack([self._read(i) for i in index.tolist()])

    def keep(self, progress: Progress | None = None) -> None:
        """Read all photos into memory, which takes :attr:`need` bytes."""
        kept = torch.empty(len(self), 3, self.size, self.size, dtype=torch.uint8)
        known = kept_photos(self.images, self.size)
        new = [i for i, at in enumerate(self.indices) if at not in known]
        for i, at in enumerate(self.indices):
            if at in known:
                kept[i] = known[at]
        for i, photo in zip(
            new, threaded(lambda n: self._read(new[n]), len(new), progress), strict=True
        ):
            kept[i] = photo
            known[self.indices[i]] = kept[i]  # the same memory
        self.kept = kept

    @property
    def need(self) -> int:
        """Memory that all photos of the part take, in bytes."""
        return len(self) * 3 * self.size**2

    def _read(self, index: int) -> Tensor:
        return squeeze(self.images.read_for(self.indices[index], self.size), self.size)


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
