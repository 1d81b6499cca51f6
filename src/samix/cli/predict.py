"""`samix predict`: what a trained run says about photos, and the run as an ONNX file."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from samix.errors import InputError
from samix.files import MAX_MEGAPIXELS, check_links, file_word, free_path
from samix.shown import shown
from samix.training.config import TrainConfig

from .options import add_command, add_fields
from .running import cell, chosen_machine, new_file, say, writing

if TYPE_CHECKING:
    from rich.console import Console

    from samix.training.predict import Classifier, Predicted, PredictOptions


_SETTINGS = ("probabilities", "skip_corrupt", "batch_size")
_SHOWN_CLASSES = 20
_ONNX_PACKAGES = ("onnx", "onnxruntime", "onnxscript")
_PREDICT = """\
Say what is on photos: one row of a CSV file a photo, with path, class and confidence.

RUN is the folder of a finished 'samix train'; only its model.json and its .safetensors are
read. PHOTOS are a folder, searched at any depth, or files, or a folder of Parquet or WebDataset
files; labels and the names of subfolders are not looked at.

The confidence is the softmax of the class as the network gives it, not the chance that it
is right: how far the two are apart on the run's own test photos is 'ece' in its
metrics.json.
"""
_EXAMPLES = """\
examples:
  samix predict runs/photos-samix new-photos/
  samix predict runs/photos-samix part1.png part2.png --output said.csv --probabilities
  samix predict runs/photos-samix --onnx classifier.onnx     for programs without torch
"""


def run_predict(chosen: argparse.Namespace) -> int:
    """Write the CSV file, the ONNX file, or both, and print a table."""
    from rich.console import Console

    from samix.training.predict import PredictOptions, open_classifier

    given = {"photos": [], **{k: v for k, v in vars(chosen).items() if k != "command"}}
    _check(given)
    options = PredictOptions(**{name: given[name] for name in _SETTINGS if name in given})
    console = Console(highlight=False)
    classifier = open_classifier(given["run"], average=given.get("average", False))
    if "onnx" in given and (problem := _export(classifier, Path(given["onnx"]).expanduser())):
        print(f"samix: {shown(problem)}", file=sys.stderr)
        return 1
    if given["photos"]:
        _predict(classifier, given, options, console)
    if "onnx" in given:
        say(console, f"As ONNX:     {given['onnx']}")
    return 0


def _predict(
    classifier: Classifier, given: Mapping[str, Any], options: PredictOptions, console: Console
) -> None:
    from samix.data.packed import open_unlabelled
    from samix.data.verifying import deepened
    from samix.training import Terminal
    from samix.training.predict import predict

    machine = chosen_machine({k: v for k, v in given.items() if k == "device"})
    limit = given.get("max_megapixels", MAX_MEGAPIXELS)
    images = open_unlabelled(given["photos"], max_megapixels=limit)
    images = deepened(images, classifier.depth)
    output = _output(given, classifier.path, images.name)
    display = Terminal(console)
    what = "1 photo" if len(images) == 1 else f"{len(images)} photos"
    display.say(f"{what}, classified by '{classifier.path}' on {machine.device}")
    for note in images.notes:
        display.say(f"Note: {note}")
    try:
        said = predict(
            classifier.to(machine.device),
            images,
            output,
            options,
            machine=machine,
            progress=lambda done, total: display.work(f"{done} of {total} photos", done, total),
        )
    finally:
        display.rest()
    _print(said, output, console)


def _check(given: Mapping[str, Any]) -> None:
    if not given["photos"] and "onnx" not in given:
        raise InputError(
            "PHOTOS are missing; name a folder of photos or files, or give --onnx FILE alone"
        )
    if not given["photos"] and "output" in given:
        raise InputError("--output is for what is said about photos; name them, or leave it out")
    _check_onnx(given)
    if "onnx" in given:
        new_file(given, "onnx")


def _check_onnx(given: Mapping[str, Any]) -> None:
    """Refuse --onnx before any work where its packages are missing."""
    if not given.get("onnx"):
        return
    missing = next((name for name in _ONNX_PACKAGES if not _is_there(name)), None)
    if missing is not None:
        raise InputError(
            f"--onnx needs the package '{missing}', which is not installed; run pip install "
            "'samix[onnx]'"
        )


def _is_there(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ValueError:  # imported without a specification
        return False


def _output(given: Mapping[str, Any], run: Path, name: str) -> Path:
    """Return the CSV file to write: the given one, or a free name in the run folder."""
    if "output" in given:
        return new_file(given, "output")
    check_links(run)
    return free_path(run, f"predictions-{file_word(name) or 'photos'}", ".csv")


def _export(classifier: Classifier, path: Path) -> str | None:
    from samix.networks.onnx_export import OnnxMismatchError, write_classifier_onnx

    view = classifier.view
    depth = None if classifier.depth is None else classifier.depth.record()
    sizes: dict[str, Any] = {"image_size": view.image_size, "mean": view.mean, "std": view.std}
    try:
        with writing("--onnx", path):
            write_classifier_onnx(
                classifier.network, path, classes=classifier.classes, depth=depth, **sizes
            )
    except OnnxMismatchError as error:
        return str(error)
    except RuntimeError as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        return f"this network cannot be written as ONNX ({reason})"
    return None


def _print(said: Predicted, output: Path, console: Console) -> None:
    from rich.table import Table

    there = [name for name in said.counts if said.counts[name]]
    found = sorted(there, key=lambda name: said.counts[name], reverse=True)
    table = Table()
    for heading in ("class", "photos", "share", "mean confidence"):
        table.add_column(heading, justify="left" if heading == "class" else "right")
    for name in found[:_SHOWN_CLASSES]:
        count, confidence = said.counts[name], said.confidence[name]
        share = f"{count / said.photos:.1%}"
        table.add_row(cell(name), str(count), share, f"{confidence:.3f}")
    console.print(table)
    if len(found) > _SHOWN_CLASSES:
        say(console, f"and {len(found) - _SHOWN_CLASSES} more classes")
    empty = [name for name in said.counts if not said.counts[name]]
    if empty:
        more = "" if len(empty) <= _SHOWN_CLASSES else f" and {len(empty) - _SHOWN_CLASSES} more"
        say(console, f"No photo of: {', '.join(empty[:_SHOWN_CLASSES])}{more}")
    if said.skipped:
        count = len(said.skipped)
        reasons = "; ".join(list(said.skipped.values())[:3])
        say(console, f"Left out:    {count} that cannot be read ({reasons})")
    say(console, f"Predictions: {output}")


def add_predict(commands: Any, about: str) -> None:
    """Add the parser of `samix predict`."""
    parser = add_command(
        commands, "predict", "predict RUN [PHOTOS ...] [options]", about, _PREDICT, _EXAMPLES
    )
    group = parser.add_argument_group("what")
    group.add_argument("run", help="folder of a finished 'samix train'", metavar="RUN")
    photos = "a folder of photos (subfolders too), one photo, or several"
    group.add_argument("photos", help=photos, nargs="*", metavar="PHOTOS")
    average = "the momentum average of the network (the encoder, which validation chose)"
    group.add_argument("--average", help=average, action="store_true")
    skip = "leave out photos that cannot be read, and count them, instead of stopping"
    add_fields(group, TrainConfig, "skip_corrupt", "max_megapixels", skip_corrupt=skip)
    group = parser.add_argument_group("output")
    output = "CSV file to write (RUN/predictions-PHOTOS.csv)"
    group.add_argument("--output", help=output, metavar="FILE")
    group.add_argument(
        "--probabilities",
        help="also a column p_CLASS for each class",
        action=argparse.BooleanOptionalAction,
    )
    onnx = "write the classifier as ONNX, with its normalisation and the softmax in it"
    group.add_argument("--onnx", help=onnx, metavar="FILE")
    group = parser.add_argument_group("machine")
    add_fields(group, TrainConfig, "device")
    group.add_argument("--batch-size", help="photos at once (64)", type=int, metavar="N")
