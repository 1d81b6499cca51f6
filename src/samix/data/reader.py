"""The one reader of photos that are stored encoded, wherever that is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from samix.data.depth import Depth
from samix.data.image_set import ImageSet
from samix.data.reading import decode_each, header_of
from samix.errors import CorruptImageError, UnreadableImageError
from samix.files import MAX_MEGAPIXELS, check_regular


@dataclass(frozen=True)
class PhotoReader:
    """Reads photos by position."""

    # path of the file of a position, or its bytes; picklable; raises CorruptImageError
    stored: Callable[[int], bytes | str]
    keys: tuple[str, ...]  # name of each photo
    max_megapixels: int = MAX_MEGAPIXELS  # larger photos are not read
    depth: Depth | None = None  # what is white in photos of more than 8 bits

    def __call__(self, index: int) -> Image.Image:
        """Return the photo at a position."""
        return self.reduced(index)

    def reduced(self, index: int, side: int | None = None) -> Image.Image:
        """Return the photo at a position for a copy of a side in px; None is in full."""
        return self.each(index, (side,))[side]

    def each(
        self, index: int, sides: Sequence[int | None], stored: bytes | None = None
    ) -> dict[int | None, Image.Image]:
        """Return the photo at a position for copies of several sides, decoded once if it can be."""
        return decode_each(
            self.stored(index) if stored is None else stored, self.keys[index], sides,
            max_megapixels=self.max_megapixels, depth=self.depth,
        )  # fmt: skip

    def header(self, index: int) -> tuple[bool, bool]:
        """Say whether a photo has more than 8 bits a colour, and several pages, by its header."""
        try:
            return header_of(self.stored(index))
        except UnreadableImageError:
            return False, False  # it is named when it is read

    def encoded(self, index: int) -> bytes:
        """Return the photo at a position as it is stored."""
        stored = self.stored(index)
        if isinstance(stored, bytes):
            return stored
        try:
            check_regular(stored)
            return Path(stored).read_bytes()
        except OSError as error:
            msg = f"photo '{self.keys[index]}' cannot be read ({error.strerror or error})"
            raise CorruptImageError(msg) from error


def read_each(
    images: ImageSet, index: int, sides: Sequence[int], stored: bytes | None = None
) -> Mapping[int | None, Image.Image]:
    """Read a photo for copies of several sides, each as :meth:`ImageSet.read_for` does."""
    if isinstance(images.read, PhotoReader):
        return images.read.each(index, sides, stored)
    return {side: images.read_for(index, side) for side in sides}
