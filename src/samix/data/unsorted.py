"""Photos that nobody has sorted: a folder of any depth, or single files."""

from __future__ import annotations

import difflib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from samix.data.collection import NO_LABEL, ImageSet, natural_key
from samix.data.folder import IMAGE_SUFFIXES, has_mask_tree, photos_below
from samix.data.pixels import MAX_MEGAPIXELS, check_limit, decode
from samix.errors import InputError


@dataclass(frozen=True)
class FileReader:
    """Reads photos from files by position."""

    files: tuple[str, ...]
    max_megapixels: int = MAX_MEGAPIXELS

    def __call__(self, index: int) -> Image.Image:
        """Return the photo at a position."""
        return self.reduced(index)

    def reduced(self, index: int, side: int | None = None) -> Image.Image:
        """Return the photo at a position for a copy of a side in px; None is in full."""
        file = self.files[index]
        return decode(file, file, side=side, max_megapixels=self.max_megapixels)


def open_unsorted(words: Sequence[str], *, max_megapixels: int = MAX_MEGAPIXELS) -> ImageSet:
    """List photos without labels, without opening them.

    A folder is searched at any depth, in natural order of the paths; its subfolders mean nothing.
    Hidden files and files that are no images are passed over, and so are the masks in `masks/`
    beside `images/`. A file is taken whatever its name ends with.

    Args:
        words: Folders and files, in the wanted order; one that comes again is taken once.
        max_megapixels: Larger photos are not read.

    Returns:
        The photos, each with the path that leads to it from here as its key; no classes.

    Raises:
        InputError: Nothing was given, or something is not there, may not be read or holds no photo.
    """
    check_limit(max_megapixels)
    if not words:
        raise InputError("no photos were given; name a folder of photos, or files")
    files = tuple(dict.fromkeys(file for word in words for file in _files_of(word)))
    return ImageSet(
        name=_name(Path(words[0]).resolve()) if len(words) == 1 else "photos",
        classes=(),
        keys=files,
        targets=(NO_LABEL,) * len(files),
        given_split=(None,) * len(files),
        given_group=(None,) * len(files),
        read=FileReader(files, max_megapixels),
    )


def _name(path: Path) -> str:
    return path.name if path.is_dir() else path.stem


def _files_of(word: str) -> list[str]:
    """Return the photos that a folder or file stands for."""
    path = Path(word).expanduser()
    if not word or not path.exists():
        raise InputError(f"there is no photo or folder '{word}'{_hint(path)}")
    if not path.is_dir():
        return [os.path.normpath(path)]
    try:
        top = path / "images" if has_mask_tree(path) else path
        found = sorted(photos_below(top, on_error=_refuse), key=natural_key)
    except PermissionError as error:
        raise InputError(f"'{error.filename}' may not be read; change its permissions") from error
    if not found:
        kinds = ", ".join(sorted(IMAGE_SUFFIXES))
        raise InputError(f"folder '{word}' holds no image; put photos into it ({kinds})")
    return [os.path.normpath(top / name) for name in found]


def _refuse(error: OSError) -> None:
    """Do not pass over a folder that cannot be listed: its photos would be missing silently."""
    raise error


def _hint(path: Path) -> str:
    """Return the nearest name beside a path that is not there."""
    beside = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
    near = difflib.get_close_matches(path.name, beside, n=1)
    return f"; did you mean '{path.parent / near[0]}'?" if near else ""
