"""Image sets by their timm name, such as "torch/cifar10" or "hfds/owner/name"."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

from PIL import Image

from samix.data.depth import Depth
from samix.data.image_set import NO_LABEL, ImageSet, SplitName, split_of
from samix.data.reader import PhotoReader
from samix.data.reading import to_rgb
from samix.errors import InputError, nearest
from samix.files import MAX_MEGAPIXELS

PREFIXES = ("torch", "hfds", "hfids", "tfds", "wds")
_STREAMS = ("hfids", "tfds", "wds")
_NO_SCRIPTS = 4  # the version of datasets from which on sets cannot bring programs
# The splits that torchvision has, under the word that timm asks for them with.
_TORCH_SPLITS: dict[str, dict[str, SplitName]] = {
    "cifar10": {"train": "train", "test": "test"},
    "cifar100": {"train": "train", "test": "test"},
    "mnist": {"train": "train", "test": "test"},
    "kmnist": {"train": "train", "test": "test"},
    "fashion_mnist": {"train": "train", "test": "test"},
    "qmnist": {"train": "train", "test": "test"},
    "imagenet": {"train": "train", "validation": "val"},
    "places365": {"train": "train", "validation": "val"},
}


@dataclass(frozen=True)
class _Sources:
    """Several timm data sets, by position in their concatenation."""

    sources: tuple[Any, ...]
    starts: tuple[int, ...]

    def at(self, index: int) -> tuple[Any, int]:
        """Return the data set and the row of a position."""
        number = bisect_right(self.starts, index) - 1
        return self.sources[number], index - self.starts[number]


@dataclass(frozen=True)
class StoredPhotos(_Sources):
    """Encoded photos of data sets that have a reader."""

    def __call__(self, index: int) -> bytes:
        """Return the encoded photo at a position."""
        # Not source[row]: that would put another photo in the place of a corrupt one.
        source, row = self.at(index)
        with source.reader[row][0] as file:
            data: bytes = file.read()
            return data


@dataclass(frozen=True)
class DecodedPhotos(_Sources):
    """Photos of data sets that hold them decoded, by position."""

    depth: Depth | None = None

    def __call__(self, index: int) -> Image.Image:
        """Return the photo at a position."""
        source, row = self.at(index)
        return to_rgb(source[row][0], self.depth)


def open_timm(
    name: str,
    *,
    root: Path | None = None,
    download: bool = False,
    max_megapixels: int = MAX_MEGAPIXELS,
) -> ImageSet:
    """Open all splits of an image set by its timm name.

    That is "torch/" and a torchvision name, or "hfds/" and a Hugging Face name or folder. ``root``
    holds the data; it is needed for "torch/", and the cache folder for "hfds/".
    """
    prefix, _, rest = name.partition("/")
    if prefix in _STREAMS:
        msg = f"'{name}' is a stream, but photos are read in any order; use hfds/ or a folder"
        raise InputError(msg)
    parts = _open_torch(name, rest, root, download) if prefix == "torch" else _open_hfds(name, root)
    sources = tuple(source for _, source in parts)
    counts = [len(source) for source in sources]
    keys = tuple(f"{s}#{i}" for (s, _), c in zip(parts, counts, strict=True) for i in range(c))
    starts = tuple(accumulate(counts, initial=0))[:-1]
    stored = None
    if all(hasattr(source, "reader") for source in sources):
        stored = PhotoReader(StoredPhotos(sources, starts), keys, max_megapixels)
    return ImageSet(
        name=name,
        classes=_class_names(sources[0]),
        keys=keys,
        targets=tuple(target for source in sources for target in _targets(name, source)),
        given_split=tuple(s for (s, _), c in zip(parts, counts, strict=True) for s in [s] * c),
        given_group=(None,) * len(keys),
        read=stored or DecodedPhotos(sources, starts),
        encoded=None if stored is None else stored.encoded,
    )


def _open_torch(
    name: str, rest: str, root: Path | None, download: bool
) -> list[tuple[SplitName, Any]]:
    from timm.data.dataset_factory import create_dataset  # noqa: PLC0415 - takes seconds, only some sets need it

    if rest.lower() not in _TORCH_SPLITS:
        near = nearest(rest.lower(), _TORCH_SPLITS)
        msg = f"unknown image set '{name}'; the nearest is 'torch/{near}'"
        raise InputError(msg)
    if root is None:
        raise InputError(
            f"'{name}' needs the folder that holds its data: give data_root=DIR (of open_images: "
            "root), and download=True fetches it"
        )
    try:
        return [
            (split, create_dataset(name, root=str(root), split=word, download=download))
            for word, split in _TORCH_SPLITS[rest.lower()].items()
        ]
    except (RuntimeError, OSError) as error:
        reason = str(error).splitlines()[0]
        failed = f"could not be fetched into '{root}' ({reason})"
        missing = f"was not found in '{root}' ({reason}); give its folder, or add download=True"
        raise InputError(f"'{name}' {failed if download else missing}") from error


def _open_hfds(name: str, root: Path | None) -> list[tuple[SplitName, Any]]:
    from timm.data.dataset_factory import create_dataset  # noqa: PLC0415

    try:
        import datasets  # noqa: PLC0415
    except ImportError as error:
        msg = f"'{name}' needs the package 'datasets'; run: pip install datasets"
        raise InputError(msg) from error
    if _major(datasets.__version__) < _NO_SCRIPTS:
        raise InputError(
            f"'{name}' needs datasets {_NO_SCRIPTS}, got {datasets.__version__}, which would run "
            "programs that a set brings; run: pip install -U datasets"
        )
    try:
        there = datasets.get_dataset_split_names(name.partition("/")[2])
        parts = [
            (split, create_dataset(name, root=None if root is None else str(root), split=word))
            for word in there
            if (split := split_of(word)) is not None
        ]
    except (OSError, ValueError, RuntimeError) as error:
        msg = f"'{name}' cannot be opened ({str(error).splitlines()[0]}); check the name"
        raise InputError(msg) from error
    if not parts:
        msg = f"'{name}' has no train, validation or test split, only {', '.join(there)}"
        raise InputError(msg)
    return parts


def _major(version: str) -> int:
    first = version.partition(".")[0]
    return int(first) if first.isdigit() else 0


def _class_names(source: Any) -> tuple[str, ...]:
    if hasattr(source, "reader"):
        classes: dict[str, int] = source.reader.class_to_idx
        return tuple(sorted(classes, key=classes.__getitem__))
    # ImageNet gives several names a class; the first is the usual one.
    return tuple(c if isinstance(c, str) else c[0] for c in source.classes)


def _targets(name: str, source: Any) -> Sequence[int]:
    """Return the target of each photo of one timm data set without decoding photos."""
    if hasattr(source, "reader"):
        column = source.reader.dataset[source.reader.label_key]
        return [NO_LABEL if value is None else int(value) for value in column]
    targets = source.targets
    if getattr(targets, "ndim", 1) != 1:
        targets = targets[:, 0]  # QMNIST: the first column is the digit
    return [int(target) for target in targets]
