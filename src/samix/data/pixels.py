"""From an encoded photo of any kind to 8-bit RGB."""

from __future__ import annotations

import io
import os
import struct
import zlib

import numpy as np
from PIL import Image, ImageOps

from samix.errors import CorruptImageError

_UNREADABLE = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)


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
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode.startswith("I") or image.mode == "F":
        return _from_wide(image)
    if image.mode in {"RGBA", "LA", "PA", "RGBa", "La"} or "transparency" in image.info:
        over = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", over.size, "white"), over).convert("RGB")
    return image.convert("RGB")


def _from_wide(image: Image.Image) -> Image.Image:
    """Scale a photo of 16-bit, 32-bit or floating-point values to 8-bit RGB."""
    values = np.asarray(image).astype(np.float64)
    low, high = float(values.min()), float(values.max())
    ranges = [65535.0, 2.0**31 - 1] if image.mode.startswith("I") else [1.0, 255.0, 65535.0]
    full = next((limit for limit in ranges if high <= limit), None)
    if low < 0 or full is None or not np.isfinite(values).all():
        msg = f"values from {low:g} to {high:g} in mode {image.mode} fit no known range"
        raise ValueError(msg)
    grey = np.round(values * (255.0 / full)).astype(np.uint8)
    return Image.fromarray(grey).convert("RGB")


def decode(source: bytes | str | os.PathLike[str], key: str) -> Image.Image:
    """Decode one photo completely, upright (EXIF orientation applied), as 8-bit RGB.

    Args:
        source: The encoded bytes, or the path of a file.
        key: Name of the photo for the error message.

    Returns:
        The photo in mode "RGB".

    Raises:
        CorruptImageError: The photo is missing, empty, truncated or not decodable.
    """
    try:
        with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as opened:
            opened.load()
            return to_rgb(ImageOps.exif_transpose(opened))
    except _UNREADABLE as error:
        # Pillow's messages may name an object in memory; the key names the photo better.
        reason = str(error).split("<_io")[0].strip(" :") or type(error).__name__
        if reason.count("'") % 2:  # what stood between the quotes was cut off
            reason = reason.rstrip("'").rstrip(" :")
        msg = f"photo '{key}' cannot be read ({reason})"
        raise CorruptImageError(msg) from error
