"""Every photo of a set is decoded once before anything else: is it whole, and how deep is it?

`verify` does so, and keeps on the way what others would decode the photo again for: what tells it
from others (:mod:`samix.data.duplicates.fingerprints`), and copies of the sides that a network will
ask for.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from PIL import Image
from torch import Tensor

from samix.data.depth import Depth, depth_of, highest_of
from samix.data.duplicates.fingerprints import PRINTED_AT, grey_side, small_grey
from samix.data.image_set import ImageSet, SplitName
from samix.data.kept import KeptPhotos, Print
from samix.data.reader import read_each
from samix.data.reading import full_size, kept_room, threaded
from samix.data.store import CACHE_BUDGET
from samix.data.upright import PAGES
from samix.data.views import squeeze
from samix.errors import UnreadableImageError
from samix.files import MAX_MEGAPIXELS, write_text
from samix.progress import Progress

_SIDE = 32  # px: decoding for a copy of that side shows whether a photo is whole


@dataclass(frozen=True)
class Verified:
    """What decoding every photo of a set once has shown."""

    corrupt: dict[int, str]  # the reason for each photo that cannot be read, by position
    highest: dict[str, float]  # the largest value of photos of more than 8 bits, by kind
    wide: int = 0  # how many such photos there are
    pages: int = 0  # how many photos have several pages or frames, of which the first is read
    kept: KeptPhotos = field(default_factory=KeptPhotos)  # what was kept of them

    @property
    def depth(self) -> Depth | None:
        """What is white in all photos of the set; None where they have 8 bits."""
        return depth_of(self.highest)

    def notes(self, depth: Depth | None, photos: int) -> tuple[str, ...]:
        """Return sentences about how the photos are read."""
        found = []
        if depth is not None and self.wide:
            found.append(
                f"{self.wide:,} of {photos:,} photos have more than 8 bits a colour; white is "
                f"{depth.words()} in all of them."
            )
        if self.pages:
            found.append(_pages_note(self.pages))
        return tuple(found)


Sides = Mapping[SplitName | None, tuple[int, ...]]
"""Sides in px of the copies that a network will ask for, of photos of each given part."""


@dataclass(frozen=True)
class Keep:
    """What is kept of photos while they are verified."""

    prints: bool = False  # what tells them from others
    # returns the sides of copies, for the photos before they are verified
    sides: Callable[[ImageSet], Sides] | None = None


KEEP_NOTHING = Keep()


def verify(
    images: ImageSet,
    *,
    max_megapixels: int = MAX_MEGAPIXELS,
    progress: Progress | None = None,
    keep: Keep = KEEP_NOTHING,
) -> Verified:
    """Decode every photo and report those that cannot be read, and how deep the others are.

    The outcome is kept in the user's cache folder, for the state of the files and a limit of size;
    only corrupt photos are decoded again.
    """
    record = images.record("verified", f"-{max_megapixels}.json")
    if record is not None and record.is_file():
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):  # made again
            return _remembered(images, json.loads(record.read_text()))
    corrupt: dict[int, str] = {}
    highest: dict[str, float] = {}
    wide = pages = 0
    kept = KeptPhotos()
    side = grey_side(images) if keep.prints and images.encoded is not None else None
    sides = _fitting(images, keep)
    found = threaded(
        lambda i: _look(images, i, side, sides.get(images.given_split[i], ())),
        len(images), progress,
    )  # fmt: skip
    for index, look in enumerate(found):
        pages += look.pages
        if look.reason is not None:
            corrupt[index] = look.reason
        elif look.highest is not None:
            wide += 1
            kind, high = look.highest
            highest[kind] = max(highest.get(kind, 0.0), high)
        else:
            if look.print is not None:
                kept.prints[index] = look.print
            for size, copy in look.copies.items():
                kept.copies.setdefault(size, {})[index] = copy
    if record is not None:
        with contextlib.suppress(OSError):  # without a record the photos are decoded again
            record.parent.mkdir(parents=True, exist_ok=True)
            known = {"corrupt": list(corrupt), "highest": highest, "wide": wide, "pages": pages}
            write_text(record, json.dumps(known))
    return Verified(corrupt, highest, wide, pages, kept)


def _fitting(images: ImageSet, keep: Keep) -> Sides:
    """Return the sides of copies; none where the copies of all photos do not fit into memory."""
    if keep.sides is None:
        return {}
    sides = keep.sides(images)
    need = sum(3 * side**2 for part in images.given_split for side in sides.get(part, ()))
    return sides if need <= CACHE_BUDGET else {}


@dataclass(frozen=True)
class _Look:
    """What decoding one photo has shown: why it cannot be read, or what it is."""

    reason: str | None = None
    highest: tuple[str, float] | None = None
    pages: bool = False
    print: Print | None = None
    copies: Mapping[int, Tensor] = field(default_factory=dict)


def _look(
    images: ImageSet, index: int, grey: int | None = None, sides: tuple[int, ...] = ()
) -> _Look:
    wanted = (*sides, *(() if grey is None else (PRINTED_AT,))) or (_SIDE,)
    content = ""
    try:
        with kept_room():
            if grey is None or images.encoded is None:
                photos = read_each(images, index, wanted)
            else:
                stored = images.encoded(index)
                content = hashlib.sha256(stored).hexdigest()
                photos = read_each(images, index, wanted, stored)
            copies = {side: squeeze(photos[side], side) for side in sides}
            made = _printed(content, photos[PRINTED_AT], grey) if grey and content else None
    except UnreadableImageError as error:
        return _Look(f"{error}")
    photo = photos[wanted[0]]
    return _Look(None, highest_of(photo), PAGES in photo.info, made, copies)


def _printed(content: str, photo: Image.Image, side: int) -> Print:
    size = full_size(photo)
    return Print(content, size, small_grey(photo, side), size != photo.size)


def deepened(images: ImageSet, depth: Depth | None) -> ImageSet:
    """Return photos read as a run learned from them, with a note where that is doubtful.

    ``depth`` was white in the photos of more than 8 bits that the run learned from. None, where
    there were none, finds it in these photos, of which only wide ones are decoded.
    """
    headers = list(_headers(images))
    if pages := sum(several for _, several in headers):
        images = replace(images, notes=(*images.notes, _pages_note(pages)))
    wide = [i for i, (is_wide, _) in enumerate(headers) if is_wide]
    if not wide or (depth is not None and None not in (depth.integers, depth.floats)):
        return images.with_depth(depth)
    found = verify(images.subset(wide))
    if not found.highest:
        return images.with_depth(depth)
    here = found.depth
    if here is not None and depth is not None:
        here = Depth(depth.integers or here.integers, depth.floats or here.floats)
    images = images.with_depth(here)
    unknown = [kind for kind in found.highest if depth is None or not getattr(depth, kind)]
    if not unknown or here is None:
        return images
    note = (
        f"{found.wide:,} of {len(images):,} photos have more than 8 bits a colour, which the run "
        f"did not learn from; white is taken to be {here.words()} in all of them."
    )
    return replace(images, notes=(*images.notes, note))


def _headers(images: ImageSet) -> Iterable[tuple[bool, bool]]:
    """Say of each photo whether it may have more than 8 bits, and several pages."""
    find = getattr(images.read, "header", None)
    return threaded(find, len(images)) if find is not None else [(True, False)] * len(images)


def _pages_note(pages: int) -> str:
    several = "photo has" if pages == 1 else "photos have"
    return f"{pages:,} {several} several pages or frames, of which the first is read."


def too_deep(images: ImageSet, found: Verified) -> dict[int, str]:
    """Return the photos that do not fit the depth of their set, and why, by position."""
    if images.depth is None or images.depth.joined(found.depth) == images.depth:
        return {}
    looked = enumerate(threaded(lambda i: _look(images, i).reason, len(images)))
    return {i: why for i, why in looked if why is not None}


def _remembered(images: ImageSet, known: dict[str, Any]) -> Verified:
    """Return what was found before; what was corrupt is decoded again."""
    corrupt, highest, wide = {}, {k: float(v) for k, v in known["highest"].items()}, known["wide"]
    for index in map(int, known["corrupt"]):
        look = _look(images, index)
        if look.reason is not None:
            corrupt[index] = look.reason
        elif look.highest is not None:
            wide += 1
            highest[look.highest[0]] = max(highest.get(look.highest[0], 0.0), look.highest[1])
    return Verified(corrupt, highest, int(wide), int(known["pages"]))


def state_of(files: Iterable[Path]) -> str:
    """Return a text that differs after any change of some files; touching them is one, too."""
    digest = hashlib.sha256(b"3\n")
    for file in files:
        try:
            status = file.stat()
            times = f"{status.st_mtime_ns}\0{status.st_ctime_ns}"  # a copy may keep the first
            line = f"{file.resolve()}\0{status.st_size}\0{times}\n"
        except OSError:
            line = f"{file}\0missing\n"
        digest.update(line.encode("utf-8", "surrogateescape"))
    return digest.hexdigest()
