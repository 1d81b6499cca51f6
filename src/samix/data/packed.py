"""Photos that are packed into files: which files below a folder hold them, and how they open."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

from samix.data.columns import may_hold_photos
from samix.data.folder import open_unsorted, photos_below
from samix.data.image_set import NO_LABEL, ImageSet
from samix.data.kinds import ARCHIVES, is_made
from samix.data.parquet import open_parquet, read_metadata
from samix.data.webdataset import open_tars
from samix.errors import InputError
from samix.files import MAX_MEGAPIXELS

PACKED = (".parquet", ".tar")
_ARROW = ".arrow"
_TABLES = (".csv", ".tsv", ".jsonl", ".txt")


def packed_below(path: Path) -> tuple[list[Path], tuple[str, ...]]:
    """Return the Parquet or tar files that hold the photos of a path, and a note on others.

    Parquet files without photos are tables of something else. Where photos lie beside those with
    photos, the larger part counts. There are none where the photos are files themselves.
    """
    if path.is_file():
        return ([path] if path.suffix.lower() in PACKED else []), ()
    tables, tars, arrows = _visible(path).values()
    if arrows and not tables and not tars and next(photos_below(path), None) is None:
        raise InputError(_saved(path, arrows))
    if not tables and not tars:
        return [], ()
    rows = [_rows(file) for file in tables]
    known = sum(filter(None, rows))
    loose = sum(1 for _ in islice(photos_below(path), 1 + known))
    if tables and not loose and not known:
        rows = [None] * len(tables)  # the first says what is wrong with it
    held = [file for file, count in zip(tables, rows, strict=True) if count != 0]
    if held and tars:
        raise InputError(
            f"folder '{path}' holds photos in Parquet files ('{held[0].name}') and tar files "
            f"('{tars[0].name}'); give the folder of one kind"
        )
    if tars:
        return (tars, ()) if not loose else ([], _passed(tars, "tar files beside the photos"))
    if known < loose:
        full = [file for file, count in zip(tables, rows, strict=True) if count]
        return [], _passed(full, "Parquet files beside the photos")
    others = [file for file in tables if file not in held]
    notes = _passed(others, "Parquet files without photos")
    if loose:
        notes = (*notes, f"Photos beside the Parquet files ({loose:,}) are not read.")
    return held, notes


def _passed(files: Sequence[Path], what: str) -> tuple[str, ...]:
    return (f"{what} are not read, such as '{files[0].name}'.",) if files else ()


def _visible(path: Path) -> dict[str, list[Path]]:
    """Return the packed files below a folder by their suffix, without hidden ones."""
    found: dict[str, list[Path]] = {suffix: [] for suffix in (*PACKED, _ARROW)}
    for folder, inner, files in os.walk(path):
        inner[:] = [name for name in inner if not is_made(name)]
        for name in files:
            suffix = os.path.splitext(name)[1].lower()
            if suffix in found and not is_made(name):
                found[suffix].append(Path(folder, name))
    return {suffix: sorted(paths) for suffix, paths in found.items()}


def _saved(path: Path, files: Sequence[Path]) -> str:
    """Return a sentence about a folder that datasets.save_to_disk has written."""
    parts = sorted({file.parent.name for file in files if file.parent != path})
    write = (
        f"load_from_disk({str(path)!r}).to_parquet('photos/train.parquet')"
        if not parts
        else f"for name, part in load_from_disk({str(path)!r}).items(): "
        "part.to_parquet(f'photos/{name}.parquet')"
    )
    return (
        f"folder '{path}' holds .arrow files ('{files[0].name}'), as datasets.save_to_disk writes "
        f"them, which are not read; write Parquet files from them in Python (from datasets import "
        f"load_from_disk; {write}), and give the folder of these"
    )


def _rows(file: Path) -> int | None:
    """Return how many photos a Parquet file holds, 0 where others; None where it is unreadable."""
    try:
        metadata = read_metadata(file)
    except InputError:
        return None
    return int(metadata.num_rows) if may_hold_photos(metadata.schema.to_arrow_schema()) else 0


def open_packed(
    root: Path,
    files: list[Path],
    *,
    need_labels: bool = False,
    label_column: str | None = None,
    max_megapixels: int = MAX_MEGAPIXELS,
) -> ImageSet:
    """List the photos of Parquet or tar files."""
    opening = open_tars if files[0].suffix.lower() == ".tar" else open_parquet
    return opening(
        root, files, need_labels=need_labels, label_column=label_column,
        max_megapixels=max_megapixels,
    )  # fmt: skip


def open_unlabelled(words: Sequence[str], *, max_megapixels: int = MAX_MEGAPIXELS) -> ImageSet:
    """List photos without looking at labels, in files or packed, without opening them.

    What is packed is one folder or file, and its keys have its path before them.
    """
    paths = [Path(word).expanduser() for word in words]
    packed = {path: packed_below(path) for path in paths if path.exists()}
    held = next((path for path, (files, _) in packed.items() if files), None)
    if held is None:
        images = open_unsorted(words, max_megapixels=max_megapixels)
        passed = (note for _, found in packed.values() for note in found)
        return replace(images, notes=(*images.notes, *passed))
    if len(words) > 1:
        raise InputError(f"'{held}' holds packed photos, which are judged alone; give it alone")
    root = held.parent if held.is_file() else held
    files, notes = packed[held]
    images = open_packed(root, files, max_megapixels=max_megapixels)
    return replace(
        images, keys=tuple(os.path.normpath(root / key) for key in images.keys), classes=(),
        targets=(NO_LABEL,) * len(images), notes=(*images.notes, *notes),
    )  # fmt: skip


def hint_for(path: Path) -> str:
    """Return a sentence about a file that is no set of photos, and what to give instead."""
    suffix = path.suffix.lower()
    if suffix in _TABLES:
        return (
            f"'{path}' is a table; give the folder of the photos as DATA, and this file as the "
            "table of their labels with `labels`"
        )
    if suffix == _ARROW:
        return _saved(path.parent, [path])
    if suffix in ARCHIVES:
        return f"'{path}' is packed; unpack it, and give the folder that holds the photos"
    return f"'{path}' is a file; give the folder that holds the photos"
