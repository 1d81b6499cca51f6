"""`samix evaluate`: from words to an evaluation, its files and a short table."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from samix.data import open_images
from samix.errors import InputError
from samix.evaluation import (
    Encoder,
    EvaluateOptions,
    FinetuneOptions,
    Machine,
    evaluate,
    open_encoder,
)
from samix.evaluation.budgets import parse_budgets
from samix.evaluation.figure import draw_evaluation
from samix.training import Terminal
from samix.training.progress import clock
from samix.training.run_folder import write_json

from .output import chosen_machine, create_folder, how_to_repeat, result_folder
from .summary import cell, say
from .values import key_values

_SOURCE = ("backbone", "model_kwargs", "stem", "image_size", "average")
_DATA = {
    "data_root": "root", "download": "download", "skip_corrupt": "skip_corrupt",
    "max_megapixels": "max_megapixels",
}  # fmt: skip
_PACKAGES = ("torch", "torchvision", "timm", "numpy")


def run_evaluate(chosen: argparse.Namespace) -> int:
    """Evaluate, write evaluation.json and evaluation.png, and print a table.

    Returns:
        0.

    Raises:
        InputError: Something the user gave cannot be used.
    """
    given = {k: v for k, v in vars(chosen).items() if k != "command"}
    options = options_from(given)
    machine = chosen_machine(given)
    output = result_folder(given, f"evaluate-{Path(given['source']).resolve().name or 'encoder'}")
    console = Console(highlight=False)
    display = Terminal(console)
    try:
        encoder = _encoder(given)
        images = open_images(
            given["data"],
            **{to: given[name] for name, to in _DATA.items() if name in given},
            depth=encoder.depth,
            progress=lambda done, total: display.work("checking photos", done, total),
        )
        create_folder(output)
        display.say(_opening(encoder, images.name, output))
        result = evaluate(encoder, images, options, machine=machine, progress=display)
    except InputError:
        with suppress(OSError):  # it is empty, or not there
            output.rmdir()
        raise
    finally:
        display.rest()
    record = _record(result, given, machine)
    write_json(output / "evaluation.json", record)
    title = f"{encoder.name} on {images.name}"
    draw_evaluation(output / "evaluation.png", record, title=title)
    _print(record, output, console)
    return 0


def options_from(given: Mapping[str, Any]) -> EvaluateOptions:
    """Return what is measured, from the options that were given.

    Args:
        given: Options by name, only those that were given.

    Raises:
        InputError: An option is out of range.
    """
    tuning = {f.name for f in fields(FinetuneOptions)}
    own = {f.name for f in fields(EvaluateOptions)}
    values: dict[str, Any] = {name: v for name, v in given.items() if name in own}
    if "labels" in given:
        values["budgets"] = parse_budgets(given["labels"])
    finetune = FinetuneOptions(**{name: v for name, v in given.items() if name in tuning})
    return EvaluateOptions(**values, finetune=finetune)


def _encoder(given: Mapping[str, Any]) -> Encoder:
    words = {name: given[name] for name in _SOURCE if name in given}
    if "model_kwargs" in words:
        words["model_kwargs"] = key_values(words["model_kwargs"], "model_kwargs")
    return open_encoder(given["source"], **words)


def _record(
    result: Mapping[str, Any], given: Mapping[str, Any], machine: Machine
) -> dict[str, Any]:
    """Return the results with what is needed to repeat them."""
    return {
        **how_to_repeat(*_PACKAGES),
        "device": machine.device,
        "precision": given.get("precision", "32"),
        **result,
        "data": {"source": given["data"], **result["data"]},
    }


def _opening(encoder: Encoder, data: str, output: Path) -> str:
    """Return what is about to happen, in one line."""
    described = encoder.description
    return (
        f"{encoder.name} ({described['backbone']}, {described['parameters'] / 1e6:.1f} M weights, "
        f"{encoder.dimension} features, {encoder.image_size} px) on {data}; writing to '{output}'"
    )


def _print(record: Mapping[str, Any], output: Path, console: Console) -> None:
    """Print a table of the accuracies, and where to look."""
    photos = record["data"]["photos"]
    console.print()
    say(
        console,
        f"{photos['train']} labelled photos to learn from, {photos['val']} to choose on, "
        f"{photos['test']} test; accuracy:",
    )
    table = Table()
    table.add_column("")
    table.add_column("labels")
    for heading in ("accuracy", "balanced"):
        table.add_column(heading, justify="right")
    for row in _rows(record):
        table.add_row(*map(cell, row))
    console.print(table)
    for note in record["notes"]:
        if note.startswith("Warning"):
            say(console, note)
    say(console, f"Done in {clock(record['seconds']['all'])}.")
    say(console, f"All numbers: {output / 'evaluation.json'}")
    say(console, f"Figure:      {output / 'evaluation.png'}")


def _rows(record: Mapping[str, Any]) -> list[tuple[str, str, str, str]]:
    """Return the rows of the table: protocol, labels, accuracy, balanced accuracy."""
    rows = []
    if "knn" in record:
        knn = record["knn"]
        name = "kNN" if knn["part"] == "test" else "kNN on val"
        rows += [
            (name, "all", f"{knn['accuracy']:.1%}", f"{knn['balanced_accuracy']:.1%}"),
            ("  best of 3 random encoders", "all", f"{knn['random_encoder_accuracy']:.1%}", ""),
            ("  pixels", "all", f"{knn['pixel_accuracy']:.1%}", ""),
        ]
    if "linear" in record:
        linear = record["linear"]
        numbers = (f"{linear['accuracy']:.1%}", f"{linear['balanced_accuracy']:.1%}")
        rows.append(("linear probe", "all", *numbers))
    for key, name in (("linear", "linear probe"), ("finetune", "fine-tuning")):
        for budget in record.get(key, {}).get("budgets", ()):
            accuracy, balanced = (budget[n] for n in ("accuracy", "balanced_accuracy"))
            rows.append((name, _labels(budget["labels"]), _spread(accuracy), _spread(balanced)))
    return rows


def _labels(text: str) -> str:
    return text if text.endswith("%") else f"{text} a class"


def _spread(values: Mapping[str, Any]) -> str:
    """Return mean and spread of several draws, in percent."""
    if values["spread"] is None:
        return f"{values['mean']:.1%}"
    return f"{values['mean']:.1%} ± {100 * values['spread']:.1f}"
