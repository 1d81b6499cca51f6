"""Photos of one part as they are stored: in memory, or read each time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from samix.data.collection import ImageSet, Progress
from samix.data.reuse import kept_photos
from samix.data.verification import threaded
from samix.data.views import squeeze


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
