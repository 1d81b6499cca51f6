"""The photos of a run that are explained, and those that they are compared with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from samix.data import ImageSet, open_images
from samix.data.image_set import NO_LABEL, Progress
from samix.data.reading import threaded
from samix.data.splits import read_table
from samix.data.views import squeeze
from samix.errors import InputError
from samix.training.warm_start import Source, data_of, joined, open_sources

from .subject import Subject

PARTS = ("train", "val", "test")
_BATCH = 128


@dataclass(frozen=True)
class RunPhotos:
    """Photos by position, in the parts of a run.

    Attributes:
        images: All photos of the data.
        classes: Class names: those of the run's classifier, or of the data; empty without labels.
        targets: One position in ``classes`` a photo; -1 where there is no label.
        parts: Positions of the photos of "train", "val" and "test", ascending.
        size: Side in px that photos are looked at in.
        notes: Sentences for the user.
    """

    images: ImageSet
    classes: tuple[str, ...]
    targets: tuple[int, ...]
    parts: Mapping[str, tuple[int, ...]]
    size: int
    notes: tuple[str, ...]

    def load(self, positions: Sequence[int]) -> Tensor:
        """Return the (B,3,S,S) photos at some positions, in [0, 1]."""
        if not len(positions):
            return torch.empty(0, 3, self.size, self.size)
        read = threaded(lambda at: self._photo(positions[at]), len(positions), None)
        return torch.stack(list(read)).float() / 255

    def batches(self, positions: Sequence[int]) -> Iterator[Tensor]:
        """Yield the photos at some positions in batches."""
        for start in range(0, len(positions), _BATCH):
            yield self.load(positions[start : start + _BATCH])

    def target(self, positions: Sequence[int]) -> Tensor:
        """Return the (B,) int64 classes of some photos."""
        return torch.tensor([self.targets[i] for i in positions], dtype=torch.int64)

    def defect(self, position: int) -> Tensor | None:
        """Return the (1,S,S) share of defect in each pixel; None where no defect is marked."""
        found = None if self.images.read_mask is None else self.images.read_mask(position)
        if found is None:
            return None
        small = found.convert("L").resize((self.size, self.size), Image.Resampling.BOX)
        mask = torch.from_numpy(np.array(small)).float().unsqueeze(0) / 255
        return mask if bool((mask > 0).any()) else None

    def name(self, position: int) -> str:
        """Return the class name of a photo, empty where there is none."""
        target = self.targets[position]
        return self.classes[target] if target >= 0 else ""

    def _photo(self, position: int) -> Tensor:
        return squeeze(self.images.read_for(position, self.size), self.size)


def open_photos(
    subject: Subject,
    source: Source,
    *,
    data: str | None = None,
    root: str | None = None,
    download: bool = False,
    skip_corrupt: bool = False,
    max_megapixels: int | None = None,
    progress: Progress | None = None,
) -> RunPhotos:
    """Open the photos of a run, each in the part that the run had it in.

    Args:
        subject: The network.
        source: The run.
        data: Where its photos are now; None takes what the run's config.yaml says.
        root: Folder of the data for timm names; None takes that of the run.
        download: Let timm names fetch data.
        skip_corrupt: Leave out photos that cannot be read.
        max_megapixels: Photos of more million pixels are not read; None takes that of the run.
        progress: Called with (done, total) while photos are verified.

    Raises:
        InputError: The data is not there, is not that of the run, or has other classes.
    """
    config = source.config
    limit = config.max_megapixels if max_megapixels is None else max_megapixels
    if data is None:
        images = _own_images(source, skip_corrupt or config.skip_corrupt, limit, progress)
    elif len(data_of(config)) > 1:
        raise InputError(
            f"the run '{source.run.path}' learned from {len(data_of(config))} sets of photos, "
            "which --data cannot name; leave --data out"
        )
    else:
        images = open_images(
            data,
            need_labels=bool(subject.classes),
            skip_corrupt=skip_corrupt,
            max_megapixels=limit,
            root=root or config.data_root,
            download=download,
            progress=progress,
        )
    classes, targets = _classes(subject, images)
    parts, notes = _parts(source.run.splits, images, targets, labelled=bool(subject.classes))
    if images.skipped:
        notes = (*notes, f"{len(images.skipped)} photos that cannot be read are left out.")
    return RunPhotos(images, classes, targets, parts, subject.image_size, notes)


def _own_images(
    source: Source, skip_corrupt: bool, max_megapixels: int, progress: Progress | None
) -> ImageSet:
    """Open what the run learned from, or say that it has moved."""
    moved = [
        data for data in data_of(source.config) if Path(data).is_absolute() and not _there(data)
    ]
    if moved:
        raise InputError(
            f"the photos of the run are no longer at '{moved[0]}'; say where they are with --data"
        )
    config = replace(source.config, skip_corrupt=skip_corrupt, max_megapixels=max_megapixels)
    return joined(open_sources(config, progress=progress))


def _there(data: str) -> bool:
    return Path(data).exists()


def _classes(subject: Subject, images: ImageSet) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Return class names in the order of the network's logits, and targets among them.

    Raises:
        InputError: The data has a class that the network does not know.
    """
    if not subject.classes:
        return images.classes, images.targets
    unknown = [name for name in images.classes if name not in subject.classes]
    if unknown:
        raise InputError(
            f"'{images.name}' has the class '{unknown[0]}', which the run does not know (it knows "
            f"{', '.join(subject.classes)}); give the photos of the run"
        )
    place = [subject.classes.index(name) for name in images.classes]
    return subject.classes, tuple(NO_LABEL if t < 0 else place[t] for t in images.targets)


def _parts(
    path: Path, images: ImageSet, targets: Sequence[int], *, labelled: bool
) -> tuple[dict[str, tuple[int, ...]], tuple[str, ...]]:
    """Return the run's parts among the photos that are there, and what is to be told.

    Raises:
        InputError: None of the run's photos is there.
    """
    side_of = {row["path"]: row["split"] for row in read_table(path, ("path", "split"))}
    here = [i for i, key in enumerate(images.keys) if key in side_of]
    if not here:
        raise InputError(
            f"'{images.name}' has none of the photos of the run (such as "
            f"'{next(iter(side_of), '')}'); give the photos that the run learned from with --data"
        )
    parts = {
        side: tuple(
            i for i in here if side_of[images.keys[i]] == side and (targets[i] >= 0 or not labelled)
        )
        for side in PARTS
    }
    notes = []
    gone, new = len(side_of) - len(here), len(images) - len(here)
    if gone:
        notes.append(f"{gone} of the run's {len(side_of)} photos are not in the data any more.")
    if new:
        notes.append(f"{new} photos that the run did not have are left out.")
    return parts, tuple(notes)
