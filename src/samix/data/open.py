"""`open_images` opens an image set from whatever the user named; `join_images` joins several."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial, reduce
from itertools import accumulate
from pathlib import Path
from typing import Generic, TypeVar

from PIL import Image

from samix.data.demo import open_demo
from samix.data.depth import Depth
from samix.data.folder import name_like, open_folder, open_listed
from samix.data.image_set import NO_LABEL, ImageSet, odd_classes, read_reduced
from samix.data.packed import hint_for, open_packed, packed_below
from samix.data.reading import check_limit
from samix.data.splits import Splits
from samix.data.tables import LabelTable, open_table, tables_beside, tables_of_parts, with_labels
from samix.data.timm_names import PREFIXES, open_timm
from samix.data.verifying import KEEP_NOTHING, Keep, state_of, too_deep, verify
from samix.errors import InputError
from samix.files import MAX_MEGAPIXELS
from samix.progress import Progress

_Result = TypeVar("_Result")
LeftOut = Callable[[str, str], None]
PrefixedSet = tuple[str, ImageSet]
"""A set and the prefix of its keys, such as the path of its folder."""
_NAMED = 3  # how many unreadable photos a message names


def open_images(
    spec: str | Path,
    *,
    need_labels: bool = True,
    skip_corrupt: bool = False,
    max_megapixels: int = MAX_MEGAPIXELS,
    root: str | Path | None = None,
    download: bool = False,
    progress: Progress | None = None,
    left_out: LeftOut | None = None,
    depth: Depth | None = None,
    labels: str | Path | None = None,
    label_column: str | None = None,
    keep: Keep = KEEP_NOTHING,
) -> ImageSet:
    """Open an image set and verify that every photo can be read.

    Args:
        spec: "demo" or "demo:photos_per_class=60,size=64" (a folder of that name is "./demo"); a
            folder of class folders, with or without train, val and test; a folder of parquet files
            in Hugging Face layout, or of tar files of WebDataset (or one such file); a timm name
            such as "torch/cifar10" or "hfds/owner/name".
        need_labels: Refuse a set without labels or with one class only. Without it a flat folder
            of photos is understood.
        skip_corrupt: Leave out photos that cannot be read (`ImageSet.skipped` names them), not
            refuse them.
        max_megapixels: Photos of more million pixels are not read. A photo takes up to 4 bytes a
            pixel while it is decoded, and as much again where it is turned or no plain RGB.
        root: Folder of the data for timm names.
        download: Let timm names fetch data that is not there yet.
        progress: Called with (done, total) while photos are verified.
        left_out: Called with key and reason of each photo that is left out.
        depth: What is white in photos of more than 8 bits, as a run learned from them; None finds
            it in these photos.
        labels: A table (CSV, JSON lines or Parquet) with the path and the label of each photo,
            which then lie below the folder in any way.
        label_column: Its column of labels, or that of the parquet files; None finds it.
        keep: What is kept of the photos while they are verified, for those who come next.

    Raises:
        InputError: The data cannot be used; the message says why and what to do.
    """
    check_limit(max_megapixels)
    folder = None if root is None else Path(root)
    source = _Source(need_labels, max_megapixels, labels, label_column)
    images, files = source.find(spec, folder, download)
    images = replace(images, notes=(*images.notes, *odd_classes(images.classes)))
    if files is not None:
        files = list(files)
        images = replace(images, state=state_of(files) if files else "")
        found = verify(images, max_megapixels=max_megapixels, progress=progress, keep=keep)
        images = replace(images, kept=found.kept)
        bad = found.corrupt
        if found.highest:
            images = images.with_depth(depth or found.depth)
        if depth is not None:
            bad = {**bad, **too_deep(images, found)}
        if bad:
            images = _without(images, bad, skip_corrupt, left_out)
        images = replace(images, notes=(*images.notes, *found.notes(images.depth, len(images))))
    if need_labels:
        check_labels(images)
    return images


def check_labels(images: ImageSet) -> None:
    """Refuse an image set that a classifier cannot learn from.

    Raises:
        InputError: The photos have no labels, or all have the same one.
    """
    if not images.classes:
        msg = (
            f"image set '{images.name}' has no labels; put the photos into one folder a class, or "
            "name their classes in a table with `labels`"
        )
        raise InputError(msg)
    if len(images.classes) == 1:
        msg = (
            f"image set '{images.name}' has only one class ('{images.classes[0]}'); "
            "add photos of at least one other class"
        )
        raise InputError(msg)


@dataclass(frozen=True)
class _Source:
    """Finds the photos and the labels that a name stands for."""

    need_labels: bool  # refuse what has none
    max_megapixels: int  # larger photos are not read
    labels: str | Path | None  # a table of labels, or None
    label_column: str | None  # its column of labels, or that of packed photos; None finds it

    def find(
        self, spec: str | Path, root: Path | None, download: bool
    ) -> tuple[ImageSet, Iterable[Path] | None]:
        """Return the unverified set and its files, or None where nothing can be corrupt."""
        name = "" if isinstance(spec, Path) else spec.strip()
        if name == "demo" or name.startswith("demo:"):
            return self._labelled(open_demo(name)), None
        if not name and isinstance(spec, str):
            msg = (
                "the name of the image set is empty; give a folder, a timm data set name or 'demo'"
            )
            raise InputError(msg)
        path = Path(spec).expanduser()
        if not path.exists():
            if name.partition("/")[0] in PREFIXES:
                limit = self.max_megapixels
                images = open_timm(name, root=root, download=download, max_megapixels=limit)
                return self._labelled(images), ()
            raise InputError(_missing(str(spec), path))
        try:
            return self._on_disk(path)
        except PermissionError as error:
            msg = f"'{error.filename}' may not be read; change its permissions"
            raise InputError(msg) from error

    def _on_disk(self, path: Path) -> tuple[ImageSet, Iterable[Path]]:
        packed, note = packed_below(path)
        if packed:
            root = path.parent if path.is_file() else path
            limit = self.max_megapixels
            images = open_packed(
                root, packed, need_labels=self.need_labels and self.labels is None,
                label_column=None if self.labels else self.label_column, max_megapixels=limit,
            )  # fmt: skip
            return self._labelled(replace(images, notes=(*images.notes, *note))), packed
        if path.is_file():
            raise InputError(hint_for(path))
        images = self._folder(path)
        images = replace(images, notes=(*images.notes, *note))
        return images, [Path(path, key) for key in images.keys]

    def _folder(self, path: Path) -> ImageSet:
        """List the photos of a folder, with labels from a table beside them where it needs one."""
        limit = self.max_megapixels
        if self.labels is not None:
            return self._labelled(open_listed(path, max_megapixels=limit))
        try:
            images = self._class_folders(path)
        except InputError as error:
            if (found := self._beside(path, f"{error}")) is None:
                raise
            return found
        if len(images.classes) > 1 or not len(images):
            return images
        return self._beside(path, "") or images

    def _class_folders(self, path: Path) -> ImageSet:
        if self.label_column is not None:
            raise InputError(
                f"label_column: expected None, as DATA '{path}' is a folder of photos without a "
                f"table, got '{self.label_column}'; give the table, too, with `labels`"
            )
        limit = self.max_megapixels
        return open_folder(path, need_labels=self.need_labels, max_megapixels=limit)

    def _beside(self, path: Path, refused: str) -> ImageSet | None:
        """Return the photos with the labels of the one table beside them that fits, or None."""
        found: list[tuple[str, ImageSet]] = []
        why = ""
        tables: dict[str, Callable[[], LabelTable | None]] = {
            one.name: partial(open_table, one) for one in tables_beside(path)
        }
        tables["a table a part"] = partial(tables_of_parts, path)
        for name, opened in tables.items():
            try:
                if (table := opened()) is None:
                    continue
                listed = open_listed(path, max_megapixels=self.max_megapixels)
                images = with_labels(listed, table, self.label_column)
            except InputError as error:
                why = f"{refused}; '{name}' beside them does not say their labels: {error}"
                continue
            if len(images.classes) > 1 and images.targets.count(NO_LABEL) * 2 < len(images):
                found.append((name, images))
        if len(found) > 1:
            one, other = (name for name, _ in found[:2])
            raise InputError(
                f"folder '{path}' can be read in two ways: '{one}' and '{other}' both have labels "
                "of its photos; give one of them with `labels`"
            )
        if not found and refused and why:
            raise InputError(why)
        return found[0][1] if found else None

    def _labelled(self, images: ImageSet) -> ImageSet:
        if self.labels is None:
            return images
        return with_labels(images, self.labels, self.label_column)


def _missing(spec: str, path: Path) -> str:
    near = name_like(path, "demo")
    guess = f"did you mean '{near}'" if near else "give a folder, a timm data set name or 'demo'"
    return f"no such folder or image set: '{spec}'; {guess}"


def _without(
    images: ImageSet, bad: Mapping[int, str], skip_corrupt: bool, left_out: LeftOut | None
) -> ImageSet:
    """Refuse or leave out the photos that cannot be read; ``bad`` has the reason of each."""
    if not skip_corrupt:
        first = "; ".join(list(bad.values())[:_NAMED])
        more = "" if len(bad) <= _NAMED else f" and {len(bad) - _NAMED} more"
        msg = (
            f"{len(bad)} of {len(images)} photos cannot be used: {first}{more}; "
            "repair what is corrupt, or leave it out with skip_corrupt=True"
        )
        raise InputError(msg)
    if len(bad) == len(images):
        first = next(iter(bad.values()))
        msg = (
            f"none of the {len(images)} photos of '{images.name}' can be used: {first}; repair them"
        )
        raise InputError(msg)
    if left_out is not None:
        for index, reason in bad.items():
            left_out(images.keys[index], reason)
    kept = images.subset([i for i in range(len(images)) if i not in bad])
    return replace(kept, skipped=tuple(images.keys[i] for i in bad))


@dataclass(frozen=True)
class _Several(Generic[_Result]):
    readers: tuple[Callable[[int], _Result], ...]
    starts: tuple[int, ...]

    def __call__(self, index: int) -> _Result:
        at = bisect_right(self.starts, index) - 1
        return self.readers[at](index - self.starts[at])


@dataclass(frozen=True)
class _Readers(_Several[Image.Image]):
    def reduced(self, index: int, side: int) -> Image.Image:
        """Return the photo at a position for a copy of a side in px."""
        at = bisect_right(self.starts, index) - 1
        return read_reduced(self.readers[at], index - self.starts[at], side)


def join_images(sources: Sequence[PrefixedSet]) -> ImageSet:
    """Return the photos of several sets, one set after another, without their classes.

    Args:
        sources: Two or more; no photo is in two of them.
    """
    images = tuple(part for _, part in sources)
    depth = reduce(_deeper, (part.depth for part in images))
    images = tuple(part.with_depth(depth) for part in images)
    count = sum(len(part) for part in images)
    encoded = tuple(part.encoded for part in images if part.encoded is not None)
    return ImageSet(
        name="+".join(part.name for part in images),
        classes=(),
        keys=tuple(f"{prefix}/{key}" for prefix, part in sources for key in part.keys),
        targets=(NO_LABEL,) * count,
        given_split=tuple(given for part in images for given in part.given_split),
        given_group=tuple(given for part in images for given in part.given_group),
        read=_Readers(tuple(part.read for part in images), _starts(images)),
        encoded=_Several(encoded, _starts(images)) if len(encoded) == len(images) else None,
        state=" ".join(part.state for part in images) if all(p.state for p in images) else "",
        skipped=tuple(f"{prefix}/{key}" for prefix, part in sources for key in part.skipped),
        depth=depth,
        notes=tuple(f"{prefix}: {note}" for prefix, part in sources for note in part.notes),
    )


def _deeper(one: Depth | None, other: Depth | None) -> Depth | None:
    return other if one is None else one.joined(other)


def join_splits(sources: Sequence[PrefixedSet], splits: Sequence[Splits]) -> Splits:
    """Return the parts of :func:`join_images`, each set split by itself.

    Args:
        sources: As for :func:`join_images`.
        splits: Of each set.
    """
    starts = _starts(tuple(part for _, part in sources))

    def joined(side: str) -> tuple[int, ...]:
        parts = zip(starts, splits, strict=True)
        return tuple(start + i for start, part in parts for i in getattr(part, side))

    groups = (
        None if group is None else f"{prefix}/{group}"
        for (prefix, _), part in zip(sources, splits, strict=True)
        for group in part.groups
    )
    return Splits(joined("train"), joined("val"), joined("test"), tuple(groups))


def _starts(images: Sequence[ImageSet]) -> tuple[int, ...]:
    return tuple(accumulate((len(part) for part in images), initial=0))[:-1]
