"""The one form that every image set takes, wherever it comes from."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence, Set
from dataclasses import dataclass, field, is_dataclass, replace
from pathlib import Path
from typing import Generic, Literal, Protocol, TypeVar, cast, runtime_checkable

from PIL import Image

from samix.data.depth import Depth
from samix.data.kept import KeptPhotos
from samix.errors import InputError
from samix.files import cache_folder
from samix.shown import in_letters

SplitName = Literal["train", "val", "test"]
ReadPhoto = Callable[[int], Image.Image]
ReadMask = Callable[[int], Image.Image | None]
ReadEncoded = Callable[[int], bytes]

NO_LABEL = -1

_Result = TypeVar("_Result")


@runtime_checkable
class ReducedReader(Protocol):
    """A reader of photos that can make a very large one smaller while it reads it."""

    def reduced(self, index: int, side: int) -> Image.Image:
        """Return the photo at a position; see :meth:`ImageSet.read_for`."""


def read_reduced(read: ReadPhoto, index: int, side: int) -> Image.Image:
    """Read a photo for a small copy; see :meth:`ImageSet.read_for`."""
    return read.reduced(index, side) if isinstance(read, ReducedReader) else read(index)


_SPLIT_WORDS: dict[str, SplitName] = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
}
_COPY = re.compile(
    r"(.+?)(?: - | |_|-|\.)?(?:copy|kopie|copie|コピー|old|bak|backup|\(\d+\))(?: ?\(\d+\))?$", re.I
)
_JOINS = (r"\s+", "/", r"\+", "&", "_", "-", r"\s+(?:and|und|et|y)\s+")  # between two names in one
_INVISIBLE = "\u00ad\u200b\u200c\u200d\u2060\ufeff"  # soft hyphen, zero-width blanks and joins
_NO_LABEL = re.compile(
    r"un-?labell?ed|no[ _-]?labels?|not[ _-]labell?ed|#?n/?a|null|unknown|\?+|-+|\.", re.I
)
_FILLING = {
    "set",
    "dataset",
    "data",
    "image",
    "images",
    "imgs",
    "img",
    "photos",
    "pictures",
    "split",
    "partial",
}


@dataclass(frozen=True, kw_only=True)
class ImageSet:
    """Photos with their labels, read one at a time.

    Attributes:
        name: What the set is called, such as "demo" or the folder's name.
        classes: Class names; the position is the target.
        keys: One unique name a photo: its path below the root, or "file.parquet#row".
        targets: One class position a photo; -1 where there is no label.
        given_split: "train", "val" or "test" where the data says so, otherwise None.
        given_group: The part that the photo shows where the data says so, otherwise None.
        read: Photo of a position as 8-bit RGB; picklable; raises UnreadableImageError.
        read_mask: Defect pixels of a position (mode "L": 255, all others 0), or None for a
            photo without a mask; None as a whole where the data has no masks.
        skipped: Keys of photos that cannot be read and were left out.
        depth: What is white in photos of more than 8 bits; None where all have 8.
        notes: Sentences for the user about how the photos are read.
        encoded: Photo of a position as it is stored, such as a JPEG file; picklable; raises
            CorruptImageError; None as a whole where photos are not stored one by one.
        kept: What was kept of the photos when they were decoded.
        state: What tells the files apart from those after any change; empty where there are none.
    """

    name: str
    classes: tuple[str, ...]
    keys: tuple[str, ...]
    targets: tuple[int, ...]
    given_split: tuple[SplitName | None, ...]
    given_group: tuple[str | None, ...]
    read: ReadPhoto
    read_mask: ReadMask | None = None
    skipped: tuple[str, ...] = ()
    encoded: ReadEncoded | None = None
    depth: Depth | None = None
    notes: tuple[str, ...] = ()
    kept: KeptPhotos = field(default_factory=KeptPhotos, compare=False, repr=False)
    state: str = ""

    def __post_init__(self) -> None:
        lengths = {
            "keys": len(self.keys),
            "targets": len(self.targets),
            "given_split": len(self.given_split),
            "given_group": len(self.given_group),
        }
        if len(set(lengths.values())) != 1:
            msg = f"an ImageSet needs one entry a photo in each field, got lengths {lengths}"
            raise ValueError(msg)
        if len(set(self.keys)) != len(self.keys):
            twice = next(key for key in self.keys if self.keys.count(key) > 1)
            msg = f"keys must be unique, got {twice!r} twice"
            raise ValueError(msg)

    def __len__(self) -> int:
        return len(self.keys)

    def class_of(self, index: int) -> str:
        """Return the class of a photo; empty where it has no label."""
        target = self.targets[index]
        return self.classes[target] if target >= 0 else ""

    def read_for(self, index: int, side: int) -> Image.Image:
        """Read a photo for a copy that fits into a square of a side.

        A JPEG may come reduced to a half, a quarter or an eighth of its sides, which are at least
        twice as long as asked. Other photos of up to 33 megapixels are read in full, as
        :attr:`read` does; larger ones of any kind keep at least three times what is asked.

        Args:
            index: Position of the photo.
            side: Side of the copy in px.

        Raises:
            UnreadableImageError: The photo cannot be read.
        """
        return read_reduced(self.read, index, side)

    def record(self, folder: str, end: str) -> Path | None:
        """Return the file of the user's cache about these photos, None where they may change."""
        if not self.state:
            return None
        digest = hashlib.sha256(
            "\0".join((self.state, *self.keys)).encode(errors="surrogateescape")
        )
        return cache_folder() / folder / f"{digest.hexdigest()}{end}"

    def with_depth(self, depth: Depth | None) -> ImageSet:
        """Return the set with another white for photos of more than 8 bits."""
        return replace(self, depth=depth, read=_deepened(self.read, depth))

    def subset(self, indices: Sequence[int]) -> ImageSet:
        """Return the photos at some positions as an image set of their own.

        Args:
            indices: Positions in this set, in the wanted order, each at most once.

        Returns:
            A set with the same classes; photos are still read on demand.
        """
        chosen = tuple(indices)
        return replace(
            self,
            keys=tuple(self.keys[i] for i in chosen),
            targets=tuple(self.targets[i] for i in chosen),
            given_split=tuple(self.given_split[i] for i in chosen),
            given_group=tuple(self.given_group[i] for i in chosen),
            read=_ChosenPhotos(self.read, chosen),
            read_mask=None if self.read_mask is None else _Chosen(self.read_mask, chosen),
            encoded=None if self.encoded is None else _Chosen(self.encoded, chosen),
            kept=self.kept.subset(chosen),
        )


@dataclass(frozen=True)
class _Chosen(Generic[_Result]):
    read: Callable[[int], _Result]
    indices: tuple[int, ...]

    def __call__(self, index: int) -> _Result:
        return self.read(self.indices[index])


@dataclass(frozen=True)
class _ChosenPhotos(_Chosen[Image.Image]):
    def reduced(self, index: int, side: int) -> Image.Image:
        return read_reduced(self.read, self.indices[index], side)


def _deepened(read: ReadPhoto, depth: Depth | None) -> ReadPhoto:
    """Return a reader that takes a value as white; of photos that are not wide it is the same."""
    if isinstance(read, _ChosenPhotos):
        return replace(read, read=_deepened(read.read, depth))
    if is_dataclass(read) and not isinstance(read, type) and hasattr(read, "depth"):
        return cast("ReadPhoto", replace(read, depth=depth))
    return read


def split_of(word: str) -> SplitName | None:
    """Return the split that a folder or file name stands for, or None for any other word.

    "train", "training_set", "train_images", "images-train" and "val2017" stand for one.
    """
    parts = [part for part in re.split(r"[^a-z]+", word.lower()) if part]
    telling = [part for part in parts if part not in _FILLING]
    return _SPLIT_WORDS.get(telling[0]) if len(telling) == 1 else None


def names_part(word: str) -> bool:
    """Say whether a word of a name is that of a split, as in "train_crop1"."""
    return not _SPLIT_WORDS.keys().isdisjoint(re.split(r"[^a-z]+", word.lower()))


def class_numbers(labels: Sequence[str | None]) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Return the names of the classes in natural order, and one position a photo.

    A class has one name, in letters of Unicode's composed form without blanks or invisible letters
    around it. InputError where two differ in case, width or invisible letters alone.
    """
    names = {label: _composed(label) for label in labels if label is not None}
    classes = in_order(set(names.values()))
    alike: dict[str, str] = {}
    for name in classes:
        seen = "".join(letter for letter in name if letter not in _INVISIBLE)
        other = alike.setdefault(unicodedata.normalize("NFKC", seen).casefold(), name)
        if other != name and len(name) > 1:
            raise InputError(
                f"classes '{other}' and '{name}' differ in case, width or invisible letters alone; "
                "give both one name if they are one class, or names that tell them apart"
            )
    number = {name: i for i, name in enumerate(classes)}
    targets = (NO_LABEL if label is None else number[names[label]] for label in labels)
    return tuple(classes), tuple(targets)


def _composed(name: str) -> str:
    letters = unicodedata.normalize("NFC", in_letters(name))
    return re.sub(rf"^[\s{_INVISIBLE}]+|[\s{_INVISIBLE}]+$", "", letters) or name


def in_order(names: Iterable[str]) -> list[str]:
    """Return names in natural order; "1" and "01", which are one number, in a fixed one."""
    return sorted(names, key=lambda name: (natural_key(name), name))


def natural_key(text: str) -> tuple[tuple[int, int, str], ...]:
    """Return a sorting key that puts "part2" before "part10"."""
    parts = re.split(r"(\d+)", text)
    return tuple((0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts)


def odd_classes(classes: Sequence[str]) -> tuple[str, ...]:
    """Return what to tell of classes that are some by their place, and hardly by their name."""
    notes = []
    numbers: dict[int, list[str]] = {}
    for name in classes:
        if name.isdecimal():
            numbers.setdefault(int(name), []).append(name)
    for number, names in numbers.items():
        if len(names) > 1:
            notes.append(
                f"{' and '.join(map(repr, names))} are {len(names)} classes, though all are the "
                f"number {number}; give them one name if they are one class."
            )
    for name in classes:
        copied = _COPY.search(name)
        if copied and copied[1] in classes:
            notes.append(f"'{name}' is a class beside '{copied[1]}'; join them if it is a copy.")
        if parts := _classes_in(name, {*classes}):
            notes.append(
                f"'{name}' is a class of its own beside {' and '.join(map(repr, parts))}; if it "
                "stands for photos that show both, name the one that counts."
            )
        if len(classes) > 1 and split_of(name) is not None:
            notes.append(
                f"'{name}' is a class like the others; if it is a part, put class folders into it "
                "and into a folder 'train', or keep photos without labels elsewhere."
            )
        if len(classes) > 1 and _NO_LABEL.fullmatch(name):
            notes.append(
                f"'{name}' is a class like the others; of photos without labels the cell in a "
                "table (`labels`) is empty, or they lie in a folder of their own."
            )
    return tuple(notes)


def _classes_in(name: str, classes: Set[str]) -> list[str]:
    """Return the classes whose names make up another one, such as "cat dog"."""
    for join in _JOINS:
        parts = list(dict.fromkeys(part.strip() for part in re.split(join, name)))
        if len(parts) > 1 and classes >= {*parts}:
            return parts
    return []
