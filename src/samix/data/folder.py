"""Image sets from photos in folders.

`open_folder` reads class folders, with or without train, val and test above them; `open_unsorted`
takes photos that nobody has sorted: a folder of any depth, or single files.
"""

from __future__ import annotations

import difflib
import os
import posixpath
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from samix.data.image_set import (
    NO_LABEL,
    ImageSet,
    SplitName,
    class_numbers,
    in_order,
    names_part,
    split_of,
)
from samix.data.kinds import is_made, is_photo, missed, missed_words
from samix.data.reader import PhotoReader
from samix.data.reading import check_limit, decode
from samix.errors import InputError
from samix.files import MAX_MEGAPIXELS

# Folders of boxes beside photos (YOLO, COCO, VOC), and what the folder of those photos is called.
_MASK = re.compile(r"(.+)[ _.-](?:mask|gt|ground_?truth|seg|segmentation|annotation)$", re.I)
_BOXES = frozenset(("labels", "annotations"))
_MASKS = frozenset(
    (
        *("mask", "masks", "label", "labels", "gt", "groundtruth", "annotation", "annotations"),
        *("seg", "segs", "segmentation", "segmentations", "segmentationclass", "target", "targets"),
        *("segmentationobject", "maps"),
    )
)
_PICTURES = frozenset(
    (
        *("image", "images", "img", "imgs", "photo", "photos", "picture", "pictures", "input"),
        *("inputs", "jpegimages", "rgb", "original", "originals", "train", "test", "val"),
    )
)
_TRANSLATED = re.compile(r"(train|val|test)_?([A-Z])")
_DEFECT = 128  # value of a mask from which on a pixel is defect, where there are such values
_PHOTOS = frozenset(("images", "jpegimages", "imgs", "img", "imagesets"))
# Names of classes that say what was found; several products have them each.
_VERDICTS = frozenset(("ok", "ng", "good", "bad", "normal", "defect", "defective", "pass", "fail"))


@dataclass(frozen=True)
class FilePaths:
    """Paths of photos by position: below a root folder, or of any place where it is empty."""

    root: str
    keys: tuple[str, ...]

    def __call__(self, index: int) -> str:
        """Return the path of the photo at a position."""
        return os.path.join(self.root, self.keys[index])


@dataclass(frozen=True)
class MaskReader:
    """Reads defect masks from a tree that runs beside the photos: masks/<class>/<name>.png.

    A pixel is defect from 128 of 255 on in its brightest channel. In a mask without such a pixel,
    such as one of the numbers 0 and 1 or of kinds of defects, each pixel above 0 is.
    """

    root: str
    paths: tuple[str | None, ...]
    max_megapixels: int = MAX_MEGAPIXELS

    def __call__(self, index: int) -> Image.Image | None:
        """Return the defect pixels (255, others 0), or None where there is no mask file."""
        path = self.paths[index]
        if path is None:
            return None
        whole = os.path.join(self.root, path)
        values = np.asarray(decode(whole, path, max_megapixels=self.max_megapixels)).max(2)
        least = _DEFECT if values.max() >= _DEFECT else 1
        return Image.fromarray(np.where(values >= least, 255, 0).astype(np.uint8))


@dataclass(frozen=True)
class _Found:
    """One photo of the folder before its class has a number."""

    key: str
    label: str | None
    split: SplitName | None


def open_folder(
    root: Path, *, need_labels: bool = True, max_megapixels: int = MAX_MEGAPIXELS
) -> ImageSet:
    """List the photos of a folder in natural order, without opening them.

    Understood are `class/photo`, `train/class/photo` (with `val`, `valid` or `validation`, and
    `test`), `class/train/photo`, and any of them under `images/` beside `masks/`. Photos may lie
    deeper inside a class folder. Hidden files and files that are no images are passed over. Without
    labels a flat folder of photos is understood too.
    """
    masked = has_mask_tree(root)
    prefix, notes = ("images", ()) if masked else _start(root)
    if _is_of_boxes(root, need_labels):
        return open_listed(root, max_megapixels=max_megapixels)
    top = root / prefix
    names = _folders(top)
    others: Counter[str] = Counter()
    splits = _split_folders(top, names)
    for inner in [top / name for name in splits] or [top]:
        below = _folders(inner)
        _check_masks(inner, below)
        notes = (*notes, *_check_reading(inner, below, need_labels))
    notes = tuple(dict.fromkeys(notes))
    if splits:
        found = [
            f
            for n in names
            for f in _level(root, posixpath.join(prefix, n), splits[n], need_labels, others)
        ]
    else:
        found = _level(root, prefix, None, need_labels, others)
        found, told = _parts_inside(root, prefix, found, need_labels)
        notes = (*notes, *told)
    if not found:
        raise InputError(_empty(root, others))
    return _set_of(root, found, others, notes, masked, max_megapixels)


def open_listed(root: Path, *, max_megapixels: int = MAX_MEGAPIXELS) -> ImageSet:
    """List the photos below a folder without labels, whatever its folders are called.

    Photos below folders such as `train` and `val` are in these parts. Masks in `masks/` beside
    `images/` are no photos.
    """
    masked = has_mask_tree(root)
    top = root / "images" if masked else root
    others: Counter[str] = Counter()
    keys = [
        path.relative_to(root).as_posix()
        for path in map(top.joinpath, photos_below(top, others=others))
    ]
    if not keys:
        raise InputError(_empty(root, others))
    found = [_Found(key, None, _split_above(key)) for key in in_order(keys)]
    if not any(f.split == "train" for f in found):
        found = [_Found(f.key, None, None) for f in found]
    return _set_of(root, found, others, (), masked, max_megapixels)


def _split_above(key: str) -> SplitName | None:
    """Return the part that the folders above a photo name, the nearest one first."""
    above = reversed(key.split("/")[:-1])
    return next((split for name in above if (split := split_of(name)) is not None), None)


def _parts_inside(
    root: Path, prefix: str, found: list[_Found], need_labels: bool
) -> tuple[list[_Found], tuple[str, ...]]:
    """Put photos into the parts that folders inside their class folders name, and say so.

    Where only some photos lie in such folders, or none in train, this is refused with labels if it
    looks like a division, and told otherwise.
    """
    below = [f.key.removeprefix(posixpath.join(prefix, f.label or "")) for f in found]
    inside = [_split_above(path) for path in below]
    counts = Counter(filter(None, inside))
    if counts.keys() <= {"train"}:  # all photos, or some of a class such as "rail"
        return found, ()
    at = next(i for i, split in enumerate(inside) if split in ("val", "test"))
    such = f"the folders inside the classes, such as '{posixpath.dirname(found[at].key)}'"
    if None not in inside and "train" in counts:
        parted = [replace(f, split=split) for f, split in zip(found, inside, strict=True)]
        return parted, (f"The photos are divided into {', '.join(counts)} by {such}.",)
    why = f"'{found[inside.index(None)].key}' is in none" if None in inside else "none is train"
    if need_labels and len(counts) > 1:
        raise InputError(
            f"folder '{root}' can be read in two ways: {such}, are parts ({', '.join(counts)}), "
            f"but {why}; put all photos of each class into train, val or test, or rename the "
            "folders"
        )
    return found, (f"Not used as parts are {such}, as {why}.",)


def _empty(root: Path, others: Counter[str]) -> str:
    why = f"; {missed_words(others)}" if others else ""
    return f"folder '{root}' holds no image{why}; put photos into it, such as .png or .jpg"


def _set_of(
    root: Path,
    found: Sequence[_Found],
    others: Counter[str],
    notes: Sequence[str],
    masked: bool,
    max_megapixels: int,
) -> ImageSet:
    found, told = _without_masks(found)
    missed = (f"{missed_words(others)}.",) if others else ()
    classes, targets = class_numbers([f.label for f in found])
    keys = tuple(f.key for f in found)
    reader = PhotoReader(FilePaths(str(root), keys), keys, max_megapixels)
    return ImageSet(
        name=root.resolve().name,
        classes=classes,
        keys=keys,
        targets=targets,
        given_split=tuple(f.split for f in found),
        given_group=(None,) * len(found),
        read=reader,
        encoded=reader.encoded,
        read_mask=_masks(root, keys, max_megapixels) if masked else None,
        notes=(*notes, *told, *missed),
    )


def _without_masks(found: Sequence[_Found]) -> tuple[Sequence[_Found], tuple[str, ...]]:
    """Leave out masks that lie beside their photos, such as `1_mask.png` beside `1.png`."""
    stems = {posixpath.splitext(f.key)[0] for f in found}
    masks = [
        f.key
        for f in found
        if (match := _MASK.search(posixpath.splitext(f.key)[0])) and match[1] in stems
    ]
    if not masks:
        return found, ()
    out = set(masks)
    told = f"{len(masks):,} masks beside their photos are no photos, such as '{masks[0]}'."
    return [f for f in found if f.key not in out], (told,)


def open_unsorted(words: Sequence[str], *, max_megapixels: int = MAX_MEGAPIXELS) -> ImageSet:
    """List photos that are files without labels, without opening them.

    A folder is searched at any depth, in natural order of the paths; its subfolders mean nothing.
    Hidden files and files that are no images are passed over, and so are the masks in `masks/`
    beside `images/`. A file is taken whatever its name ends with, and one that comes again once.
    The key of each is the path that leads to it from here.
    """
    check_limit(max_megapixels)
    if not words:
        raise InputError("no photos were given; name a folder of photos, or files")
    others: Counter[str] = Counter()
    files = tuple(dict.fromkeys(file for word in words for file in _files_of(word, others)))
    return ImageSet(
        name=_set_name(Path(words[0]).resolve()) if len(words) == 1 else "photos",
        classes=(),
        keys=files,
        targets=(NO_LABEL,) * len(files),
        given_split=(None,) * len(files),
        given_group=(None,) * len(files),
        read=PhotoReader(FilePaths("", files), files, max_megapixels),
        notes=(f"{missed_words(others)}.",) if others else (),
    )


def _folders(top: Path) -> list[str]:
    """Return the folders in one folder, without those that are made or lead back up."""
    here = os.path.realpath(top)
    entries = (e for e in os.scandir(top) if e.is_dir() and not is_made(e.name))
    return in_order(e.name for e in entries if not _leads_up(e.path, here))


def _photos_here(top: Path) -> list[str]:
    return in_order(e.name for e in os.scandir(top) if e.is_file() and is_photo(e.name))


def _leads_up(path: str, here: str) -> bool:
    """Say whether a folder is a link to the folder that it is in, or to one above."""
    real = os.path.realpath(path)
    return os.path.islink(path) and f"{here}{os.sep}".startswith(real.rstrip(os.sep) + os.sep)


def photos_below(
    top: Path,
    *,
    on_error: Callable[[OSError], None] | None = None,
    others: Counter[str] | None = None,
) -> Iterator[str]:
    """Yield the paths of all photos below one folder, relative to it, following links once.

    ``on_error`` is called with what is wrong with a folder that cannot be listed. Files that may be
    photos but are not read are counted in ``others``, by suffix.
    """
    seen: set[str] = set()
    for folder, inner, files in os.walk(top, followlinks=True, onerror=on_error):
        real = os.path.realpath(folder)
        if real in seen:
            inner.clear()
            continue
        seen.add(real)
        inner[:] = [
            name for name in inner
            if not is_made(name) and not _leads_up(os.path.join(folder, name), real)
        ]  # fmt: skip
        here = Path(folder).relative_to(top).as_posix()
        for name in files:
            if is_photo(name):
                yield name if here == "." else f"{here}/{name}"
            elif others is not None and (suffix := missed(name)) is not None:
                others[suffix] += 1


def has_mask_tree(root: Path) -> bool:
    """Say whether the folder is `images/` beside `masks/`, the common layout of defect photos."""
    return _folders(root) == ["images", "masks"] and not _photos_here(root)


def _start(root: Path) -> tuple[str, tuple[str, ...]]:
    """Return the folder below the root that the classes are in, and a note if it is not itself."""
    names = _folders(root)
    if len(names) != 1 or _photos_here(root) or split_of(names[0]) is not None:
        return "", ()
    inner = root / names[0]
    if len(_folders(inner)) < 2 or _photos_here(inner):
        return "", ()
    return names[0], (f"The classes are the folders of '{names[0]}', the only folder there is.",)


def _is_of_boxes(root: Path, need_labels: bool) -> bool:
    """Say whether a folder is a tree of boxes, whose photos have no class."""
    names = _folders(root)
    box = _box_among(root, names)
    inner = {name: _folders(root / name) for name in names if split_of(name) is not None}
    if box is None:
        found = (_box_among(root / name, within) for name, within in inner.items())
        box = next((name for name in found if name is not None), None)
    if box is not None and need_labels:
        raise InputError(
            f"folder '{root}' holds '{box}' beside photos, the layout of boxes (YOLO, COCO, VOC), "
            "which say where things are and not what a photo shows; put the photos into one folder "
            "a class, or name their classes in a table with `labels`"
        )
    return box is not None


def _box_among(top: Path, names: Sequence[str]) -> str | None:
    """Return the folder of boxes beside folders of photos, or None where there is none."""
    boxes = [name for name in names if name.lower() in _BOXES]
    others = [name for name in names if name not in boxes]
    if not boxes or not others or next(photos_below(top / boxes[0]), None) is not None:
        return None
    photos = all(name.lower() in _PHOTOS or split_of(name) is not None for name in others)
    return boxes[0] if photos else None


def _check_reading(top: Path, names: Sequence[str], need_labels: bool) -> tuple[str, ...]:
    """Look at folders whose classes may be on this level or on the next.

    A sentence is returned where this level is taken, though each folder holds the same folders.
    Refused with labels, and told without, is a level whose next one says what was found, such as
    good and bad, and one that only counts, as folds, lots and days do, or names parts, as crops of
    train and test do.
    """
    inner = [set(_folders(top / name)) for name in names]
    if len(names) < 2 or min(map(len, inner)) < 2 or any(_photos_here(top / n) for n in names):
        return ()
    shared = set.intersection(*inner)  # products may have defects of their own beside "good"
    found_inside = _VERDICTS & {name.lower() for name in shared}
    if not found_inside and any(one != shared for one in inner):
        return ()
    outer, within = ", ".join(names[:3]), ", ".join(in_order(set().union(*inner))[:3])
    found_here = _VERDICTS & {name.lower() for name in names}
    if found_inside or ((_is_counted(names) or all(map(names_part, names))) and not found_here):
        why = (
            f"folder '{top}' can be read in two ways: the classes are {outer}, or {within}, which "
            f"these hold; give one of them ('{top / names[0]}'), or have one folder a "
            "class"
        )
        if need_labels:
            raise InputError(why)
        return (f"To train, {why}; here they are {outer}.",)
    if found_here or _is_counted(sorted(inner[0])) or all(map(split_of, inner[0])):
        return ()
    return (
        f"The classes are {outer}, each of which holds the folders {within}; if these are the "
        f"classes, give one of the outer folders ('{top / names[0]}').",
    )


def _is_counted(names: Sequence[str]) -> bool:
    """Say whether names differ in their numbers alone, as those of folds, lots and days do."""
    return len({re.sub(r"\d+", "#", name) for name in names}) == 1 and any(
        any(letter.isdigit() for letter in name) for name in names
    )


def _check_masks(top: Path, names: Sequence[str]) -> None:
    """Refuse folders of photos beside folders of their masks, which are no classes."""
    plain = {name: re.sub(r"[^a-z]", "", name.lower()) for name in names}
    masks = [n for n in names if plain[n] in _MASKS or plain[n].endswith(("mask", "masks"))]
    photos = [n for n in names if n not in masks]
    if not masks or not photos or any(map(_folders, (top / n for n in names))):
        return
    stems = {n: {posixpath.splitext(one)[0] for one in _photos_here(top / n)} for n in names}
    known = set().union(*(stems[name] for name in photos))
    paired = {s for n in masks for s in stems[n] if s in known or _mask_of(s) in known}
    named = all(plain[n] in _PICTURES or f"{n}_mask" in masks or f"{n}_masks" in masks
                for n in photos)  # fmt: skip
    if named and 2 * len(paired) > len(known):
        raise InputError(
            f"folder '{top}' holds '{masks[0]}' beside '{photos[0]}' with photos of the same "
            f"names, which are masks and no class; give '{top / photos[0]}', with the photos in "
            "one folder a class, or name their classes in a table with `labels`"
        )


def _mask_of(stem: str) -> str | None:
    match = _MASK.search(stem)
    return match[1] if match else None


def _split_folders(top: Path, names: list[str]) -> dict[str, SplitName]:
    """Return the split of each folder where the folders are splits, or nothing."""
    splits = {name: split for name in names if (split := split_of(name)) is not None}
    _check_parts(top, names, splits)
    if "train" not in splits.values():
        return {}
    others = [name for name in names if name not in splits]
    if not others:
        return splits
    train = next(name for name, split in splits.items() if split == "train")
    if not _folders(top / train):
        return {}  # a class that happens to be called "train"
    msg = (
        f"folder '{top}' holds split folders ({', '.join(splits)}) beside others "
        f"({', '.join(others[:3])}); keep only train, val and test on that level"
    )
    raise InputError(msg)


def _check_parts(top: Path, names: Sequence[str], splits: Mapping[str, SplitName]) -> None:
    """Refuse folders that are all called as parts are, and give no train part with classes."""
    listed = ", ".join(names[:4])
    if len(names) > 1 and len(splits) == len(names) and "train" not in splits.values():
        raise InputError(
            f"folder '{top}' holds {listed} and no train part; add a folder 'train' beside them, "
            "or give one of them"
        )
    pairs = [_TRANSLATED.fullmatch(name) for name in names]
    if len(names) > 1 and all(pairs):
        raise InputError(
            f"folder '{top}' holds {listed}, sets of photos to be translated into each other; for "
            f"classes sort them into {', '.join(f'{m[1]}/{m[2]}' for m in pairs[:4] if m)}"
        )


def _level(
    root: Path, prefix: str, split: SplitName | None, need_labels: bool, others: Counter[str]
) -> list[_Found]:
    """List one level of class folders, or one flat folder where labels are not needed."""
    top = root / prefix
    names, loose = _folders(top), _photos_here(top)
    others.update(filter(None, (missed(e.name) for e in os.scandir(top) if e.is_file())))
    if not names and loose and not need_labels:
        return [_Found(posixpath.join(prefix, name), None, split) for name in loose]
    if loose:
        remedy = (
            "move them into class folders, one folder a class, or name their classes in a table "
            "with `labels`"
        )
        beside = " beside the class folders" if names else " and no class folder"
        msg = f"folder '{top}' holds {len(loose)} loose images{beside} ('{loose[0]}'); {remedy}"
        raise InputError(msg)
    found: list[_Found] = []
    for name in names:
        paths = in_order(photos_below(top / name, others=others))
        if not paths:
            here: Counter[str] = Counter()
            list(photos_below(top / name, others=here))
            why = f", but {missed_words(here)}; save them as PNG or JPEG" if here else ""
            msg = f"class folder '{top / name}' holds no image{why or '; fill it or remove it'}"
            raise InputError(msg)
        found += [_Found(posixpath.join(prefix, name, path), name, split) for path in paths]
    return found


def _masks(root: Path, keys: tuple[str, ...], max_megapixels: int) -> MaskReader:
    """Pair each photo `images/a/b.jpg` with the mask `masks/a/b.*` where there is one."""
    stems = {os.path.splitext(path)[0]: f"masks/{path}" for path in photos_below(root / "masks")}
    paths = tuple(stems.get(os.path.splitext(key.removeprefix("images/"))[0]) for key in keys)
    return MaskReader(str(root), paths, max_megapixels)


def _set_name(path: Path) -> str:
    return path.name if path.is_dir() else path.stem


def _files_of(word: str, others: Counter[str]) -> list[str]:
    path = Path(word).expanduser()
    if not word or not path.exists():
        near = name_like(path)
        hint = f"; did you mean '{path.parent / near}'?" if near else ""
        raise InputError(f"there is no photo or folder '{word}'{hint}")
    if not path.is_dir():
        return [os.path.normpath(path)]
    try:
        top = path / "images" if has_mask_tree(path) else path
        found = in_order(photos_below(top, on_error=_refuse, others=others))
    except PermissionError as error:
        raise InputError(f"'{error.filename}' may not be read; change its permissions") from error
    if not found:
        raise InputError(_empty(path, others))
    return [os.path.normpath(top / name) for name in found]


def _refuse(error: OSError) -> None:
    """Do not pass over a folder that cannot be listed: its photos would be missing silently."""
    raise error


def name_like(path: Path, *more: str) -> str | None:
    """Return the name beside a path that is not there which it resembles, or one of some more."""
    beside = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
    near = difflib.get_close_matches(path.name, [*beside, *more], n=1)
    return near[0] if near else None
