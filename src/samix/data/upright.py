"""How a photo is to be turned, and whether it has several pages: read alone, whatever else is odd.

Pillow reads all of an EXIF block and writes it again to turn a photo; blocks of cameras and editors
are often odd beside the one number that matters.
"""

from __future__ import annotations

import re
import struct

from PIL import Image

PAGES = "samix pages"  # in Image.info of a photo with several pages or frames
_ORIENTATION = 0x0112
_MOST_TAGS = 1000
_SIZES = {1: "B", 3: "H", 4: "I"}  # struct codes of the TIFF types that a small number comes in
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_XMP = re.compile(rb'tiff:Orientation(?:="|>)([1-8])')
# Formats with several pages or frames; a phone's MPO has its previews as further pages.
_PAGED = ("GIF", "TIFF", "WEBP", "PNG", "AVIF", "HEIF")


def turned(photo: Image.Image, opened: Image.Image) -> Image.Image:
    """Return a photo upright."""
    turn = _TURNS.get(orientation(opened))
    return photo if turn is None else photo.transpose(turn)


def orientation(opened: Image.Image) -> int:
    """Return the EXIF orientation of a loaded photo, 1 to 8; 1 where it says nothing readable."""
    if opened.format == "TIFF":  # Pillow turns it itself, and takes the tag away
        found = getattr(opened, "tag_v2", {}).get(_ORIENTATION, 1)
        return found if isinstance(found, int) and 1 <= found <= 8 else 1
    exif = opened.info.get("exif")
    text = opened.info.get("Raw profile type exif")
    if not isinstance(exif, bytes) and isinstance(text, str):
        try:
            exif = bytes.fromhex("".join(text.split("\n")[3:]))
        except ValueError:
            exif = None
    found = _in_exif(exif) if isinstance(exif, bytes) else None
    return _in_xmp(opened) if found is None else found


def _in_exif(block: bytes) -> int | None:
    """Return the orientation in an EXIF block, or None where there is none that can be read."""
    block = block.removeprefix(b"Exif\0\0")
    order = {b"II": "<", b"MM": ">"}.get(block[:2])
    if order is None or len(block) < 8:
        return None
    try:
        (start,) = struct.unpack_from(f"{order}I", block, 4)
        (count,) = struct.unpack_from(f"{order}H", block, start)
        for number in range(min(count, _MOST_TAGS)):
            at = start + 2 + 12 * number
            tag, kind = struct.unpack_from(f"{order}HH", block, at)
            if tag == _ORIENTATION:
                (value,) = struct.unpack_from(f"{order}{_SIZES.get(kind, 'H')}", block, at + 8)
                return int(value) if 1 <= value <= 8 else None
    except struct.error:
        return None
    return None


def _in_xmp(opened: Image.Image) -> int:
    for name in ("XML:com.adobe.xmp", "xmp"):
        text = opened.info.get(name)
        if isinstance(text, str):
            text = text.encode("utf-8", "replace")
        if isinstance(text, bytes) and (match := _XMP.search(text)):
            return int(match[1])
    return 1


def has_pages(opened: Image.Image) -> bool:
    """Say whether a photo that was opened has several pages or frames."""
    if opened.format not in _PAGED:
        return False
    try:
        return bool(getattr(opened, "is_animated", False))
    except (OSError, SyntaxError, ValueError, EOFError, IndexError, struct.error):
        return False  # what follows the first page is not read
