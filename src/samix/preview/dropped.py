"""The photos that are dropped into `samix ui`: small copies in memory, and limits."""

from __future__ import annotations

import io
import os
import secrets
import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from samix.data.reading import decode
from samix.data.views import squeeze
from samix.errors import InputError

LARGEST = 224
"""Side of the mixes of `samix ui` in px; larger photos are kept as squares of this size."""
_KINDS = ("BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")
_MIB = 2**20
_MILLION = 1_000_000


class TooMuchError(InputError):
    """A photo is beyond a limit of the page."""


@dataclass(frozen=True)
class DropLimits:
    """What the page takes."""

    photo_bytes: int = 50 * _MIB  # of one file
    pixels: int = 64 * _MILLION  # of one photo
    kept: int = 200  # photos in memory; the oldest are forgotten


class DroppedPhotos:
    """Keeps small copies of the photos that were dropped in; nothing is written to the disk."""

    def __init__(self, limits: DropLimits | None = None) -> None:
        self.limits = limits or DropLimits()
        self._photos: OrderedDict[str, Image.Image] = OrderedDict()
        self._turn = threading.Lock()

    def add(self, data: bytes) -> str:
        """Keep a photo under a random name, which is returned; refuse a too large or broken one."""
        self._check(data)
        try:
            photo = decode(data, "dropped in")
        except InputError as error:
            raise InputError(f"{error}; choose another photo") from error
        if max(photo.size) > LARGEST:
            photo = Image.fromarray(squeeze(photo, LARGEST).permute(1, 2, 0).numpy())
        name = secrets.token_hex(16)
        with self._turn:
            self._photos[name] = photo
            while len(self._photos) > self.limits.kept:
                self._photos.popitem(last=False)
        return name

    def read(self, name: str) -> Image.Image:
        """Return a photo that was dropped in; an unknown or forgotten one is refused."""
        found = self._photos.get(name)
        if found is None:
            raise InputError("the photo is not among those that were dropped in; drop it in again")
        return found

    def _check(self, data: bytes) -> None:
        """Refuse what is too large or no photo, from its first bytes; no pixel is decoded."""
        if len(data) > self.limits.photo_bytes:
            most = self.limits.photo_bytes // _MIB
            raise TooMuchError(f"the photo has more than {most} MiB; drop in a smaller one")
        pixels = self.limits.pixels + 1
        try:
            with Image.open(io.BytesIO(data), formats=_KINDS) as opened:
                pixels = opened.width * opened.height
        except Image.DecompressionBombError:
            pass
        except (UnidentifiedImageError, OSError, ValueError, SyntaxError) as error:
            kinds = ", ".join(_KINDS)
            raise InputError(
                f"the file is no photo; drop in a photo of a kind of {kinds}"
            ) from error
        if pixels > self.limits.pixels:
            most = self.limits.pixels // _MILLION
            raise TooMuchError(
                f"the photo has more than {most} million pixels; drop in a smaller one"
            )


def inside(folder: Path, path: str | Path) -> Path | None:
    """Return the file that a path leads to, where it lies below a folder; None where it does not.

    Nothing outside the folder is touched, unless a link inside leads there; it is not opened.

    Args:
        folder: Without links (``Path.resolve``).
        path: Absolute, or of this process's folder.
    """
    try:
        if not Path(os.path.abspath(path)).is_relative_to(folder):
            return None
        found = Path(path).resolve(strict=True)
        return found if found.is_relative_to(folder) and found.is_file() else None
    except (OSError, ValueError, RuntimeError):  # not there, no path, links in a circle
        return None
