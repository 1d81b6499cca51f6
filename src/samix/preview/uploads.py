"""The photos that are dropped into `samix ui`: one private folder, and limits."""

from __future__ import annotations

import contextlib
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from PIL import Image, UnidentifiedImageError

from samix.data.reading import decode
from samix.errors import InputError

_KINDS = ("BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")
_ENDS = {"MPO": "jpeg", "JPEG2000": "jp2"}  # of file names that browsers know; MPO is a JPEG
_MIB = 2**20
_MILLION = 1_000_000
_GONE = "the photo is not among those that were dropped in here; drop it in again"


class TooMuchError(InputError):
    """A photo, or a number of photos, is beyond a limit of the page."""


@dataclass(frozen=True)
class UploadLimits:
    """What the page takes.

    Attributes:
        photo_bytes: Of one file.
        pixels: Of one photo.
        at_once: Photos in one request.
        kept: Photos in the folder; the oldest are removed.
        kept_bytes: Of all of them together.
    """

    photo_bytes: int = 50 * _MIB
    pixels: int = 64 * _MILLION
    at_once: int = 2
    kept: int = 1000
    kept_bytes: int = 1024 * _MIB

    @property
    def request_bytes(self) -> int:
        """Of a whole request: the photos, and what a form writes around them."""
        return self.at_once * self.photo_bytes + _MIB


class Uploads:
    """Keeps the photos that were dropped in, in a folder that the page may read.

    Args:
        folder: It exists; nobody else may read it, and it is removed at the end.
        limits: What is taken.
    """

    def __init__(self, folder: Path, limits: UploadLimits | None = None) -> None:
        self.folder = folder.resolve()
        self.limits = limits or UploadLimits()

    def add(self, photo: BinaryIO) -> Path:
        """Keep a photo under a name of our own.

        Args:
            photo: The encoded photo.

        Returns:
            Where it lies.

        Raises:
            TooMuchError: It has too many bytes or pixels.
            InputError: It is no photo.
        """
        photo.seek(0)
        data = photo.read(self.limits.photo_bytes + 1)
        if len(data) > self.limits.photo_bytes:
            most = self.limits.photo_bytes // _MIB
            raise TooMuchError(f"the photo has more than {most} MiB; drop in a smaller one")
        kind = self._kind(photo)
        there = self.folder / secrets.token_hex(16) / f"photo.{_ENDS.get(kind, kind.lower())}"
        there.parent.mkdir()
        there.write_bytes(data)
        self.tidy()
        return there

    def find(self, path: str) -> Path:
        """Return the photo that a path names.

        Raises:
            InputError: It leads to anything but a file in the folder.
        """
        found = inside(self.folder, path)
        if found is None:
            raise InputError(_GONE)
        return found

    def read(self, path: str, what: str) -> Image.Image:
        """Return a photo that was dropped in.

        Args:
            path: Where it lies.
            what: What it is called in a complaint.

        Raises:
            InputError: It is not in the folder, too large, or cannot be read.
        """
        found = self.find(path)
        try:
            with found.open("rb") as photo:
                self._kind(photo)
            return decode(found.read_bytes(), what)
        except (InputError, OSError) as error:
            raise InputError(f"{error}; choose another photo") from error

    def tidy(self) -> None:
        """Remove the oldest files until count and bytes are within the limits."""
        files = []
        for folder, _, names in os.walk(self.folder):
            for name in names:
                path = Path(folder, name)
                try:
                    found = path.lstat()
                except FileNotFoundError:  # removed by another request meanwhile
                    continue
                files.append((found.st_mtime, path, found.st_size))
        files.sort()
        count, size = len(files), sum(one[2] for one in files)
        for _, path, bytes_ in files:
            if count <= self.limits.kept and size <= self.limits.kept_bytes:
                return
            path.unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # it holds another file
                path.parent.rmdir()
            count, size = count - 1, size - bytes_

    def _kind(self, photo: BinaryIO) -> str:
        """Return the format of a photo, from its first bytes; no pixel is decoded.

        Raises:
            TooMuchError: It has too many pixels.
            InputError: It is no photo.
        """
        try:
            with Image.open(photo, formats=_KINDS) as opened:
                (width, height), kind = opened.size, str(opened.format)
        except (UnidentifiedImageError, OSError, ValueError, SyntaxError) as error:
            kinds = ", ".join(_KINDS)
            raise InputError(
                f"the file is no photo; drop in a photo of a kind of {kinds}"
            ) from error
        except Image.DecompressionBombError as error:
            raise self._too_large() from error
        if width * height > self.limits.pixels:
            raise self._too_large()
        return kind

    def _too_large(self) -> TooMuchError:
        most = self.limits.pixels // _MILLION
        return TooMuchError(f"the photo has more than {most} million pixels; drop in a smaller one")


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
