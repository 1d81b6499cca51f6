"""Image sets in tar files of samples, as WebDataset has them: `0001.jpg` beside `0001.cls`.

The files are looked through once; photos are then read from their places in them.
"""

from __future__ import annotations

import tarfile
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import Any

from samix.data.columns import LABEL_COLUMNS, as_labels
from samix.data.image_set import ImageSet, class_numbers, natural_key
from samix.data.kinds import IMAGE_SUFFIXES
from samix.data.parquet import (
    MOST_ROWS,
    check_configurations,
    missing_shards,
    packed_set,
    parts_of_files,
)
from samix.data.reader import PhotoReader
from samix.errors import CorruptImageError, InputError
from samix.files import MAX_MEGAPIXELS
from samix.plain_json import parse_json

_MOST_LABEL = 2**20  # bytes of a file that says the class
_FIRST = ("jpg", "jpeg", "webp", "png")  # the photo, where a sample has several pictures
_TEXTS = ("cls", "txt")  # files that hold one label
_LABEL_FILES = (*_TEXTS, "json")


@dataclass(frozen=True)
class TarPhotos:
    """Encoded photos of several tar files by position."""

    root: str  # the folder that files are relative to
    files: tuple[str, ...]
    starts: tuple[int, ...]  # position of the first photo of each file
    # where each photo begins in its file, and how many bytes it has
    places: tuple[tuple[int, int], ...]

    def __call__(self, index: int) -> bytes:
        """Return the encoded photo at a position."""
        path = Path(self.root, self.files[bisect_right(self.starts, index) - 1])
        start, size = self.places[index]
        try:
            with path.open("rb") as file:
                file.seek(start)
                return file.read(size)
        except OSError as error:
            raise CorruptImageError(f"'{path}' cannot be read ({error.strerror})") from error


@dataclass
class _Sample:
    """What one sample of a tar file has: places of its pictures by suffix, and its label files."""

    photos: dict[str, tuple[int, int]] = field(default_factory=dict)
    labels: dict[str, Any] = field(default_factory=dict)


def open_tars(
    root: Path,
    files: Sequence[Path],
    *,
    need_labels: bool = False,
    label_column: str | None = None,
    max_megapixels: int = MAX_MEGAPIXELS,
) -> ImageSet:
    """List the photos of uncompressed tar files of samples, in their order.

    Files of a sample have one name up to the first dot. Its class is in `.cls`, otherwise in
    `.json` under a name such as "label"; a `.txt` is mostly a caption, and must be named.
    """
    ordered = sorted(files, key=lambda file: natural_key(file.relative_to(root).as_posix()))
    names = tuple(file.relative_to(root).as_posix() for file in ordered)
    notes = (*check_configurations(root, names), *missing_shards(names))
    passed: list[str] = []
    found = [_samples(file, passed) for file in ordered]
    counts = [len(samples) for samples in found]
    samples = [
        (name, *one) for name, part in zip(names, found, strict=True) for one in part.items()
    ]
    if not samples:
        named = f" (not '{passed[0]}', whose sample ends at the first dot)" if passed else ""
        raise InputError(
            f"'{ordered[0]}' holds no photo; expected files such as 0001.jpg in it{named}"
        )
    if passed:
        notes += (
            f"{len(passed):,} pictures such as '{passed[0]}' are not read: what follows the first "
            "dot is no suffix of a photo.",
        )
    wanted = _label_file([sample for *_, sample in samples], label_column, ordered[0])
    if wanted is None and need_labels:
        raise InputError(
            f"'{ordered[0]}' says no classes: its samples have no .cls, and no 'label' in .json; "
            "name what does with `label_column` (such as txt), or unpack it into one folder a class"
        )
    photos = [_photo(sample) for *_, sample in samples]
    keys = tuple(f"{n}#{key}.{end}" for (n, key, _), (end, _) in zip(samples, photos, strict=True))
    labels = [None if wanted is None else _label(sample, wanted) for *_, sample in samples]
    nested = next((i for i, label in enumerate(labels) if isinstance(label, list | dict)), None)
    if nested is not None:
        raise InputError(
            f"'{wanted}' of '{keys[nested]}' holds several values, expected one number or name a "
            "photo; name another one with `label_column`"
        )
    classes, targets = class_numbers(as_labels(labels, f"'{wanted}' in '{root}'"))
    starts = tuple(accumulate(counts, initial=0))[:-1]
    places = tuple(place for _, place in photos)
    reader = PhotoReader(TarPhotos(str(root), names, starts, places), keys, max_megapixels)
    return packed_set(root, reader, classes, targets, parts_of_files(names, counts), notes)


def _samples(path: Path, passed: list[str]) -> dict[str, _Sample]:
    """Return the samples of a tar file that have a photo, by their names; other pictures pass."""
    samples: dict[str, _Sample] = {}
    size = path.stat().st_size
    with _readable(path), tarfile.open(path, "r:") as opened:
        for number, member in enumerate(opened):
            if number >= MOST_ROWS:
                raise InputError(f"'{path}' has too many files, expected at most {MOST_ROWS}")
            folder, _, last = member.name.rpartition("/")
            name, _, end = last.partition(".")
            if not member.isreg() or member.issparse() or not name or not end:
                continue
            if member.offset_data + member.size > size:
                raise InputError(f"'{path}' ends within '{member.name}'; fetch it again")
            sample = samples.setdefault(f"{folder}/{name}" if folder else name, _Sample())
            end = end.lower()
            if end in sample.photos or end in sample.labels:
                raise InputError(f"'{path}' holds '{member.name}' twice; write it again with one")
            if f".{end}" in IMAGE_SUFFIXES:
                sample.photos[end] = (member.offset_data, member.size)
            elif end in _LABEL_FILES and member.size <= _MOST_LABEL:
                held = opened.extractfile(member)
                sample.labels[end] = b"" if held is None else held.read()
            elif f".{end.rpartition('.')[2]}" in IMAGE_SUFFIXES:
                passed.append(member.name)
    return {name: sample for name, sample in samples.items() if sample.photos}


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except (tarfile.TarError, EOFError, OSError) as error:
        with path.open("rb") as file:
            packed = file.read(4).startswith((b"\x1f\x8b", b"BZh", b"\xfd7zX", b"\x28\xb5\x2f\xfd"))
        why = "it is compressed; unpack it once" if packed else f"{error}; fetch it again"
        raise InputError(f"'{path}' is not a readable tar file ({why})") from error


def _photo(sample: _Sample) -> tuple[str, tuple[int, int]]:
    end = next((end for end in _FIRST if end in sample.photos), next(iter(sample.photos)))
    return end, sample.photos[end]


def _label_file(samples: Sequence[_Sample], wanted: str | None, file: Path) -> str | None:
    """Return what says the class: "cls", "txt" or a name in .json; None where nothing does."""
    ends = {end for sample in samples for end in sample.labels}
    first = next((sample for sample in samples if "json" in sample.labels), None)
    known = [] if first is None else list(_json(first))
    if wanted is not None:
        if wanted in known or wanted in ends.intersection(_TEXTS):
            return wanted
        there = ", ".join((*sorted(ends.intersection(_TEXTS)), *known)) or "nothing"
        raise InputError(
            f"label_column: expected what says the class in '{file}' ({there}), got '{wanted}'"
        )
    if "cls" in ends:
        return "cls"
    return next((name for name in LABEL_COLUMNS if name in known), None)


def _label(sample: _Sample, wanted: str) -> Any:
    if wanted in _TEXTS:
        return sample.labels.get(wanted, b"").decode("utf-8", "replace").strip()
    return _json(sample).get(wanted)


def _json(sample: _Sample) -> dict[str, Any]:
    try:
        found = parse_json(sample.labels.get("json", b"{}"))
    except ValueError:
        return {}  # its photo has no label then
    return found if isinstance(found, dict) else {}
