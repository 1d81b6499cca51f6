"""Several image sets as one, for training without labels."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from PIL import Image

from samix.data.collection import NO_LABEL, ImageSet, ReadPhoto, read_reduced
from samix.data.splits import Splits

Source = tuple[str, ImageSet]
"""A set and the prefix of its keys, such as the path of its folder."""


@dataclass(frozen=True)
class _Readers:
    """Reads photos of several sets by position."""

    readers: tuple[ReadPhoto, ...]
    starts: tuple[int, ...]

    def __call__(self, index: int) -> Image.Image:
        """Return the photo at a position."""
        at = bisect_right(self.starts, index) - 1
        return self.readers[at](index - self.starts[at])

    def reduced(self, index: int, side: int) -> Image.Image:
        """Return the photo at a position for a copy of a side in px."""
        at = bisect_right(self.starts, index) - 1
        return read_reduced(self.readers[at], index - self.starts[at], side)


def join_images(sources: Sequence[Source]) -> ImageSet:
    """Return the photos of several sets, one set after another, without their classes.

    Args:
        sources: Two or more; no photo is in two of them.
    """
    images = tuple(part for _, part in sources)
    count = sum(len(part) for part in images)
    return ImageSet(
        name="+".join(part.name for part in images),
        classes=(),
        keys=tuple(f"{prefix}/{key}" for prefix, part in sources for key in part.keys),
        targets=(NO_LABEL,) * count,
        given_split=tuple(given for part in images for given in part.given_split),
        given_group=tuple(given for part in images for given in part.given_group),
        read=_Readers(tuple(part.read for part in images), _starts(images)),
        skipped=tuple(f"{prefix}/{key}" for prefix, part in sources for key in part.skipped),
    )


def join_splits(sources: Sequence[Source], splits: Sequence[Splits]) -> Splits:
    """Return the parts of :func:`join_images`, each set split by itself.

    Args:
        sources: As for :func:`join_images`.
        splits: Of each set.
    """
    starts = _starts(tuple(part for _, part in sources))

    def joined(side: str) -> tuple[int, ...]:
        parts = zip(starts, splits, strict=True)
        return tuple(start + i for start, part in parts for i in getattr(part, side))

    groups = (
        None if group is None else f"{prefix}/{group}"
        for (prefix, _), part in zip(sources, splits, strict=True)
        for group in part.groups
    )
    return Splits(joined("train"), joined("val"), joined("test"), tuple(groups))


def _starts(images: Sequence[ImageSet]) -> tuple[int, ...]:
    return tuple(accumulate((len(part) for part in images), initial=0))[:-1]
