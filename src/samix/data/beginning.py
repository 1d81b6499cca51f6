"""What a run or a study began with: label and content of each photo, as a table beside its splits.

Photos that were replaced under their names, and labels that changed, are noticed by it: where the
run goes on, where another one takes its splits, and where its network is judged.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from samix.data.duplicates.fingerprints import content_hashes
from samix.data.image_set import ImageSet
from samix.data.splits import read_table
from samix.errors import InputError
from samix.files import whole_file
from samix.progress import Progress
from samix.shown import NameWriter

PHOTOS = "photos.csv"
_COLUMNS = ("path", "label", "content")


def write_photos(path: str | Path, images: ImageSet, *, progress: Progress | None = None) -> None:
    """Write label and hash of the content of each photo; the file appears as a whole."""
    with (
        whole_file(path) as partial,
        partial.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file,
    ):
        writer = NameWriter(file)
        writer.writerow(_COLUMNS)
        for key, row in _rows(images, progress).items():
            writer.writerow((key, *row))


@dataclass(frozen=True)
class Changed:
    """Photos that are not as they were, in sentences without an end; empty where all are."""

    content: str = ""  # of photos whose content is another
    label: str = ""  # of photos whose label is another

    def sentence(self) -> str:
        """Return both, empty where nothing changed."""
        return "; ".join(filter(None, (self.content, self.label)))


def changed(path: str | Path, images: ImageSet, *, progress: Progress | None = None) -> Changed:
    """Compare photos with those of a table that :func:`write_photos` wrote.

    Photos that it does not name are passed over. Earlier versions wrote no such table, and sets
    whose photos are not stored one by one have no contents: nothing is known of them.
    """
    if not Path(path).is_file():
        return Changed()
    then = {row["path"]: (row["label"], row["content"]) for row in read_table(Path(path), _COLUMNS)}
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
    return Changed(content, label)


def check_photos(
    path: str | Path, images: ImageSet, name: str, *, progress: Progress | None = None
) -> None:
    """Raise an InputError where photos have another content or label than when a run began.

    Args:
        path: The table that it wrote.
        images: The photos as they are now.
        name: What is going on, for the message.
        progress: Called with (done, total) while photos are read.
    """
    found = changed(path, images, progress=progress)
    if what := found.sentence():
        parts = ("photos" if found.content else "", "labels" if found.label else "")
        raise InputError(
            f"{name} cannot go on: {what} than when it began; give the "
            f"{' and '.join(filter(None, parts))} of then, or begin anew with another `output`"
        )


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
