"""What the classifier of a finished run says about photos: one row of a CSV file a photo."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

import numpy as np
import torch
from torch import Tensor

from samix.data import ImageSet, View
from samix.data.reading import threaded
from samix.errors import InputError, UnreadableImageError
from samix.evaluation import Machine
from samix.files import whole_file
from samix.networks import in_format
from samix.shown import NameWriter

from .classifier import Classifier

_NAMED = 3  # how many corrupt photos a message names
_CHUNK = 8  # photos that a thread reads at once

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class PredictOptions:
    """How photos are judged, and what is written about them.

    Attributes:
        probabilities: Also write the softmax of each class.
        skip_corrupt: Leave out photos that cannot be read, instead of refusing them all.
        batch_size: Photos that are judged at once, at least 1.
    """

    probabilities: bool = False
    skip_corrupt: bool = False
    batch_size: int = 64

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise InputError(f"--batch-size must be at least 1, got {self.batch_size}")


@dataclass(frozen=True)
class Predicted:
    """What was said about a set of photos.

    Attributes:
        photos: Number of photos that were judged.
        counts: Photos of each class.
        confidence: Mean confidence of those photos; None for a class that none is in.
        skipped: The photos that cannot be read and were left out, with the reason of each.
    """

    photos: int
    counts: Mapping[str, int]
    confidence: Mapping[str, float | None]
    skipped: Mapping[str, str]


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

    The confidence is the softmax of the class as the network gives it; no temperature is fitted.
    Photos are read and judged batch by batch: the memory does not grow with their number.

    Args:
        classifier: On the machine's device.
        images: The photos; labels are not looked at.
        path: The CSV file; it appears as a whole or not at all.
        options: None takes the defaults.
        machine: Device and precision; None is the CPU.
        progress: Called with (done, total) after each batch.

    Returns:
        Numbers of photos, their confidence, and what was left out.

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
            f"'{path}' cannot be written ({error.strerror}); choose another --output"
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
    """Write all rows, and count."""
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
                writer.writerow((key, classes[best]), _numbers(row, best, options))
        if progress is not None:
            progress(done, len(images))
    if len(corrupt) == len(images):
        raise InputError(f"no photo can be read: {_some(corrupt)}")
    if corrupt and not options.skip_corrupt:
        raise InputError(
            f"{len(corrupt)} of {len(images)} photos cannot be used: {_some(corrupt)}; repair what "
            "is corrupt, or leave it out with --skip-corrupt"
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
            return view.load(images.read_for(at[place], view.load_size))
        except UnreadableImageError as error:
            return str(error)

    return list(threaded(one, len(at), chunk=_CHUNK))


@torch.no_grad()
def _judge(classifier: Classifier, photos: Tensor, machine: Machine) -> list[list[float]]:
    """Return the softmax of each photo.

    Raises:
        InputError: It is no number.
    """
    keys = np.zeros(len(photos), dtype=np.uint64)  # nothing in the view is random
    batch = classifier.view(photos, keys).to(machine.device)
    with machine.precision():
        logits = classifier.network(in_format(batch, classifier.memory_format))
    if not bool(torch.isfinite(logits).all()):
        raise InputError(
            f"the model of '{classifier.path}' gives no finite numbers: its weights are damaged, "
            "or its training diverged; train it again"
        )
    # float64 on the CPU, where every device has it
    return cast("list[list[float]]", logits.cpu().double().softmax(1).tolist())


def _numbers(row: Sequence[float], best: int, options: PredictOptions) -> list[str]:
    return [f"{value:.6g}" for value in (row[best], *(row if options.probabilities else ()))]


def _some(corrupt: Mapping[str, str]) -> str:
    more = "" if len(corrupt) <= _NAMED else f" and {len(corrupt) - _NAMED} more"
    return "; ".join(list(corrupt.values())[:_NAMED]) + more
