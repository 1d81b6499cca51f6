"""One function that opens an image set from whatever the user named."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from samix.data.collection import ImageSet, Progress
from samix.data.demo import open_demo
from samix.data.folder import open_folder
from samix.data.parquet import open_parquet
from samix.data.timm_names import PREFIXES, open_timm
from samix.data.verification import find_corrupt
from samix.errors import InputError

LeftOut = Callable[[str, str], None]

_NAMED = 3  # how many corrupt photos a message names


def open_images(
    spec: str | Path,
    *,
    need_labels: bool = True,
    skip_corrupt: bool = False,
    root: str | Path | None = None,
    download: bool = False,
    progress: Progress | None = None,
    left_out: LeftOut | None = None,
) -> ImageSet:
    """Open an image set and verify that every photo can be read.

    Args:
        spec: "demo" or "demo:photos_per_class=60,size=64" (a folder of that name is "./demo"); a
            folder of class folders, with or without train, val and test; a folder of parquet files
            (or one such file) in Hugging Face layout; a timm name such as "torch/cifar10" or
            "hfds/owner/name".
        need_labels: Refuse a set without labels or with one class only. Without it a flat folder
            of photos is understood.
        skip_corrupt: Leave corrupt photos out (`ImageSet.skipped` names them), not refuse them.
        root: Folder of the data for timm names.
        download: Let timm names fetch data that is not there yet.
        progress: Called with (done, total) while photos are verified.
        left_out: Called with key and reason of each corrupt photo that is left out.

    Returns:
        The image set.

    Raises:
        InputError: The data cannot be used; the message says why and what to do.
    """
    images, files = _find(spec, need_labels, None if root is None else Path(root), download)
    if files is not None:
        images = _verified(images, files, skip_corrupt, progress, left_out)
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
    spec: str | Path, need_labels: bool, root: Path | None, download: bool
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
            return open_timm(name, root=root, download=download), ()
        raise InputError(_missing(str(spec), path))
    try:
        return _on_disk(path, need_labels)
    except PermissionError as error:
        msg = f"'{error.filename}' may not be read; change its permissions"
        raise InputError(msg) from error


def _on_disk(path: Path, need_labels: bool) -> tuple[ImageSet, Iterable[Path]]:
    if path.is_file():
        if path.suffix != ".parquet":
            msg = f"'{path}' is a file; give the folder that holds the photos"
            raise InputError(msg)
        root, tables = path.parent, [path]
    else:
        root, tables = path, sorted(path.rglob("*.parquet"))
    if tables:
        images = open_parquet(root, tables)
    else:
        images = open_folder(path, need_labels=need_labels)
        tables = [Path(root, key) for key in images.keys]
    return images, tables


def _missing(spec: str, path: Path) -> str:
    """Return the sentence for a path that is not there, with the nearest name beside it."""
    beside = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
    near = difflib.get_close_matches(path.name, [*beside, "demo"], n=1)
    guess = f"did you mean '{near[0]}'" if near else "give a folder, a timm data set name or 'demo'"
    return f"no such folder or image set: '{spec}'; {guess}"


def _verified(
    images: ImageSet,
    files: Iterable[Path],
    skip_corrupt: bool,
    progress: Progress | None,
    left_out: LeftOut | None,
) -> ImageSet:
    """Decode every photo; refuse or leave out the corrupt ones."""
    files = list(files)
    corrupt = find_corrupt(images, files or None, progress=progress)
    if not corrupt:
        return images
    if not skip_corrupt:
        first = "; ".join(list(corrupt.values())[:_NAMED])
        more = "" if len(corrupt) <= _NAMED else f" and {len(corrupt) - _NAMED} more"
        msg = (
            f"{len(corrupt)} of {len(images)} photos are corrupt: {first}{more}; "
            "repair them or leave them out with --skip-corrupt"
        )
        raise InputError(msg)
    if len(corrupt) == len(images):
        msg = f"all {len(images)} photos of '{images.name}' are corrupt; nothing is left to use"
        raise InputError(msg)
    if left_out is not None:
        for index, reason in corrupt.items():
            left_out(images.keys[index], reason)
    kept = images.subset([i for i in range(len(images)) if i not in corrupt])
    return replace(kept, skipped=tuple(images.keys[i] for i in corrupt))
