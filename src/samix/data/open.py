"""`open_images` opens an image set from whatever the user named; `join_images` joins several."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from itertools import accumulate
from pathlib import Path

from PIL import Image

from samix.data.demo import open_demo
from samix.data.depth import Depth
from samix.data.folder import name_like, open_folder, photos_below
from samix.data.image_set import NO_LABEL, ImageSet, ReadPhoto, read_reduced
from samix.data.kinds import is_made
from samix.data.parquet import open_parquet
from samix.data.reading import check_limit, too_deep, verify
from samix.data.splits import Splits
from samix.data.timm_names import PREFIXES, open_timm
from samix.errors import InputError
from samix.files import MAX_MEGAPIXELS
from samix.progress import Progress

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
) -> ImageSet:
    """Open an image set and verify that every photo can be read.

    Args:
        spec: "demo" or "demo:photos_per_class=60,size=64" (a folder of that name is "./demo"); a
            folder of class folders, with or without train, val and test; a folder of parquet files
            (or one such file) in Hugging Face layout; a timm name such as "torch/cifar10" or
            "hfds/owner/name".
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

    Returns:
        The image set.

    Raises:
        InputError: The data cannot be used; the message says why and what to do.
    """
    check_limit(max_megapixels)
    folder = None if root is None else Path(root)
    images, files = _find(spec, need_labels, folder, download, max_megapixels)
    if files is not None:
        files = list(files)
        limit = max_megapixels
        found = verify(images, files or None, max_megapixels=limit, progress=progress)
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
        InputError: There are no labels, or only one class.
    """
    if not images.classes:
        msg = f"image set '{images.name}' has no labels; put the photos into one folder a class"
        raise InputError(msg)
    if len(images.classes) == 1:
        msg = (
            f"image set '{images.name}' has only one class ('{images.classes[0]}'); "
            "add photos of at least one other class"
        )
        raise InputError(msg)


def _find(
    spec: str | Path, need_labels: bool, root: Path | None, download: bool, max_megapixels: int
) -> tuple[ImageSet, Iterable[Path] | None]:
    """Return the unverified set and the files behind it, or None where nothing can be corrupt."""
    name = "" if isinstance(spec, Path) else spec.strip()
    if name == "demo" or name.startswith("demo:"):
        return open_demo(name), None
    if not name and isinstance(spec, str):
        msg = "the name of the image set is empty; give a folder, a timm data set name or 'demo'"
        raise InputError(msg)
    path = Path(spec).expanduser()
    if not path.exists():
        if name.partition("/")[0] in PREFIXES:
            limit = max_megapixels
            return open_timm(name, root=root, download=download, max_megapixels=limit), ()
        raise InputError(_missing(str(spec), path))
    try:
        return _on_disk(path, need_labels, max_megapixels)
    except PermissionError as error:
        msg = f"'{error.filename}' may not be read; change its permissions"
        raise InputError(msg) from error


def _on_disk(path: Path, need_labels: bool, max_megapixels: int) -> tuple[ImageSet, Iterable[Path]]:
    if path.is_file():
        if path.suffix != ".parquet":
            msg = f"'{path}' is a file; give the folder that holds the photos"
            raise InputError(msg)
        root, tables = path.parent, [path]
    else:
        root, tables = path, visible_tables(path)
        if tables and next(photos_below(path), None) is not None:
            tables = []  # a table beside photos, such as one of their labels
    if tables:
        images = open_parquet(root, tables, max_megapixels=max_megapixels)
    else:
        images = open_folder(path, need_labels=need_labels, max_megapixels=max_megapixels)
        tables = [Path(root, key) for key in images.keys]
    return images, tables


def visible_tables(path: Path) -> list[Path]:
    """Return the parquet files below a folder, without hidden ones."""
    found = (file for file in path.rglob("*.parquet") if file.is_file())
    return sorted(f for f in found if not any(map(is_made, f.relative_to(path).parts)))


def _missing(spec: str, path: Path) -> str:
    """Return the sentence for a path that is not there, with the nearest name beside it."""
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
            "repair what is corrupt, or leave it out with --skip-corrupt"
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
class _Readers:
    """Reads photos of several sets by position."""

    readers: tuple[ReadPhoto, ...]
    starts: tuple[int, ...]

    def __call__(self, index: int) -> Image.Image:
        """Return the photo at a position."""
        at = bisect_right(self.starts, index) - 1
        return self.readers[at](index - self.starts[at])

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
    return ImageSet(
        name="+".join(part.name for part in images),
        classes=(),
        keys=tuple(f"{prefix}/{key}" for prefix, part in sources for key in part.keys),
        targets=(NO_LABEL,) * count,
        given_split=tuple(given for part in images for given in part.given_split),
        given_group=tuple(given for part in images for given in part.given_group),
        read=_Readers(tuple(part.read for part in images), _starts(images)),
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
