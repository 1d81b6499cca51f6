"""What a run or a study began with: label, content and part of each photo, as a table of its own.

Photos that were replaced under their names, labels that changed and an edited splits.csv are
noticed by it: where the run goes on, where another one takes its splits, and where its network is
judged.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from samix.data.duplicates.fingerprints import content_hashes
from samix.data.image_set import ImageSet
from samix.data.splits import Splits, read_table, sides_of
from samix.errors import InputError
from samix.files import whole_file
from samix.progress import Progress
from samix.shown import NameWriter

PHOTOS = "photos.csv"
_COLUMNS = ("path", "label", "content", "split")


def write_photos(
    path: str | Path, images: ImageSet, splits: Splits, *, progress: Progress | None = None
) -> None:
    """Write label, hash of the content and part of each photo; the file appears as a whole."""
    with (
        whole_file(path) as partial,
        partial.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file,
    ):
        writer = NameWriter(file)
        writer.writerow(_COLUMNS)
        for (key, row), side in zip(_rows(images, progress).items(), sides_of(splits), strict=True):
            writer.writerow((key, *row, side))


@dataclass(frozen=True)
class Changed:
    """Photos that are not as they were, in sentences without an end; empty where all are."""

    content: str = ""  # of photos whose content is another
    label: str = ""  # of photos whose label is another
    part: str = ""  # of photos that are in another part

    def sentence(self) -> str:
        """Return all, empty where nothing changed."""
        return "; ".join(filter(None, (self.content, self.label, self.part)))


def changed(
    path: str | Path,
    images: ImageSet,
    splits: Splits | None = None,
    *,
    progress: Progress | None = None,
) -> Changed:
    """Compare photos, and where they are given their parts, with a table of :func:`write_photos`.

    Photos that it does not name are passed over, and sets whose photos are not stored one by one
    have no contents. Nothing is known of either, nor where there is no table.
    """
    if not Path(path).is_file():
        return Changed()
    table = {row["path"]: row for row in read_table(Path(path), _COLUMNS)}
    then = {key: (row["label"], row["content"]) for key, row in table.items()}
    now = {key: row for key, row in _rows(images, progress).items() if key in then}
    known = {key: content for key, (_, content) in now.items() if content and then[key][1]}
    others = [key for key, content in known.items() if content != then[key][1]]
    named = [key for key, (label, _) in now.items() if label != then[key][0]]
    content = label = ""
    if others:
        content = f"{len(others)} of {len(images)} photos are others (such as '{others[0]}')"
    if named:
        before, after = then[named[0]][0] or "none", now[named[0]][0] or "none"
        label = (
            f"{len(named)} of {len(images)} photos have other labels (such as '{named[0]}', now "
            f"'{after}', then '{before}')"
        )
    return Changed(content, label, _moved(table, images, splits))


def _moved(table: Mapping[str, Mapping[str, str]], images: ImageSet, splits: Splits | None) -> str:
    sides = zip(images.keys, sides_of(splits), strict=True) if splits else ()
    moved = [(key, side) for key, side in sides if key in table and table[key]["split"] != side]
    if not moved:
        return ""
    key, side = moved[0]
    return (
        f"{len(moved)} of {len(images)} photos are in another part (such as '{key}', now '{side}', "
        f"then '{table[key]['split']}')"
    )


def check_photos(
    path: str | Path,
    images: ImageSet,
    splits: Splits,
    name: str,
    *,
    progress: Progress | None = None,
) -> None:
    """Raise an InputError where photos have another content, label or part than at the beginning.

    Args:
        path: The table that it wrote.
        images: The photos as they are now.
        splits: Their parts as they are now.
        name: What is going on, for the message.
        progress: Called with (done, total) while photos are read.
    """
    found = changed(path, images, splits, progress=progress)
    if what := found.sentence():
        kinds = {"photos": found.content, "labels": found.label, "splits.csv": found.part}
        raise InputError(
            f"{name} cannot go on: {what} than when it began; give the "
            f"{' and '.join(kind for kind, told in kinds.items() if told)} of then, or begin anew "
            "with another `output`"
        )


def then_notes(splits: str | Path, images: ImageSet) -> tuple[str, ...]:
    """Return what to tell where photos are not as they were when a run's splits were made."""
    what = changed(Path(splits).parent / PHOTOS, images).sentence()
    return (f"{what} than when '{splits}' was written.",) if what else ()


def contents_in(folder: Path) -> dict[str, str]:
    """Return the hash of each photo in the table of a run's folder, by its path; none without."""
    if not (path := folder / PHOTOS).is_file():
        return {}
    return {row["path"]: row["content"] for row in read_table(path, ("path", "content"))}


def _rows(images: ImageSet, progress: Progress | None) -> dict[str, tuple[str, str]]:
    names = (*images.classes, "")  # -1 has no label
    contents = content_hashes(images, progress=progress) or [""] * len(images)
    return {
        key: (names[target], content)
        for key, target, content in zip(images.keys, images.targets, contents, strict=True)
    }
