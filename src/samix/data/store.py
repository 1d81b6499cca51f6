"""Photos of one part as they are stored: in memory, or read each time.

A process that trains many times on the same photos keeps them with :func:`reuse_photos`.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Hashable, Iterator, MutableMapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from samix.data.image_set import ImageSet
from samix.data.reading import full_size, threaded
from samix.data.views import squeeze
from samix.errors import UnreadableImageError
from samix.progress import Progress

CACHE_BUDGET = 2**30  # bytes of decoded photos that are kept in memory


def photo_at(images: ImageSet, index: int, side: int) -> Tensor:
    """Return a photo squeezed to a square, from memory where it was kept: (3, side, side) uint8."""
    known = images.kept.copy(index, side)
    return squeeze(images.read_for(index, side), side) if known is None else known


def defect_at(images: ImageSet, index: int, side: int) -> Tensor | None:
    """Return the share of defect in each pixel of a squeezed photo; None where no mask is given.

    Returns:
        (1, side, side) float32 in [0, 1].

    Raises:
        UnreadableImageError: The mask has another size than its photo, which stands upright.
    """
    mask = None if images.read_mask is None else images.read_mask(index)
    if mask is None:
        return None
    width, height = full_size(images.read_for(index, side))
    if mask.size != (width, height):
        raise UnreadableImageError(
            f"the mask of '{images.keys[index]}' has {mask.width} x {mask.height} px, its photo "
            f"{width} x {height}; give a mask of the size of its photo, upright as it is"
        )
    averaged = mask.convert("L").resize((side, side), Image.Resampling.BOX)
    return torch.from_numpy(np.array(averaged)).float().unsqueeze(0) / 255


class PhotoStore:
    """Photos of one part by position; labels are not looked at.

    Args:
        images: The image set.
        indices: Positions of the part; positions in the store count within it.
        size: Side in px that photos are stored with, squeezed to a square.
    """

    def __init__(self, images: ImageSet, indices: Sequence[int], size: int) -> None:
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
            self.images.kept.drop(self.indices[i], self.size)
        self.kept = kept

    @property
    def need(self) -> int:
        """Memory that all photos of the part take, in bytes."""
        return len(self) * 3 * self.size**2

    def _read(self, index: int) -> Tensor:
        return photo_at(self.images, self.indices[index], self.size)


@dataclass
class _Kept:
    limit: int  # bytes of memory that photos of one set and size may take
    folder: Path | None = None  # where processes share them; None keeps them in memory
    # image sets, by what they were opened from
    sets: dict[Hashable, ImageSet] = field(default_factory=dict)
    # stored photos by position, by the set and the side that they are stored with
    photos: dict[tuple[int, int], MutableMapping[int, Tensor]] = field(default_factory=dict)


class _Process:
    kept: _Kept | None = None


def reuse_photos(limit: int, folder: Path | None = None) -> None:
    """Keep image sets and photos from now on, for the next training of this process.

    For a process that lives as long as one study: changes of the photos go unseen.
    """
    _Process.kept = _Kept(limit, folder)


def kept_set(key: Hashable, open_it: Callable[[], ImageSet]) -> ImageSet:
    """Return an image set that was opened before, or open it."""
    kept = _Process.kept
    if kept is None:
        return open_it()
    if key not in kept.sets:
        kept.sets[key] = open_it()
    return kept.sets[key]


class _SharedPhotos(MutableMapping[int, Tensor]):
    """Photos by position in a file that processes share; each is there as a whole or not at all.

    Behind the photos stands one byte for each, which is written after it. Where the disk is full
    nothing is kept, and the next process decodes the photo again.
    """

    def __init__(self, path: Path, count: int, size: int) -> None:
        self.shape = (3, size, size)
        self.count, self.bytes = count, 3 * size**2
        path.parent.mkdir(parents=True, exist_ok=True)
        self.file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)

    def __contains__(self, at: object) -> bool:
        return os.pread(self.file, 1, self.count * self.bytes + int(str(at))) == b"\1"

    def __getitem__(self, at: int) -> Tensor:
        if at not in self:
            raise KeyError(at)
        stored = bytearray(os.pread(self.file, self.bytes, at * self.bytes))
        return torch.frombuffer(stored, dtype=torch.uint8).view(self.shape)

    def __setitem__(self, at: int, photo: Tensor) -> None:
        with suppress(OSError):
            if os.pwrite(self.file, photo.numpy().tobytes(), at * self.bytes) == self.bytes:
                os.pwrite(self.file, b"\1", self.count * self.bytes + at)

    def __delitem__(self, at: int) -> None:
        os.pwrite(self.file, b"\0", self.count * self.bytes + at)

    def __iter__(self) -> Iterator[int]:
        return (at for at in range(self.count) if at in self)

    def __len__(self) -> int:
        return sum(1 for _ in self)


def kept_photos(images: ImageSet, size: int) -> MutableMapping[int, Tensor]:
    """Return (3, size, size) uint8 photos that were read before, by position, to be added to.

    It is an empty one that nobody else sees where nothing is kept.
    """
    kept = _Process.kept
    if kept is None or len(images) * 3 * size**2 > kept.limit:
        return {}
    key = next((key for key, one in kept.sets.items() if images is one), None)
    if key is None:
        return {}  # only of sets that live on: an id may be used again
    if (id(images), size) not in kept.photos:
        kept.photos[id(images), size] = _created(kept.folder, key, images, size)
    return kept.photos[id(images), size]


def _created(
    folder: Path | None, key: Hashable, images: ImageSet, size: int
) -> MutableMapping[int, Tensor]:
    """Return where the photos of a set are kept: in a file, or in memory where there is none."""
    if folder is not None and hasattr(os, "pread"):
        what = repr((key, len(images), size))
        name = hashlib.sha256(what.encode(errors="surrogateescape")).hexdigest()[:16]
        with suppress(OSError):
            return _SharedPhotos(folder / f"{name}.photos", len(images), size)
    return {}
