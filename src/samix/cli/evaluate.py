"""`samix evaluate`: from words to an evaluation, its files and a short table."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from samix.errors import InputError
from samix.training.config import TrainConfig

from .options import (
    PHOTOS,
    add_command,
    add_fields,
    add_language,
    key_values,
    page_language,
    spoken,
    with_table,
)
from .running import (
    chosen_machine,
    create_folder,
    how_to_repeat,
    photo_options,
    print_table,
    result_folder,
    say,
    say_idle,
    tell,
)

if TYPE_CHECKING:
    from rich.console import Console

    from samix.evaluation import Encoder, EvaluateOptions, Machine
    from samix.pages.words import Words


_SOURCE = ("backbone", "model_kwargs", "stem", "image_size", "average")
_PACKAGES = ("torch", "torchvision", "timm", "numpy")
_EVALUATE = """\
Measure how good the features of an image encoder are, with few labels and with all.

SOURCE is what to judge:

  runs/photos-samix             run folder of samix train or samix pretrain
  resnet18.a1_in1k              name of a timm model, with its published weights
  weights.pth --backbone NAME   checkpoint of a timm model (.safetensors, .pth, .pt, .pth.tar)

Protocols: 'knn' compares each photo with the labelled photos nearest to it, and shows
random encoders and bare pixels beside it; 'linear' fits a linear classifier on the
frozen features; 'finetune' trains the whole network with few labels, several times.
"""
_EXAMPLES = """\
examples:
  samix evaluate runs/photos-samix --data photos/ --protocol knn
  samix evaluate runs/photos-samix --data photos/ --output runs/judged
  samix evaluate resnet18.a1_in1k --data photos/ --protocol linear
  samix evaluate weights.pth --backbone resnet18 --stem small --image-size 32 --data demo
  samix evaluate RUN --data photos/ --protocol finetune --labels 1% 10% 20 --draws 5
"""


def run_evaluate(chosen: argparse.Namespace) -> int:
    """Evaluate, write evaluation.json and evaluation.html, and print a table."""
    from rich.console import Console

    from samix.data import open_images
    from samix.data.verifying import Keep
    from samix.evaluation import evaluate
    from samix.evaluation.figure import write_evaluation
    from samix.training import Terminal
    from samix.training.run_folder import write_json

    given = {k: v for k, v in vars(chosen).items() if k != "command"}
    language = page_language(given)
    given = with_table(given, "budgets")
    options = options_from(given)
    machine = chosen_machine(given)
    output = result_folder(given, f"evaluate-{Path(given['source']).resolve().name or 'encoder'}")
    console = Console(highlight=False)
    display = Terminal(console, spoken(given))
    try:
        encoder = _encoder(given)
        images = open_images(
            given["data"],
            **photo_options(given),
            depth=encoder.depth,
            keep=Keep(prints=True),
            progress=lambda done, total: display.work("checking photos", done, total),
        )
        create_folder(output)
        idle = _idle_in(options.protocol)
        say_idle([(idle, f"protocol '{options.protocol}' has none of that")], given, display)
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
    write_evaluation(output / "evaluation.html", record, name=encoder.name, language=language)
    _print(record, output, console, spoken(given))
    return 0


def options_from(given: Mapping[str, Any]) -> EvaluateOptions:
    """Return what is measured, from the options that were given."""
    from samix.evaluation import EvaluateOptions, FinetuneOptions
    from samix.evaluation.budgets import parse_budgets

    tuning = [f.name for f in fields(FinetuneOptions)]
    own = {f.name for f in fields(EvaluateOptions)}
    values: dict[str, Any] = {name: v for name, v in given.items() if name in own}
    if "budgets" in given:
        values["budgets"] = parse_budgets(given["budgets"])
    finetune = FinetuneOptions(**{name: v for name, v in given.items() if name in tuning})
    return EvaluateOptions(**values, finetune=finetune)


def _idle_in(protocol: str) -> Sequence[str]:
    """Return the options that a protocol makes no use of."""
    from samix.evaluation import FinetuneOptions

    tuning = [f.name for f in fields(FinetuneOptions)]
    idle = {
        "knn": ("budgets", "draws", *tuning), "linear": ("neighbours", *tuning),
        "finetune": ("neighbours",),
    }  # fmt: skip
    return idle.get(protocol, ())


def _encoder(given: Mapping[str, Any]) -> Encoder:
    from samix.evaluation import open_encoder

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


def _opening(encoder: Encoder, data: str, output: Path) -> Words:
    from samix.pages.words import word

    described = encoder.description
    return word(
        "judge-begin", encoder=encoder.name, backbone=str(described["backbone"]),
        millions=f"{described['parameters'] / 1e6:.1f}", features=encoder.dimension,
        size=encoder.image_size, data=data, output=str(output),
    )  # fmt: skip


def _print(record: Mapping[str, Any], output: Path, console: Console, lang: str) -> None:
    from samix.evaluation.figure import lead_of, score_table
    from samix.pages.words import word
    from samix.training.progress import clock

    console.print()
    tell(console, lead_of(record)[0], lang)
    print_table(console, score_table(record), lang)
    for note in record["notes"]:
        if note.startswith("Warning"):
            say(console, note)
    tell(console, word("judge-time", time=clock(record["seconds"]["all"])), lang)
    for key, name in (("saved-page", "evaluation.html"), ("saved-numbers", "evaluation.json")):
        tell(console, word(key, path=str(output / name)), lang)


def add_evaluate(commands: Any, about: str) -> None:
    """Add the parser of `samix evaluate`."""
    parser = add_command(
        commands,
        "evaluate",
        usage="evaluate SOURCE --data DATA [options]",
        about=about,
        description=_EVALUATE,
        examples=_EXAMPLES,
    )
    _add_source(parser)
    _add_data(parser)
    _add_protocol(parser)
    _add_run(parser)


def _add_source(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("source")
    group.add_argument("source", help="run folder, timm name or checkpoint file", metavar="SOURCE")
    group.add_argument(
        "--average",
        help="judge the momentum average of a run instead of its encoder",
        action=argparse.BooleanOptionalAction,
    )
    add_fields(group, TrainConfig, "backbone", backbone="timm model that a checkpoint file is of")
    add_fields(
        group,
        TrainConfig,
        "model_kwargs",
        model_kwargs="arguments of the timm model, e.g. layers=[1,1,1,1]",
    )
    add_fields(group, TrainConfig, "stem", stem="'small' where the checkpoint has that stem")
    add_fields(
        group,
        TrainConfig,
        "image_size",
        image_size="side in pixels that the network sees (that of the run or of the "
        "timm model; 32 with "
        "--stem small)",
    )


def _add_data(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("data")
    group.add_argument(
        "--data",
        help="folder with one folder of photos per class, parquet folder, timm name, or 'demo'",
        required=True,
        metavar="DATA",
    )
    add_fields(group, TrainConfig, *(name for name in PHOTOS if name != "labels"))
    add_fields(
        group,
        TrainConfig,
        "group_by",
        group_by="which photos stay on one side of every split: a regular expression "
        "over the path, or a "
        "table with columns path, group (not used where the run brings its splits)",
    )
    add_fields(group, TrainConfig, "duplicates", "val_fraction", "test_fraction")


def _add_protocol(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("protocol")
    group.add_argument("--protocol", help="knn, linear, finetune or all (all)", metavar="NAME")
    group.add_argument(
        "--part", help="part that kNN is measured on: test or val (test)", metavar="PART"
    )
    group.add_argument("--neighbours", help="k of kNN (20)", type=int, metavar="K")
    group.add_argument(
        "--labels",
        help="label budgets of linear probe and fine-tuning: '10%%' is a share of the "
        "labels, '20' is "
        "20 labels of each class (1%% 5%% 10%% 25%%); or a table of the labels",
        nargs="+",
        metavar="BUDGET|TABLE",
    )
    group.add_argument(
        "--draws", help="draws of the labels at each budget (3)", type=int, metavar="N"
    )
    group.add_argument(
        "--epochs", help="fine-tuning: passes over the labelled photos (30)", type=int, metavar="N"
    )
    group.add_argument(
        "--least-steps", help="fine-tuning: steps at least (300)", type=int, metavar="N"
    )
    group.add_argument(
        "--batch-size", help="fine-tuning: photos per step (64)", type=int, metavar="N"
    )
    group.add_argument(
        "--lr",
        help="fine-tuning: learning rate of the body (0.02; 0.0002 without batch norm)",
        type=float,
        metavar="X",
    )
    group.add_argument(
        "--head-lr",
        help="fine-tuning: learning rate of the head (10 x --lr)",
        type=float,
        metavar="X",
    )
    group.add_argument(
        "--augmentation",
        help="fine-tuning: none, light, standard or strong (by image size)",
        metavar="NAME",
    )


def _add_run(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("run")
    group.add_argument("--output", help="folder to create (a free name below runs/)", metavar="DIR")
    add_language(group)
    add_fields(
        group, TrainConfig, "seed", seed="seed of splits, labels, heads, random encoders (0)"
    )
    add_fields(group, TrainConfig, "device")
    add_fields(group, TrainConfig, "precision", precision="32, bf16 or 16 (32)")
