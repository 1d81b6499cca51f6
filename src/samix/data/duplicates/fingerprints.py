"""What is kept of each photo to compare it with others: hashes, size, a small grey copy."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from statistics import median

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from samix.data.image_set import ImageSet
from samix.data.kept import Print
from samix.data.reading import ORDINARY, full_size, kept_room, strips, threaded
from samix.errors import UnreadableImageError
from samix.files import whole_file
from samix.progress import Progress

SMALL, LARGE = 32, 64  # px, sides of the grey copies
PRINTED_AT = 192  # px: photos are read as for a copy of that side, which runs often ask for, too
_SMALL_PHOTO = 96  # px: finer copies of photos of a shorter side up to here would compare noise
_DIGEST = 32  # bytes of a hash
_SAMPLED = 33  # photos that are looked at to choose the side


@dataclass(frozen=True)
class Fingerprints:
    """What is kept of N photos."""

    grey: NDArray[np.uint8]  # (N, S, S) uint8, the whole photo squeezed to a square; S is 32 or 64
    size: NDArray[np.int64]  # (N, 2) int64, width and height of the photo in px
    pixels: NDArray[np.str_]  # (N,) equal for photos that look exactly the same, and for no others

    def __len__(self) -> int:
        return len(self.grey)


def take_fingerprints(
    images: ImageSet, *, hashed: bool = True, progress: Progress | None = None
) -> Fingerprints:
    """Keep what is needed to compare photos, decoding those once of which it is not known yet.

    ``hashed`` takes the hash of the pixels of each. Otherwise JPEG photos are reduced while they
    are decoded, and only photos whose size and grey copy are those of another one are read in full
    for it; the others are numbered.
    """
    side = grey_side(images)
    grey = np.empty((len(images), side, side), dtype=np.uint8)
    size = np.empty((len(images), 2), dtype=np.int64)
    reduced = np.zeros(len(images), dtype=bool)
    pixels: list[str] = []

    def look(index: int) -> Print:
        known = images.kept.prints.get(index)
        if not hashed and known is not None and known.grey.shape == (side, side):
            return known
        with kept_room():  # equal photos are equal in every pixel: large ones are read in full
            photo = images.read(index) if hashed else images.read_for(index, PRINTED_AT)
            whole = full_size(photo)
            digest = _pixel_hash(photo) if hashed else ""
            return Print(digest, whole, small_grey(photo, side), whole != photo.size)

    for i, found in enumerate(threaded(look, len(images), progress)):
        grey[i], size[i], reduced[i] = found.grey, found.size, found.reduced
        images.kept.prints.pop(i, None)  # it is kept here now
        pixels.append(found.content if hashed else str(i))
    if not hashed:
        asked = _may_be_equal(grey, size, reduced)
        for i, digest in zip(
            asked, threaded(lambda n: _hash_of(images, asked[n]), len(asked)), strict=True
        ):
            pixels[i] = digest
    return Fingerprints(grey, size, np.array(pixels))


def _may_be_equal(
    grey: NDArray[np.uint8], size: NDArray[np.int64], reduced: NDArray[np.bool_]
) -> list[int]:
    """Return the positions of photos that may be equal in every pixel to another one.

    Equal photos have equal copies, unless only one of them was reduced while it was decoded, as a
    JPEG is beside a PNG: then all photos of that size are meant.
    """
    sizes = [f"{width} {height}" for width, height in size.tolist()]
    ways = {(one, bool(way)) for one, way in zip(sizes, reduced, strict=True)}
    mixed = {one for one, way in ways if way and (one, False) in ways}
    alike = [
        one if one in mixed else f"{one} {hashlib.sha256(copy.tobytes()).hexdigest()}"
        for one, copy in zip(sizes, grey, strict=True)
    ]
    return [i for positions in equal_photos(alike) for i in positions]


def _hash_of(images: ImageSet, index: int) -> str:
    with kept_room():
        return _pixel_hash(images.read(index))


def content_hashes(images: ImageSet, *, progress: Progress | None = None) -> list[str] | None:
    """Return a hash of each photo as it is stored; None where the set has no encoded photos.

    They are kept in the user's cache folder, for the state of the files.
    """
    encoded = images.encoded
    if encoded is None:
        return None
    record = images.record("contents", ".npy")
    if record is not None:
        with suppress(OSError, ValueError, EOFError):  # made again
            known = np.load(record, allow_pickle=False)
            if known.shape == (len(images), _DIGEST):
                return [row.tobytes().hex() for row in known]

    def one(index: int) -> str:
        known = images.kept.prints.get(index)
        return hashlib.sha256(encoded(index)).hexdigest() if known is None else known.content

    hashes = list(threaded(one, len(images), progress))
    if record is not None:
        with suppress(OSError):  # without a record they are read again
            record.parent.mkdir(parents=True, exist_ok=True)
            digests = np.frombuffer(bytes.fromhex("".join(hashes)), dtype=np.uint8)
            with whole_file(record) as partial, partial.open("wb") as file:
                np.save(file, digests.reshape(-1, _DIGEST))
    return hashes


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


def grey_side(images: ImageSet) -> int:
    """Return the side of the copies: small where most photos are, of those that can be read."""
    step = max(1, len(images) // _SAMPLED)
    shorter = []
    for i in range(0, len(images), step):
        with suppress(UnreadableImageError):
            shorter.append(min(images.read_for(i, LARGE).size))
    return SMALL if shorter and median(shorter) <= _SMALL_PHOTO else LARGE


def _pixel_hash(photo: Image.Image) -> str:
    digest = hashlib.sha256(f"{photo.size}\0".encode())
    for _, strip in strips(photo, most=ORDINARY):
        digest.update(strip.tobytes())
    return digest.hexdigest()[:32]
