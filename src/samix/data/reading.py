"""From an encoded photo of any kind to 8-bit RGB, within bounded memory.

`decode` reads one photo, `threaded` works on many at once, and `find_corrupt` decodes every photo
of a set before training, so that a corrupt one is found at the start. Large photos of all threads
share the room of :func:`room_for`.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import struct
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import ExifTags, Image, ImageOps

from samix.data.image_set import ImageSet
from samix.errors import CorruptImageError, InputError, LargeImageError, UnreadableImageError
from samix.files import write_text
from samix.progress import Progress

MAX_MEGAPIXELS = 200  # of a photo that is read, where nothing else is asked for
# Up to here a photo is read in full whatever is needed of it, so that trainings on ordinary photos
# stay the same to the bit: 128 MiB a reading thread. Cameras of 24 megapixels lie below.
ORDINARY = 2**25  # px
GAP = 3  # sides that a reduced photo keeps for each of its copy: squeeze() reduces as far
ROOM = 200_000_000  # px of large photos that threads hold at once; one may have more
_STRIP = 2**20  # px that are converted at once
_MILLION = 1_000_000
_CHUNK = 64
_SIDE = 32  # px: decoding for a copy of that side shows whether a photo is whole
_UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error)
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
) -> Image.Image:
    """Decode one photo completely, upright (EXIF orientation applied), as 8-bit RGB.

    A photo of more than :data:`ORDINARY` pixels is converted strip by strip. Where only a small
    copy is needed it is reduced on the way, a JPEG already while it is decoded.

    Args:
        source: The encoded bytes, or the path of a file.
        key: Name of the photo for the error message.
        side: Side in px of the square copy that is needed; None reads in full. See
            :meth:`samix.data.ImageSet.read_for`.
        max_megapixels: Photos of more million pixels are refused before they are decoded.

    Returns:
        The photo in mode "RGB".

    Raises:
        CorruptImageError: The photo is missing, empty, truncated or not decodable.
        LargeImageError: It has more pixels than may be read, or than fit into memory.
    """
    try:
        with _open(source) as opened:
            return _read(opened, key, side, max_megapixels)
    except LargeImageError:
        raise
    except (MemoryError, Image.DecompressionBombError) as error:
        raise LargeImageError(
            f"photo '{key}' needs more memory than there is; make it smaller, or leave it out with "
            "--skip-corrupt"
        ) from error
    except _UNREADABLE as error:
        # Pillow's messages may name an object in memory; the key names the photo better.
        reason = str(error).split("<_io")[0].strip(" :") or type(error).__name__
        if reason.count("'") % 2:  # what stood between the quotes was cut off
            reason = reason.rstrip("'").rstrip(" :")
        msg = f"photo '{key}' cannot be read ({reason})"
        raise CorruptImageError(msg) from error


def to_rgb(image: Image.Image) -> Image.Image:
    """Convert a photo of any mode to 8-bit RGB.

    Transparent pixels (RGBA, LA, a palette with transparency) are laid over white. Photos of more
    than 8 bits are scaled by their bit depth and never clipped: a value of 65535 in a 16-bit photo
    becomes 255. Floating-point photos are read as [0, 1], [0, 255] or [0, 65535], whichever is the
    smallest range that holds their largest value.

    Args:
        image: A photo in any mode of Pillow.

    Returns:
        The photo in mode "RGB", of the same size.

    Raises:
        ValueError: A photo of wide range has negative, infinite or too large values.
    """
    if _is_rgb(image):
        return image
    if _is_wide(image):
        return _converted(image, 1)
    if image.mode in {"RGBA", "LA", "PA", "RGBa", "La"} or "transparency" in image.info:
        over = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", over.size, "white"), over).convert("RGB")
    return image.convert("RGB")


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
    with _own_limit():
        return Image.open(io.BytesIO(source) if isinstance(source, bytes) else source)


def _read(opened: Image.Image, key: str, side: int | None, max_megapixels: int) -> Image.Image:
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
    if pixels <= ORDINARY:
        opened.load()
        return to_rgb(ImageOps.exif_transpose(opened))
    with room_for(pixels):
        if side is not None:
            opened.draft(None, (GAP * side, GAP * side))
        with _own_limit():
            opened.load()
        factor = 1 if side is None else max(1, min(opened.size) // (GAP * side))
        turned = opened.getexif().get(ExifTags.Base.Orientation)
        photo = opened if factor == 1 and _is_rgb(opened) else _converted(opened, factor)
        if turned is not None:
            photo.getexif()[ExifTags.Base.Orientation] = turned
        ImageOps.exif_transpose(photo, in_place=True)
        return photo


def _area(size: tuple[int, int]) -> int:
    return size[0] * size[1]


def _is_rgb(image: Image.Image) -> bool:
    return image.mode == "RGB" and "transparency" not in image.info


def _is_wide(image: Image.Image) -> bool:
    return image.mode.startswith("I") or image.mode == "F"


def _converted(image: Image.Image, factor: int) -> Image.Image:
    """Convert a photo to 8-bit RGB strip by strip, and reduce it by a factor."""
    convert = _scaling(image) if _is_wide(image) else to_rgb
    result = Image.new("RGB", (-(-image.width // factor), -(-image.height // factor)))
    for top, strip in strips(image, factor):
        result.paste(convert(strip).reduce(factor), (0, top // factor))
    return result


def _scaling(image: Image.Image) -> Callable[[Image.Image], Image.Image]:
    """Return what scales 16-bit, 32-bit or floating-point values of a photo to 8 bits."""
    values = (np.asarray(strip) for _, strip in strips(image))
    extremes = np.array([(part.min(), part.max()) for part in values], dtype=np.float64)
    low, high = float(extremes.min()), float(extremes.max())  # no number where one is none
    ranges = [65535.0, 2.0**31 - 1] if image.mode.startswith("I") else [1.0, 255.0, 65535.0]
    full = next((limit for limit in ranges if high <= limit), None)
    if low < 0 or full is None:
        msg = f"values from {low:g} to {high:g} in mode {image.mode} fit no known range"
        raise ValueError(msg)

    def grey(strip: Image.Image) -> Image.Image:
        scaled = np.asarray(strip).astype(np.float64) * (255.0 / full)
        return Image.fromarray(np.round(scaled).astype(np.uint8))

    return grey


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


def find_corrupt(
    images: ImageSet,
    files: Iterable[Path] | None = None,
    *,
    max_megapixels: int = MAX_MEGAPIXELS,
    progress: Progress | None = None,
) -> dict[int, str]:
    """Decode every photo and report those that cannot be read.

    Args:
        images: The photos.
        files: The files that hold them. Where they are given, the outcome is kept in the user's
            cache folder, and of the same files (path, size, time of change) only the corrupt
            photos are decoded again.
        max_megapixels: What the photos were opened with: a record holds for one limit.
        progress: Called with (done, total) now and then.

    Returns:
        The reason for each photo that cannot be read, by position.
    """

    def reason(index: int) -> str | None:
        try:
            images.read_for(index, _SIDE)
        except UnreadableImageError as error:
            return str(error)
        return None

    record = None
    if files is not None:
        record = cache_folder() / "verified" / f"{_print(files, max_megapixels)}.json"
    if record is not None and record.is_file():
        with contextlib.suppress(OSError, ValueError):  # an unreadable record is made again
            suspects = [int(index) for index in json.loads(record.read_text())]
            return {index: why for index in suspects if (why := reason(index)) is not None}

    reasons = enumerate(threaded(reason, len(images), progress))
    corrupt = {index: why for index, why in reasons if why is not None}
    if record is not None:
        with contextlib.suppress(OSError):  # without a record the photos are decoded again
            record.parent.mkdir(parents=True, exist_ok=True)
            write_text(record, json.dumps(list(corrupt)))
    return corrupt


def cache_folder() -> Path:
    """Return the folder for what can be made again: SAMIX_CACHE, or samix in the user's cache."""
    own = os.environ.get("SAMIX_CACHE")
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(own) if own else Path(base, "samix")


def _print(files: Iterable[Path], max_megapixels: int) -> str:
    """Return a fingerprint of some files from their paths, sizes and times of change."""
    digest = hashlib.sha256(f"{max_megapixels}\n".encode())
    for file in files:
        try:
            status = file.stat()
            line = f"{file.resolve()}\0{status.st_size}\0{status.st_mtime_ns}\n"
        except OSError:
            line = f"{file}\0missing\n"
        digest.update(line.encode("utf-8", "surrogateescape"))
    return digest.hexdigest()
