"""From an encoded photo of any kind to 8-bit RGB, within bounded memory.

`decode` reads one photo, `threaded` works on many at once, and `verify` decodes every photo of a
set before training, so that a corrupt one is found at the start, and how deep they are. Large
photos of all threads share the room of :func:`room_for`.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from PIL import Image

from samix.data.depth import (
    Depth,
    deep_colours,
    deep_scale,
    depth_of,
    grey_scale,
    highest_of,
    keep_highest,
    wide_kind,
)
from samix.data.image_set import ImageSet
from samix.data.kinds import reads_heic
from samix.data.upright import PAGES, has_pages, turned
from samix.errors import CorruptImageError, InputError, LargeImageError, UnreadableImageError
from samix.files import MAX_MEGAPIXELS, write_text
from samix.progress import Progress

# Up to here a photo that is no JPEG is read in full whatever is needed of it, within 128 MiB a
# reading thread. Cameras of 24 megapixels lie below.
ORDINARY = 2**25  # px
DRAFT = 2  # sides that an ordinary JPEG keeps for each of its copy while it is decoded
GAP = 3  # sides that a reduced photo keeps for each of its copy: squeeze() reduces as far
ROOM = 200_000_000  # px of large photos that threads hold at once; one may have more
_STRIP = 2**20  # px that are converted at once
_MILLION = 1_000_000
_CHUNK = 64
_TRANSPARENT = {"RGBA", "LA", "PA", "RGBa", "La"}
_SIDE = 32  # px: decoding for a copy of that side shows whether a photo is whole
_Result = TypeVar("_Result")


def check_limit(max_megapixels: int) -> None:
    """Raise an InputError for a limit that lets no photo through."""
    if max_megapixels < 1:
        raise InputError(
            f"--max-megapixels must be at least 1, got {max_megapixels}; leave it out for "
            f"{MAX_MEGAPIXELS}"
        )


def decode(
    source: bytes | str | os.PathLike[str],
    key: str,
    *,
    side: int | None = None,
    max_megapixels: int = MAX_MEGAPIXELS,
    depth: Depth | None = None,
) -> Image.Image:
    """Decode one photo completely, upright (EXIF orientation applied), as 8-bit RGB.

    Where only a small copy is needed, a JPEG is reduced while it is decoded, which takes a third to
    a half of the time; the squeezed copy departs from that of the whole photo by about one step of
    255 on average. A photo of more than :data:`ORDINARY` pixels is converted strip by strip, and
    reduced on the way whatever its kind.

    Args:
        source: The encoded bytes, or the path of a file.
        key: Name of the photo for the error message.
        side: Side in px of the square copy that is needed; None reads in full. See
            :meth:`samix.data.ImageSet.read_for`.
        max_megapixels: Photos of more million pixels are refused before they are decoded.
        depth: What is white in photos of more than 8 bits; None looks at this photo alone.

    Returns:
        The photo in mode "RGB".

    Raises:
        CorruptImageError: The photo is missing, empty, truncated or not decodable.
        LargeImageError: It has more pixels than may be read, or than fit into memory.
    """
    try:
        with _open(source) as opened:
            return _read(opened, key, side, max_megapixels, depth, partial(_open, source))
    except LargeImageError:
        raise
    except (MemoryError, Image.DecompressionBombError) as error:
        raise LargeImageError(
            f"photo '{key}' needs more memory than there is; make it smaller, or leave it out with "
            "--skip-corrupt"
        ) from error
    except Exception as error:  # Pillow raises anything at damaged files
        # Its messages may name an object in memory; the key names the photo better.
        reason = str(error).split("<_io")[0].strip(" :") or type(error).__name__
        if reason.count("'") % 2:  # what stood between the quotes was cut off
            reason = reason.rstrip("'").rstrip(" :")
        msg = f"photo '{key}' cannot be read ({reason})"
        raise CorruptImageError(msg) from error


def to_rgb(image: Image.Image, depth: Depth | None = None) -> Image.Image:
    """Convert a photo of any mode to 8-bit RGB.

    Transparent pixels (RGBA, LA, a palette with transparency) are laid over white; a photo that is
    transparent everywhere keeps its colours. Photos of more than 8 bits are scaled by their bit
    depth and never clipped: the value that is white becomes 255, see :mod:`samix.data.depth`.

    Args:
        image: A photo in any mode of Pillow.
        depth: What is white in photos of more than 8 bits; None is the smallest of 8, 10, 12, 14,
            16, 24 and 31 bits (of floats 1, 255, ... 65535) that this photo fits under.

    Returns:
        The photo in mode "RGB", of the same size.

    Raises:
        ValueError: A photo of wide range has negative, infinite or too large values.
    """
    if _is_rgb(image):
        return image
    if wide_kind(image):
        scale = grey_scale(image, strips(image), depth)
        return _converted(image, 1, scale.convert, scale.found)
    return _without_alpha(image) if _is_invisible(image) else _over_white(image)


def _over_white(image: Image.Image) -> Image.Image:
    """Return an 8-bit photo as RGB, with transparent pixels laid over white."""
    if image.mode in _TRANSPARENT or "transparency" in image.info:
        over = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", over.size, "white"), over).convert("RGB")
    return image.convert("RGB")


def _without_alpha(image: Image.Image) -> Image.Image:
    return image.convert("RGBA").convert("RGB")


def _is_invisible(image: Image.Image) -> bool:
    """Say whether a photo shows something, but is transparent everywhere."""
    if image.mode in ("RGBA", "LA"):
        *colours, alpha = image.getextrema()
        return alpha == (0, 0) and any(colour != (0, 0) for colour in colours)
    given = image.info.get("transparency")
    if image.mode != "P" or not isinstance(given, bytes | int):
        return False
    used = {index for index, count in enumerate(image.histogram()) if count}
    hidden = {given} if isinstance(given, int) else {i for i, a in enumerate(given) if a == 0}
    return used <= hidden and len(used) > 1


def strips(
    image: Image.Image, multiple: int = 1, *, most: int | None = None
) -> Iterator[tuple[int, Image.Image]]:
    """Cut a photo into strips of some pixels.

    Args:
        image: A photo.
        multiple: Rows of each strip are a multiple of it, but those of the last.
        most: Pixels of a strip; None is a million.

    Yields:
        The first row of a strip, and the strip; a photo that is one strip itself.
    """
    rows = max(1, (most or _STRIP) // (image.width * multiple)) * multiple
    if rows >= image.height:
        yield 0, image
        return
    for top in range(0, image.height, rows):
        yield top, image.crop((0, top, image.width, min(top + rows, image.height)))


def _open(source: bytes | str | os.PathLike[str]) -> Image.Image:
    reads_heic()  # in each process anew
    with _own_limit():
        return Image.open(io.BytesIO(source) if isinstance(source, bytes) else source)


def _read(
    opened: Image.Image,
    key: str,
    side: int | None,
    max_megapixels: int,
    depth: Depth | None,
    reopen: Callable[[], Image.Image],
) -> Image.Image:
    """Decode an opened photo.

    Raises:
        LargeImageError: It has too many pixels.
    """
    # the tile of a TIFF file is decoded as a whole, and may be larger than the photo
    width, height = max(opened.size, getattr(opened, "_tile_size", opened.size), key=_area)
    pixels = width * height
    if pixels > max_megapixels * _MILLION:
        needed = -(-pixels // _MILLION)
        raise LargeImageError(
            f"photo '{key}' has {width} x {height} px, more than the {max_megapixels} megapixels "
            f"that are read; raise the limit with --max-megapixels {needed}, or make it smaller"
        )
    large = pixels > ORDINARY
    with room_for(pixels) if large else nullcontext():
        pages = has_pages(opened)
        if side is not None:
            gap = GAP if large else DRAFT
            opened.draft(None, (gap * side, gap * side))
        deep = deep_colours(opened)
        with _own_limit() if large else nullcontext():
            opened.load()
        factor = max(1, min(opened.size) // (GAP * side)) if large and side is not None else 1
        photo = _as_rgb(opened, factor, depth, reopen if deep else None, large=large)
        photo = turned(photo, opened)
    if pages:
        photo.info[PAGES] = True
    return photo


def _as_rgb(
    opened: Image.Image,
    factor: int,
    depth: Depth | None,
    reopen: Callable[[], Image.Image] | None,
    *,
    large: bool,
) -> Image.Image:
    """Return a loaded photo as 8-bit RGB, reduced by a factor.

    Args:
        opened: The photo.
        factor: At least 1.
        depth: What is white where it has more than 8 bits.
        reopen: Opens it again, where its colours have 16 bits.
        large: It is converted strip by strip.
    """
    if reopen is None and factor == 1 and (not large or _is_rgb(opened)):
        return to_rgb(opened, depth)
    plain = _without_alpha if _is_invisible(opened) else _over_white
    if reopen is not None:
        scale = deep_scale(opened, strips, depth, reopen)
        convert = scale.convert
        return _converted(opened, factor, lambda top, s: plain(convert(top, s)), scale.found)
    if wide_kind(opened):
        scale = grey_scale(opened, strips(opened), depth)
        return _converted(opened, factor, scale.convert, scale.found)
    return _converted(opened, factor, lambda _, strip: plain(strip))


def _area(size: tuple[int, int]) -> int:
    return size[0] * size[1]


def _is_rgb(image: Image.Image) -> bool:
    return image.mode == "RGB" and "transparency" not in image.info


def _converted(
    image: Image.Image,
    factor: int,
    convert: Callable[[int, Image.Image], Image.Image],
    found: tuple[str, float] | None = None,
) -> Image.Image:
    """Convert a photo to 8-bit RGB strip by strip, and reduce it by a factor."""
    result = Image.new("RGB", (-(-image.width // factor), -(-image.height // factor)))
    for top, strip in strips(image, factor):
        result.paste(convert(top, strip).reduce(factor), (0, top // factor))
    keep_highest(result, found)
    return result


class _Opening:
    """How many threads read photos by our own limit, and the one of Pillow meanwhile."""

    lock = threading.Lock()
    count = 0
    before: int | None = None


@contextmanager
def _own_limit() -> Iterator[None]:
    """Let Pillow read a photo of any size: it would warn, or call a large one an attack.

    Its limit belongs to the whole process and is put back when no thread is reading any more.
    """
    with _Opening.lock:
        if not _Opening.count:
            _Opening.before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        _Opening.count += 1
    try:
        yield
    finally:
        with _Opening.lock:
            _Opening.count -= 1
            if not _Opening.count:
                Image.MAX_IMAGE_PIXELS = _Opening.before


class _Room:
    """Pixels of large photos that are in memory, and how many each thread holds of them."""

    changed = threading.Condition()
    taken = 0
    own = threading.local()


@contextmanager
def room_for(pixels: int) -> Iterator[None]:
    """Wait until a large photo fits beside those of other threads.

    Within :func:`kept_room` its room stays taken until that ends, otherwise until this ends. A
    thread that holds a photo already does not wait, so that threads never wait for each other.

    Args:
        pixels: Pixels of the photo.
    """
    kept: ExitStack | None = getattr(_Room.own, "kept", None)
    if kept is None:
        with _taken(pixels):
            yield
    else:
        kept.enter_context(_taken(pixels))
        yield


@contextmanager
def kept_room() -> Iterator[None]:
    """Keep the room of large photos that are read inside, for what is done with them there."""
    with ExitStack() as kept:
        _Room.own.kept = kept
        try:
            yield
        finally:
            _Room.own.kept = None


@contextmanager
def _taken(pixels: int) -> Iterator[None]:
    held = getattr(_Room.own, "held", 0)
    with _Room.changed:
        _Room.changed.wait_for(lambda: held or not _Room.taken or _Room.taken + pixels <= ROOM)
        _Room.taken += pixels
    _Room.own.held = held + pixels
    try:
        yield
    finally:
        _Room.own.held -= pixels
        with _Room.changed:
            _Room.taken -= pixels
            _Room.changed.notify_all()


def threaded(
    work: Callable[[int], _Result],
    count: int,
    progress: Progress | None = None,
    *,
    chunk: int = _CHUNK,
) -> Iterable[_Result]:
    """Do the same for each position in several threads and yield the results in order.

    Args:
        work: What to do for a position.
        count: Number of positions.
        progress: Called with (done, count) now and then.
        chunk: Positions that a thread takes at once.

    Yields:
        One result a position, from 0 on.
    """
    chunks = [range(start, min(start + chunk, count)) for start in range(0, count, chunk)]
    pool = ThreadPoolExecutor(max_workers=os.cpu_count())
    try:
        done = pool.map(lambda part: [work(i) for i in part], chunks)
        for part, results in zip(chunks, done, strict=True):
            yield from results
            if progress is not None:
                progress(part.stop, count)
    finally:
        pool.shutdown(cancel_futures=True)  # what has not begun is not waited for


@dataclass(frozen=True)
class Verified:
    """What decoding every photo of a set once has shown.

    Attributes:
        corrupt: The reason for each photo that cannot be read, by position.
        highest: The largest value of photos of more than 8 bits, by kind.
        wide: How many such photos there are.
        pages: How many photos have several pages or frames, of which the first is read.
    """

    corrupt: dict[int, str]
    highest: dict[str, float]
    wide: int = 0
    pages: int = 0

    @property
    def depth(self) -> Depth | None:
        """What is white in all photos of the set; None where they have 8 bits."""
        return depth_of(self.highest)

    def notes(self, depth: Depth | None, photos: int) -> tuple[str, ...]:
        """Return sentences about how the photos are read.

        Args:
            depth: What is white in them.
            photos: How many there are.
        """
        found = []
        if depth is not None and self.wide:
            found.append(
                f"{self.wide:,} of {photos:,} photos have more than 8 bits a colour; white is "
                f"{depth.words()} in all of them."
            )
        if self.pages:
            several = "photo has" if self.pages == 1 else "photos have"
            found.append(
                f"{self.pages:,} {several} several pages or frames, of which the first is read."
            )
        return tuple(found)


def verify(
    images: ImageSet,
    files: Iterable[Path] | None = None,
    *,
    max_megapixels: int = MAX_MEGAPIXELS,
    progress: Progress | None = None,
) -> Verified:
    """Decode every photo and report those that cannot be read, and how deep the others are.

    Args:
        images: The photos.
        files: The files that hold them. Where they are given, the outcome is kept in the user's
            cache folder, and of the same files (path, size, time of change) only the corrupt
            photos are decoded again.
        max_megapixels: What the photos were opened with: a record holds for one limit.
        progress: Called with (done, total) now and then.
    """
    record = None
    if files is not None:
        record = cache_folder() / "verified" / f"{_print(files, max_megapixels)}.json"
    if record is not None and record.is_file():
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):  # made again
            return _remembered(images, json.loads(record.read_text()))
    corrupt: dict[int, str] = {}
    highest: dict[str, float] = {}
    wide = pages = 0
    looked = threaded(lambda i: _look(images, i), len(images), progress)
    for index, (reason, found, several) in enumerate(looked):
        pages += several
        if reason is not None:
            corrupt[index] = reason
        elif found is not None:
            wide += 1
            highest[found[0]] = max(highest.get(found[0], 0.0), found[1])
    if record is not None:
        with contextlib.suppress(OSError):  # without a record the photos are decoded again
            record.parent.mkdir(parents=True, exist_ok=True)
            known = {"corrupt": list(corrupt), "highest": highest, "wide": wide, "pages": pages}
            write_text(record, json.dumps(known))
    return Verified(corrupt, highest, wide, pages)


def _look(images: ImageSet, index: int) -> tuple[str | None, tuple[str, float] | None, bool]:
    """Return why a photo cannot be read, its largest wide value, and whether it has pages."""
    try:
        photo = images.read_for(index, _SIDE)
    except UnreadableImageError as error:
        return str(error), None, False
    return None, highest_of(photo), PAGES in photo.info


def deepened(images: ImageSet, depth: Depth | None) -> ImageSet:
    """Return photos read as a run learned from them, with a note where that is doubtful.

    Args:
        images: Photos that nobody has decoded yet.
        depth: What was white in the photos of more than 8 bits that the run learned from. None,
            where there were none, finds it in these photos, of which only wide ones are decoded.
    """
    if depth is not None and None not in (depth.integers, depth.floats):
        return images.with_depth(depth)
    wide = [i for i, is_wide in enumerate(_wide_headers(images)) if is_wide]
    if not wide:
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


def _wide_headers(images: ImageSet) -> Iterable[bool]:
    """Say of each photo whether its header tells of more than 8 bits."""
    read = images.read
    find = getattr(read, "is_wide", None)
    return threaded(find, len(images)) if find is not None else [True] * len(images)


def header_is_wide(source: bytes | str | os.PathLike[str]) -> bool:
    """Say whether the header of a photo tells of more than 8 bits a colour."""
    try:
        with _open(source) as opened:
            return wide_kind(opened) is not None or deep_colours(opened)
    except Exception:  # it is named when it is read
        return False


def too_deep(images: ImageSet, found: Verified) -> dict[int, str]:
    """Return the photos that do not fit the depth of their set, and why, by position.

    Args:
        images: With a depth that was given, not found.
        found: What decoding each photo by itself has shown.
    """
    if images.depth is None or images.depth.joined(found.depth) == images.depth:
        return {}
    looked = enumerate(threaded(lambda i: _look(images, i)[0], len(images)))
    return {i: why for i, why in looked if why is not None}


def _remembered(images: ImageSet, known: dict[str, Any]) -> Verified:
    """Return what was found before; what was corrupt is decoded again."""
    corrupt, highest, wide = {}, {k: float(v) for k, v in known["highest"].items()}, known["wide"]
    for index in map(int, known["corrupt"]):
        reason, found, _ = _look(images, index)
        if reason is not None:
            corrupt[index] = reason
        elif found is not None:
            wide += 1
            highest[found[0]] = max(highest.get(found[0], 0.0), found[1])
    return Verified(corrupt, highest, int(wide), int(known["pages"]))


def cache_folder() -> Path:
    """Return the folder for what can be made again: SAMIX_CACHE, or samix in the user's cache."""
    own = os.environ.get("SAMIX_CACHE")
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(own) if own else Path(base, "samix")


def _print(files: Iterable[Path], max_megapixels: int) -> str:
    """Return a fingerprint of some files from their paths, sizes and times of change."""
    digest = hashlib.sha256(f"2 {max_megapixels}\n".encode())
    for file in files:
        try:
            status = file.stat()
            line = f"{file.resolve()}\0{status.st_size}\0{status.st_mtime_ns}\n"
        except OSError:
            line = f"{file}\0missing\n"
        digest.update(line.encode("utf-8", "surrogateescape"))
    return digest.hexdigest()
