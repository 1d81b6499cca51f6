"""The classifier of a finished run, and what it says about images: a row of a CSV file for each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from samix.data import ImageSet, View, eval_view
from samix.data.depth import Depth
from samix.data.reading import threaded
from samix.data.store import photo_at
from samix.errors import InputError, UnreadableImageError
from samix.evaluation import Machine
from samix.evaluation.model_file import read_model
from samix.files import whole_file
from samix.networks import in_format, put_weights, read_weights, settle_format
from samix.networks.described import create_described
from samix.progress import Progress
from samix.shown import NameWriter

from .run_folder import AVERAGE, MODEL, WEIGHTS

_NAMED = 3  # how many corrupt photos a message names
_CHUNK = 8  # photos that a thread reads at once


@dataclass(frozen=True)
class Classifier:
    """The exported classifier of a run, in eval mode."""

    path: Path  # the run's folder
    network: nn.Module  # from (B,3,S,S) normalised photos to (B,K) logits
    classes: tuple[str, ...]  # the K classes in the order of the logits
    view: View  # how photos become its input
    average: bool  # the network is the momentum average
    # white in photos of more than 8 bits; None where it learned from none
    depth: Depth | None = None

    @cached_property
    def channels_last(self) -> bool:
        """The format in which the network takes photos on the CPU."""
        return settle_format(self.network)

    def to(self, device: torch.device | str) -> Classifier:
        """Return the classifier on a device."""
        return replace(self, network=self.network.to(device))


@dataclass(frozen=True)
class PredictOptions:
    """How photos are judged, and what is written about them."""

    probabilities: bool = False  # also write the softmax of each class
    skip_corrupt: bool = False  # leave out photos that cannot be read, instead of refusing them all
    batch_size: int = 64  # photos that are judged at once, at least 1

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise InputError(f"batch_size must be at least 1, got {self.batch_size}")


@dataclass(frozen=True)
class Predicted:
    """What was said about a set of photos."""

    photos: int  # number of photos that were judged
    counts: Mapping[str, int]  # photos of each class
    confidence: Mapping[str, float | None]  # mean of those photos; None for a class that none is in
    skipped: Mapping[str, str]  # photos that cannot be read and were left out, with the reason


def predict(
    classifier: Classifier,
    images: ImageSet,
    path: Path,
    options: PredictOptions | None = None,
    *,
    machine: Machine | None = None,
    progress: Progress | None = None,
) -> Predicted:
    """Write what a classifier says about each photo: path, class, confidence, and p_CLASS.

    The file appears as a whole or not at all; labels are not looked at.

    The confidence is the softmax of the class as the network gives it; no temperature is fitted.
    Photos are read and judged batch by batch: the memory does not grow with their number.

    Raises:
        InputError: A photo is corrupt, the network gives no numbers, or the file cannot be written.
    """
    options, machine = options or PredictOptions(), machine or Machine()
    try:
        with (
            whole_file(path) as partial,
            partial.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file,
        ):
            said = _write(classifier, images, file, options, machine, progress)
    except OSError as error:
        raise InputError(
            f"'{path}' cannot be written ({error.strerror}); choose another `output`"
        ) from error
    return said


def _write(
    classifier: Classifier,
    images: ImageSet,
    file: IO[str],
    options: PredictOptions,
    machine: Machine,
    progress: Progress | None,
) -> Predicted:
    classes = classifier.classes
    writer = NameWriter(file)
    columns = [f"p_{name}" for name in classes] if options.probabilities else []
    writer.writerow(("path", "class", "confidence", *columns))
    counts, sums = [0] * len(classes), [0.0] * len(classes)
    corrupt: dict[str, str] = {}
    for keys, photos, done in _batches(classifier.view, images, options.batch_size, corrupt):
        # once a photo is refused, the others are only read, to name all that are corrupt
        if photos is not None and (options.skip_corrupt or not corrupt):
            for key, row in zip(keys, _judge(classifier, photos, machine), strict=True):
                best = max(range(len(row)), key=row.__getitem__)
                counts[best] += 1
                sums[best] += row[best]
                numbers = (row[best], *(row if options.probabilities else ()))
                writer.writerow((key, classes[best]), [f"{value:.6g}" for value in numbers])
        if progress is not None:
            progress(done, len(images))
    if len(corrupt) == len(images):
        raise InputError(f"no photo can be read: {_some(corrupt)}")
    if corrupt and not options.skip_corrupt:
        raise InputError(
            f"{len(corrupt)} of {len(images)} photos cannot be used: {_some(corrupt)}; repair what "
            "is corrupt, or leave it out with skip_corrupt"
        )
    means = [total / count if count else None for total, count in zip(sums, counts, strict=True)]
    by_class = dict(zip(classes, counts, strict=True))
    return Predicted(sum(counts), by_class, dict(zip(classes, means, strict=True)), corrupt)


def _batches(
    view: View, images: ImageSet, size: int, corrupt: dict[str, str]
) -> Iterator[tuple[list[str], Tensor | None, int]]:
    """Yield keys and (B,3,S,S) photos of each batch, and how many were read so far.

    The photos are None where none of the batch can be read; what cannot goes into ``corrupt``.
    """
    for start in range(0, len(images), size):
        at = range(start, min(start + size, len(images)))
        keys, photos = [], []
        for index, one in zip(at, _read(view, images, at), strict=True):
            if isinstance(one, str):
                corrupt[images.keys[index]] = one
            else:
                keys.append(images.keys[index])
                photos.append(one)
        yield keys, torch.stack(photos) if photos else None, at.stop


def _read(view: View, images: ImageSet, at: Sequence[int]) -> list[Tensor | str]:
    """Return the photos at some positions, or what is wrong with them."""

    def one(place: int) -> Tensor | str:
        try:
            return photo_at(images, at[place], view.load_size)
        except UnreadableImageError as error:
            return str(error)

    return list(threaded(one, len(at), chunk=_CHUNK))


@torch.no_grad()
def _judge(classifier: Classifier, photos: Tensor, machine: Machine) -> list[list[float]]:
    """Return the softmax of each photo, refused where it is no number."""
    keys = np.zeros(len(photos), dtype=np.uint64)  # nothing in the view is random
    batch = classifier.view(photos, keys).to(machine.device)
    with machine.precision():
        logits = classifier.network(in_format(batch, classifier.channels_last))
    if not bool(torch.isfinite(logits).all()):
        raise InputError(
            f"the model of '{classifier.path}' gives no finite numbers: its weights are damaged, "
            "or its training diverged; train it again"
        )
    # float64 on the CPU, where every device has it
    return cast("list[list[float]]", logits.cpu().double().softmax(1).tolist())


def _some(corrupt: Mapping[str, str]) -> str:
    more = "" if len(corrupt) <= _NAMED else f" and {len(corrupt) - _NAMED} more"
    return "; ".join(list(corrupt.values())[:_NAMED]) + more


def open_classifier(path: str | Path, *, average: bool = False) -> Classifier:
    """Open the classifier of a run from its model.json and its safetensors; no code is run.

    Raises:
        InputError: There is no model, it is no classifier, or its files do not fit together.
    """
    folder = Path(path).expanduser()
    model = _read_model(folder, path)
    weights = folder / (AVERAGE if average else WEIGHTS)
    if average and not weights.is_file():
        raise InputError(
            f"`average`: the run '{path}' has no {AVERAGE}, so that it kept none; leave it out, "
            "or train with momentum_average"
        )
    if model.get("kind") == "embedding":
        raise InputError(
            f"'{path}' is a run of samix pretrain, which knows no classes; train a classifier from "
            f"it: samix train DATA init={path}"
        )
    if model["classes"] is None:
        raise InputError(f"'{folder / MODEL}' names no classes; train the run again")
    if not weights.is_file():
        raise InputError(f"the run '{path}' has no {weights.name}; train it again")
    try:
        classes = tuple(model["classes"])
        view = eval_view(model["image_size"], mean=tuple(model["mean"]), std=tuple(model["std"]))
        network = create_described(model, num_classes=len(classes), weights=weights).eval()
    except ValueError as error:
        raise InputError(
            f"'{folder / MODEL}' cannot be used ({' '.join(str(error).split())}); train the run "
            "again"
        ) from error
    put_weights(network, read_weights(weights), f"'{weights}'", whole=True)
    return Classifier(folder, network, classes, view, average, model["depth"])


def _read_model(folder: Path, named: str | Path) -> dict[str, Any]:
    described = folder / MODEL
    if not described.is_file():
        unfinished = (folder / "config.yaml").is_file()
        remedy = (
            f"the run is not finished: go on with samix train resume=True output={named}"
            if unfinished
            else "give the run folder of a finished 'samix train'"
        )
        if not folder.exists():
            runs = sorted(path.parent.name for path in folder.parent.glob(f"*/{MODEL}"))
            there = f" ('{folder.parent}' holds: {', '.join(runs[:_NAMED])})" if runs else ""
            raise InputError(f"there is no folder '{named}'; {remedy}{there}")
        raise InputError(f"'{named}' has no {MODEL}; {remedy}")
    return read_model(described)
