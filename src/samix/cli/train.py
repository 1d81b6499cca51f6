"""`samix train`: its options, its configuration, and the final model of a study."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from samix.errors import InputError
from samix.options import from_plain
from samix.shown import flag_of
from samix.training.config import TrainConfig

from .options import add_command, add_fields, add_run
from .running import (
    begin_with,
    options_over_preset,
    parsed,
    print_summary,
    result_folder,
    run_or_resume,
    say,
)

if TYPE_CHECKING:
    from rich.console import Console

    from samix.study.conclude import Final
    from samix.training import Display, TrainResult


_PAIRS = ("model_kwargs", "policy_options")
_ASIDE = ("from_poc", "data", "data_root", "output", "device", "devices", "workers")
_DEPENDS = {  # settings of the study that mean nothing beside another option
    "backbone": ("model_kwargs", "tap"),
    "policy": ("policy_options", "guard"),
    "epochs": ("validate_every",),
}  # fmt: skip
_TRAIN = """\
Train an image classifier with learned mixup (SAMix) or with a hand-made policy.

DATA is a folder with one folder of photos per class:

  photos/good/1.png  photos/scratch/2.png ...

or with train, val and test folders above the classes, photos with a table of their labels
(--labels), a folder of Parquet files in Hugging Face layout or of WebDataset tar files,
a timm name such as torch/cifar10, or the word 'demo' for built-in
photos. Everything that the run does is written into its run folder.
"""
_EXAMPLES = """\
examples:
  samix train demo
  samix train photos/                              from ImageNet weights: a linear probe, then all
  samix train photos/ --preset small-resnet --epochs 60
  samix train photos/ --policy cutmix --seed 1 --output runs/cutmix-1
  samix train photos/ --group-by 'part(\\d+)'       photos of one part stay together
  samix train photos/ --policy cutmix --guard      harmful mixes are repaired
  samix train photos/ --init RUN --policy RUN      encoder and Mixer of an earlier run
  samix train --resume --output runs/photos-samix  go on with a run that was stopped
  samix train --from-poc runs/poc-photos           the final model, as the study recommends
"""


def run_train(chosen: argparse.Namespace) -> int:
    """Train or resume, and print a summary."""
    from samix.training import train

    if "from_poc" in chosen:
        return run_final(chosen)

    return run_or_resume(chosen, begin_with(config_from, train), print_summary)


def config_from(given: Mapping[str, Any]) -> TrainConfig:
    """Return the configuration of options that were given, over those of --init and the preset."""
    from samix.training.warm_start import open_source, settings_of

    inherited = None
    if "init" in given:
        asked = parsed(given)
        settings = settings_of(open_source(given["init"], "init"))
        inherited = {name: value for name, value in settings.items() if name not in asked}
    options = options_over_preset(given, "train", demo="demo", inherited=inherited)
    return from_plain(options, TrainConfig)


def run_final(chosen: argparse.Namespace) -> int:
    """Train the model that a study recommends, and print a summary."""
    from samix.study.conclude import final_of
    from samix.training import train

    if getattr(chosen, "resume", False):
        raise InputError(
            "--from-poc begins a new run; to go on with one, give --resume --output RUN alone"
        )
    if "preset" in chosen:
        raise InputError("--preset and --from-poc both bring settings; leave one out")
    final = final_of(chosen.from_poc)

    def start(given: Mapping[str, Any], display: Display) -> TrainResult:
        config = final_config(given, final)
        display.say(f"The study says: {final.verdict.en}")
        display.say(final.follows.en)
        own = [flag_of(name) for name in given if name not in _ASIDE]
        if own:
            display.say(f"What was given comes before it: {', '.join(own)}.")
        return train(config, display=display)

    def show(result: TrainResult, console: Console) -> None:
        print_summary(result, console)
        if result.metrics is not None:
            say(console, final.tested.en)

    return run_or_resume(chosen, start, show)


def final_config(given: Mapping[str, Any], final: Final) -> TrainConfig:
    """Return the configuration of the final model: what was given, over what the study had."""
    from samix.training.warm_start import open_source, settings_of

    options = parsed({name: value for name, value in given.items() if name != "from_poc"})
    settings = dict(final.settings)
    for name, meaningless in _DEPENDS.items():
        if name in options and options[name] != settings.get(name):
            for other in meaningless:
                settings.pop(other, None)
    if "init" in options:
        settings |= settings_of(open_source(options["init"], "init"))
    for name in _PAIRS:
        if name in options:
            options[name] = {**settings.get(name, {}), **options[name]}
    if "batch_size" in options:
        settings["shrink_batch"] = False
    if "output" not in options:
        options["output"] = str(result_folder({}, f"{final.name}-final"))
    return from_plain({**settings, **options}, TrainConfig)


def add_train(commands: Any, about: str) -> None:
    """Add the parser of `samix train`."""
    parser = add_command(commands, "train", "train DATA [options]", about, _TRAIN, _EXAMPLES)
    add_run(parser, TrainConfig, demo="'demo' for DATA 'demo'")
    group = parser.add_argument_group("final model")
    group.add_argument(
        "--from-poc",
        help="folder of a finished samix poc: train what its verdict recommends, with its "
        "settings, on all labelled photos but those of val; options given here come before it",
        metavar="POC",
    )
    add_fields(group, TrainConfig, "final")
