"""What is kept of each photo to compare it with others: hashes, size, a small grey copy."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from samix.data.image_set import ImageSet
from samix.data.reading import ORDINARY, kept_room, strips, threaded
from samix.progress import Progress

SMALL, LARGE = 32, 64  # px, sides of the grey copies
_SMALL_PHOTO = 96  # px: finer copies of photos of a shorter side up to here would compare noise
_SAMPLED = 33  # photos that are looked at to choose the side


@dataclass(frozen=True)
class Fingerprints:
    """What is kept of N photos.

    Attributes:
        grey: (N, S, S) uint8, the whole photo squeezed to a square; S is 32 or 64.
        size: (N, 2) int64, width and height of the photo in px.
        pixels: (N,) equal for photos that look exactly the same, and for no others.
    """

    grey: NDArray[np.uint8]
    size: NDArray[np.int64]
    pixels: NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.grey)


def take_fingerprints(
    images: ImageSet, *, hashed: bool = True, progress: Progress | None = None
) -> Fingerprints:
    """Decode every photo once and keep what is needed to compare it.

    Args:
        images: At least one photo, all readable.
        hashed: Take the hash of the pixels of each photo. Otherwise only photos whose size and grey
            copy are those of another one are read once more for it, and the others are numbered,
            which takes two thirds of the time.
        progress: Called with (done, total) now and then.

    Raises:
        CorruptImageError: A photo cannot be read.
    """
    side = _side(images)
    grey = np.empty((len(images), side, side), dtype=np.uint8)
    size = np.empty((len(images), 2), dtype=np.int64)
    pixels: list[str] = []

    def look(index: int) -> tuple[NDArray[np.uint8], tuple[int, int], str]:
        with kept_room():  # equal photos are equal in every pixel: large ones are read in full
            photo = images.read(index)
            return small_grey(photo, side), photo.size, _pixel_hash(photo) if hashed else ""

    for i, (copy, measures, digest) in enumerate(threaded(look, len(images), progress)):
        grey[i], size[i] = copy, measures
        pixels.append(digest or str(i))
    if not hashed:
        alike = [
            f"{size[i]}{hashlib.sha256(grey[i].tobytes()).digest()!r}" for i in range(len(grey))
        ]
        asked = [i for positions in equal_photos(alike) for i in positions]
        for i, digest in zip(
            asked, threaded(lambda n: _hash_of(images, asked[n]), len(asked)), strict=True
        ):
            pixels[i] = digest
    return Fingerprints(grey, size, np.array(pixels))


def _hash_of(images: ImageSet, index: int) -> str:
    with kept_room():
        return _pixel_hash(images.read(index))


def content_hashes(images: ImageSet, *, progress: Progress | None = None) -> list[str] | None:
    """Return a hash of each photo as it is stored, without decoding it.

    Args:
        images: The photos.
        progress: Called with (done, total) now and then.

    Returns:
        One hash a photo; None where the set has no encoded photos.

    Raises:
        CorruptImageError: A photo is gone.
    """
    encoded = images.encoded
    if encoded is None:
        return None
    return list(threaded(lambda i: hashlib.sha256(encoded(i)).hexdigest(), len(images), progress))


def small_grey(photo: Image.Image, side: int) -> NDArray[np.uint8]:
    """Return a photo as (side, side) grey values, averaged over the pixels that fall together."""
    small = photo.convert("L").resize((side, side), Image.Resampling.BILINEAR, reducing_gap=3.0)
    return np.asarray(small, dtype=np.uint8)


def equal_photos(pixels: Sequence[str] | NDArray[np.str_]) -> list[list[int]]:
    """Return the positions of photos that are exactly equal, two or more in each list."""
    found: dict[str, list[int]] = {}
    for i, digest in enumerate(pixels):
        found.setdefault(str(digest), []).append(i)
    return [positions for positions in found.values() if len(positions) > 1]


def _side(images: ImageSet) -> int:
    """Return the side of the copies: small where most photos are."""
    step = max(1, len(images) // _SAMPLED)
    shorter = [min(images.read_for(i, LARGE).size) for i in range(0, len(images), step)]
    return SMALL if median(shorter) <= _SMALL_PHOTO else LARGE


def _pixel_hash(photo: Image.Image) -> str:
    digest = hashlib.sha256(f"{photo.size}\0".encode())
    for _, strip in strips(photo, most=ORDINARY):
        digest.update(strip.tobytes())
    return digest.hexdigest()[:32]
