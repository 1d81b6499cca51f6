"""From an encoded photo of any kind to 8-bit RGB, within bounded memory.

`decode` reads one photo, `threaded` works on many at once. Large photos of all threads share the
room of :func:`room_for`.
"""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, nullcontext
from functools import partial
from typing import TypeVar

from PIL import Image

from samix.data.depth import Depth, deep_colours, deep_scale, grey_scale, keep_highest, wide_kind
from samix.data.kinds import reads_heic
from samix.data.upright import PAGES, has_pages, orientation, turned
from samix.errors import CorruptImageError, InputError, LargeImageError
from samix.files import MAX_MEGAPIXELS, check_regular
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
_SIZE = "samix size"  # in Image.info of a photo that was reduced
_ON_ITS_SIDE = 5  # EXIF orientations from here on exchange width and height
_TRANSPARENT = {"RGBA", "LA", "PA", "RGBa", "La"}
_Result = TypeVar("_Result")


def check_limit(max_megapixels: int) -> None:
    """Raise an InputError for a limit that lets no photo through."""
    if max_megapixels < 1:
        raise InputError(
            f"max_megapixels: expected at least 1, got {max_megapixels}; leave it out for "
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

    Where only a square copy of so many px is needed, a JPEG is reduced while it is decoded, which
    takes a third to a half of the time; the squeezed copy departs from that of the whole photo by
    about one step of 255 on average. A photo of more than :data:`ORDINARY` pixels is converted
    strip by strip, and reduced on the way whatever its kind. :func:`full_size` tells the size
    before that. Without a depth this photo alone is looked at.

    Raises:
        CorruptImageError: The photo is missing, empty, truncated or not decodable.
        LargeImageError: It has more pixels than may be read, or than fit into memory.
    """
    return decode_each(source, key, (side,), max_megapixels=max_megapixels, depth=depth)[side]


def decode_each(
    source: bytes | str | os.PathLike[str],
    key: str,
    sides: Sequence[int | None],
    *,
    max_megapixels: int = MAX_MEGAPIXELS,
    depth: Depth | None = None,
) -> dict[int | None, Image.Image]:
    """Decode one photo for copies of several sides, each exactly as :func:`decode` does.

    Copies that are reduced alike while they are decoded share one decoding, and one photo.
    """
    reopen = partial(_open, source)
    photos: dict[int | None, Image.Image] = {}
    decoded: dict[tuple[int, ...], Image.Image] = {}
    try:
        for side in sides:
            with _open(source) as opened:
                detail = _detail(opened, key, side, max_megapixels)
                if detail not in decoded:
                    decoded[detail] = _read(opened, detail, depth, reopen)
                photos[side] = decoded[detail]
    except LargeImageError:
        raise
    except (MemoryError, Image.DecompressionBombError) as error:
        raise LargeImageError(
            f"photo '{key}' needs more memory than there is; make it smaller, or leave it out with "
            "skip_corrupt=True"
        ) from error
    except Exception as error:  # Pillow raises anything at damaged files
        # Its messages may name an object in memory, or the file; the key names the photo better.
        told = str(error)
        if not isinstance(source, bytes):
            told = told.replace(repr(os.fspath(source)), "")
        reason = told.split("<_io")[0].strip(" :") or type(error).__name__
        if reason.count("'") % 2:  # what stood between the quotes was cut off
            reason = reason.rstrip("'").rstrip(" :")
        msg = f"photo '{key}' cannot be read ({reason})"
        raise CorruptImageError(msg) from error
    return photos


def full_size(photo: Image.Image) -> tuple[int, int]:
    """Return width and height in px that a photo had before it was reduced."""
    size: tuple[int, int] = photo.info.get(_SIZE, photo.size)
    return size


def to_rgb(image: Image.Image, depth: Depth | None = None) -> Image.Image:
    """Convert a photo of any mode to 8-bit RGB.

    Transparent pixels (RGBA, LA, a palette with transparency) are laid over white; a photo that is
    transparent everywhere keeps its colours. Photos of more than 8 bits are scaled by their bit
    depth and never clipped: the value that is white becomes 255, see :mod:`samix.data.depth`.
    Without a depth it is the smallest of 8, 10, 12, 14 and 16 to 31 bits (of floats 1, 255, ...
    65535) that this photo fits under; ValueError where that is none.
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
    """Yield strips of a photo of so many pixels, a million if None, each after its first row.

    Rows of each strip but the last are a multiple; a photo that is one strip comes itself.
    """
    rows = max(1, (most or _STRIP) // (image.width * multiple)) * multiple
    if rows >= image.height:
        yield 0, image
        return
    for top in range(0, image.height, rows):
        yield top, image.crop((0, top, image.width, min(top + rows, image.height)))


def _open(source: bytes | str | os.PathLike[str]) -> Image.Image:
    reads_heic()  # in each process anew
    if not isinstance(source, bytes):
        check_regular(source)
    with _own_limit():
        return Image.open(io.BytesIO(source) if isinstance(source, bytes) else source)


def _detail(
    opened: Image.Image, key: str, side: int | None, max_megapixels: int
) -> tuple[int, int, int, int, int]:
    """Let an opened photo be reduced while it is decoded, as far as a side allows.

    Returned are width and height before, those in which it will be decoded, and the factor that it
    is to be reduced by afterwards.
    """
    width, height = _stored_size(opened)
    pixels = width * height
    if pixels > max_megapixels * _MILLION:
        needed = -(-pixels // _MILLION)
        raise LargeImageError(
            f"photo '{key}' has {width} x {height} px, more than the {max_megapixels} megapixels "
            f"that are read; raise the limit with max_megapixels={needed}, or make it smaller"
        )
    large = pixels > ORDINARY
    whole = opened.size
    if side is not None:
        gap = GAP if large else DRAFT
        opened.draft(None, (gap * side, gap * side))
    factor = max(1, min(opened.size) // (GAP * side)) if large and side is not None else 1
    return (*whole, *opened.size, factor)


def _read(
    opened: Image.Image,
    detail: tuple[int, ...],
    depth: Depth | None,
    reopen: Callable[[], Image.Image],
) -> Image.Image:
    """Decode an opened photo as :func:`_detail` has found."""
    width, height, *_, factor = detail
    pixels = max(width * height, _area(_stored_size(opened)))
    large = pixels > ORDINARY
    drafted = opened.size != (width, height)
    with room_for(pixels) if large else nullcontext():
        pages = has_pages(opened)
        deep = deep_colours(opened)
        with _own_limit() if large else nullcontext():
            opened.load()
        photo = _as_rgb(opened, factor, depth, reopen if deep else None, large=large)
        photo = turned(photo, opened)
    size = (width, height) if drafted else opened.size  # a TIFF is turned while it is loaded
    if orientation(opened) >= _ON_ITS_SIDE:
        size = size[::-1]
    if size != photo.size:
        photo.info[_SIZE] = size
    if pages:
        photo.info[PAGES] = True
    return photo


def _stored_size(opened: Image.Image) -> tuple[int, int]:
    # the tile of a TIFF file is decoded as a whole, and may be larger than the photo
    return max(opened.size, getattr(opened, "_tile_size", opened.size), key=_area)


def _as_rgb(
    opened: Image.Image,
    factor: int,
    depth: Depth | None,
    reopen: Callable[[], Image.Image] | None,
    *,
    large: bool,
) -> Image.Image:
    """Return a loaded photo as 8-bit RGB, reduced by a factor."""
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
    """Do the same for each position in several threads and yield the results in order."""
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


def header_of(source: bytes | str | os.PathLike[str]) -> tuple[bool, bool]:
    """Say whether a photo has more than 8 bits a colour, and several pages, by its header."""
    try:
        with _open(source) as opened:
            pages = has_pages(opened)
            return wide_kind(opened) is not None or deep_colours(opened), pages
    except Exception:  # it is named when it is read
        return False, False
