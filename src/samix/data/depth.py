"""Photos of more than 8 bits a colour: which value is white, one for all photos of a set.

Cameras store 10, 12 or 14 bits in files of 16. What such a file means is not written in it, and one
photo does not show it: the largest value of the whole set does.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

INTEGERS = tuple(2.0**bits - 1 for bits in (8, 10, 12, 14, 16, *range(17, 32)))
FLOATS = (1.0, *(2.0**bits - 1 for bits in (8, 10, 12, 14, 16)))
_BEYOND = 0.01  # of white, that a float photo may leave its range by, as resampling does
_WIDE = "samix wide"  # in Image.info: which kind of values a photo had, and the largest
_TIFF_BITS, _TIFF_MEANING, _TIFF_PLANES = 258, 262, 284  # tags
_DEEP_MODES = ("RGB", "RGBA", "CMYK")
_HIGH = 64  # a high byte from here on is of more than 14 bits
Strips = Iterable[tuple[int, Image.Image]]


@dataclass(frozen=True)
class Depth:
    """The value that is white in the photos of a set that have more than 8 bits."""

    # in whole numbers, such as 4095 for 12 bits; None where no photo has them
    integers: float | None = None
    floats: float | None = None  # in floating-point photos, such as 1.0; None where there is none

    def record(self) -> dict[str, float | None]:
        """Return it as plain values."""
        return {"integers": self.integers, "floats": self.floats}

    def words(self) -> str:
        """Return which value is white, for a sentence."""
        found = []
        if self.integers is not None:
            bits = round(np.log2(self.integers + 1))
            found.append(f"{self.integers:,.0f} ({bits} bits)")
        if self.floats is not None:
            found.append(f"{self.floats:,g} in floating-point photos")
        return " and ".join(found)

    def joined(self, other: Depth | None) -> Depth:
        """Return the depth of two sets together."""
        if other is None:
            return self
        return Depth(_larger(self.integers, other.integers), _larger(self.floats, other.floats))


def depth_of(highest: Mapping[str, float]) -> Depth | None:
    """Return the depth of a set from the largest value of each kind, or None where none is wide."""
    found = {kind: white_of(kind, value) for kind, value in highest.items()}
    return Depth(**found) if found else None


def depth_from(record: object) -> Depth | None:
    """Return the depth that a file of a run names; ValueError where it is something else."""
    if record is None:
        return None
    known = {"integers": INTEGERS, "floats": FLOATS}
    if not isinstance(record, Mapping) or not set(record) <= set(known):
        raise ValueError(f"depth: expected integers and floats, got {record!r:.80}")
    for kind, white in record.items():
        if white is not None and (isinstance(white, bool) or white not in known[kind]):
            raise ValueError(f"depth: expected one of {known[kind]} for {kind}, got {white!r:.80}")
    return Depth(**record)


def white_of(kind: str, high: float) -> float:
    """Return the smallest white that a value fits under; ValueError where there is none."""
    room = 1 + _BEYOND if kind == "floats" else 1.0
    for white in FLOATS if kind == "floats" else INTEGERS:
        if high <= white * room:
            return white
    raise ValueError(f"values up to {high:g} fit no known range")


def wide_kind(image: Image.Image) -> str | None:
    """Return the kind of values of a photo with one wide channel, or None."""
    if image.mode.startswith("I"):
        return "integers"
    return "floats" if image.mode == "F" else None


def highest_of(photo: Image.Image) -> tuple[str, float] | None:
    """Return the kind and the largest value of a photo that was wide before it was converted."""
    found: tuple[str, float] | None = photo.info.get(_WIDE)
    return found


def keep_highest(photo: Image.Image, found: tuple[str, float] | None) -> None:
    """Write down what :func:`highest_of` returns."""
    photo.info.pop(_WIDE, None)
    if found is not None:
        photo.info[_WIDE] = found


@dataclass(frozen=True)
class Scale:
    """Turns wide values of a photo into 8 bits."""

    found: tuple[str, float]  # the kind of values, and the largest
    # from the first row of a strip and the strip to 8 bits
    convert: Callable[[int, Image.Image], Image.Image]


def grey_scale(image: Image.Image, strips: Strips, depth: Depth | None) -> Scale:
    """Return what scales 16-bit, 32-bit or floating-point values of a photo to 8 bits.

    The photo is loaded, of mode I, I;16 or F. Without a depth, the smallest white counts that it
    fits under; ValueError where there is none, or the values do not fit the depth.
    """
    kind = wide_kind(image) or "integers"
    values = (np.asarray(strip) for _, strip in strips)
    extremes = np.array([(part.min(), part.max()) for part in values], dtype=np.float64)
    low, high = float(extremes.min()), float(extremes.max())  # no number where one is none
    tags = getattr(image, "tag_v2", {})
    inverted = tags.get(_TIFF_MEANING) == 0
    white = _white(kind, low, max(high, _declared(tags)) if high >= 0 else high, depth, image.mode)

    def grey(_: int, strip: Image.Image) -> Image.Image:
        scaled = np.asarray(strip).astype(np.float64) * (255.0 / white)
        eight = np.round(scaled.clip(0, 255)).astype(np.uint8)
        return Image.fromarray(255 - eight if inverted else eight)

    return Scale((kind, max(high, _declared(tags))), grey)


def deep_colours(opened: Image.Image) -> bool:
    """Say whether a photo that is not loaded yet has colours of 16 bits, of which Pillow keeps 8.

    A TIFF with its colours in separate planes is mended on the way: Pillow would read its bytes as
    if there were 8 bits.
    """
    if opened.format not in ("PNG", "TIFF") or opened.mode not in _DEEP_MODES:
        return False
    file = cast("Any", opened)  # Pillow's type of a photo that comes from a file has tiles
    tags: Mapping[int, Any] = getattr(file, "tag_v2", {})
    bits = tags.get(_TIFF_BITS, ())
    if bits and set(bits if isinstance(bits, tuple) else (bits,)) == {16}:
        end = ";16B" if getattr(tags, "prefix", b"II") == b"MM" else ";16L"
        file.tile = [
            tile._replace(args=(tile.args[0] + end, *tile.args[1:]))
            if tile.codec_name == "raw" and len(tile.args[0]) == 1
            else tile
            for tile in file.tile
        ]
    return any(";16" in _raw_mode(tile) for tile in getattr(file, "tile", []))


def deep_scale(
    image: Image.Image,
    strips: Callable[[Image.Image], Iterator[tuple[int, Image.Image]]],
    depth: Depth | None,
    reopen: Callable[[], Image.Image],
) -> Scale:
    """Return what scales colours of 16 bits to 8; ValueError where that cannot be.

    Pillow keeps the high byte. Where that may be too little the photo is decoded again for the low.
    """
    bands = 3 if image.mode != "CMYK" else 4
    highs = [high for _, high in image.getextrema()[:bands]]  # type: ignore[misc]
    white = None if depth is None else depth.integers
    if max(highs) >= _HIGH and (white is None or white >= INTEGERS[4]):
        return Scale(("integers", max(highs) * 257.0), lambda _, strip: strip)
    low, grey = _low_bytes(reopen())
    largest = 0.0
    for (top, strip), (_, under) in zip(strips(image), strips(low), strict=True):
        largest = max(largest, float(_words(strip, under, grey)[..., :bands].max()))
        del top
    chosen = _white("integers", 0.0, largest, depth, image.mode)

    def scaled(top: int, strip: Image.Image) -> Image.Image:
        under = low.crop((0, top, low.width, top + strip.height))
        values = _words(strip, under, grey).astype(np.float64)
        eight = np.round((values * (255.0 / chosen)).clip(0, 255)).astype(np.uint8)
        if image.mode == "RGBA":
            alpha = np.asarray(strip)[..., 3]
            eight[..., 3] = alpha if whole_alpha else eight[..., 3]
        return Image.fromarray(eight, image.mode)

    whole_alpha = image.mode == "RGBA" and cast("Any", image.getextrema())[3][1] >= _HIGH
    return Scale(("integers", largest), scaled)


def _white(kind: str, low: float, high: float, depth: Depth | None, mode: str) -> float:
    room = _BEYOND if kind == "floats" else 0.0
    known = None if depth is None else getattr(depth, kind)
    try:
        fitting = white_of(kind, high)
    except ValueError:
        fitting = None
    if fitting is None or low < -room * fitting or not np.isfinite(low):
        msg = f"values from {low:g} to {high:g} in mode {mode} fit no known range"
        raise ValueError(msg)
    if known is None:
        return fitting
    if high > known * (1 + room):
        raise ValueError(
            f"it has values up to {high:g}, but white is {known:g} in the photos that were learned "
            "from"
        )
    return float(known)


def _declared(tags: Mapping[int, Any]) -> float:
    """Return the white of a TIFF that says itself how few bits it has, otherwise 0."""
    bits = tags.get(_TIFF_BITS, 0)
    bits = bits[0] if isinstance(bits, tuple) and bits else bits
    return 2.0**bits - 1 if bits in (10, 12, 14) else 0.0


def _larger(one: float | None, other: float | None) -> float | None:
    found = [value for value in (one, other) if value is not None]
    return max(found) if found else None


def _raw_mode(tile: Any) -> str:
    args = tile.args
    return str(args[0] if isinstance(args, tuple) and args else args)


def _low_bytes(opened: Image.Image) -> tuple[Image.Image, bool]:
    """Return a photo whose values are the low bytes, and whether it is grey with transparency."""
    file = cast("Any", opened)
    if getattr(file, "tag_v2", {}).get(_TIFF_PLANES) == 2 and file.tile[0].codec_name != "raw":
        raise ValueError(
            "it keeps fewer than 16 bits in packed separate planes; save it with its colours "
            "together"
        )
    deep_colours(opened)
    grey = any(_raw_mode(tile) == "LA;16B" for tile in file.tile)
    file.tile = [_swapped(tile) for tile in file.tile]
    opened.load()
    return opened, grey


def _swapped(tile: Any) -> Any:
    """Return a tile whose other byte is taken."""
    raw = _raw_mode(tile)
    if raw == "LA;16B":
        other = "RGBA"  # all four bytes as they are
    else:
        big = raw[-1] == "B" or (raw[-1] == "N" and sys.byteorder == "big")
        other = raw[:-1] + ("L" if big else "B")
    args = (other, *tile.args[1:]) if isinstance(tile.args, tuple) else other
    return tile._replace(args=args)


def _words(high: Image.Image, low: Image.Image, grey: bool) -> NDArray[np.uint16]:
    """Return the (H, W, C) values of 16 bits."""
    upper, lower = np.asarray(high).astype(np.uint16), np.asarray(low).astype(np.uint16)
    if grey:
        lower = lower[..., (1, 1, 1, 3)]
    return np.asarray((upper << 8) | lower, dtype=np.uint16)
