"""`samix pretrain`: its options, its configuration and its summary."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from samix.options import from_plain
from samix.training.config import PretrainConfig

from .options import add_command, add_run
from .running import begin_with, cost_line, mixer_line, options_over_preset, run_or_resume, say

if TYPE_CHECKING:
    from rich.console import Console

    from samix.training import TrainResult


_PRETRAIN = """\
Train an image encoder without labels, with learned mixup (SAMix) or another policy.

DATA is a folder of photos, flat or with one folder per class, with or without train, val
and test folders above, a folder of parquet files in Hugging Face layout, a timm name such
as torch/cifar10, or the word 'demo' for built-in photos.

Nothing is learned from labels and nothing is chosen by them. Where there are classes,
they serve for two things: the same test photos as in 'samix train' are set aside and never
looked at, and a kNN accuracy is shown after each epoch.
"""
_EXAMPLES = """\
examples:
  samix pretrain demo
  samix pretrain photos/ --preset quick
  samix pretrain photos/ --preset ssl-resnet --method byol --policy cutmix
  samix pretrain --resume --output runs/photos-moco-samix   go on with a stopped run
  samix train photos/ --init RUN --policy RUN               then use encoder and Mixer
  samix evaluate RUN --data photos/                         or measure what was learned
"""


def run_pretrain(chosen: argparse.Namespace) -> int:
    """Pre-train or resume, and print a summary."""
    from samix.training import pretrain

    return run_or_resume(chosen, begin_with(config_from, pretrain), print_pretrain_summary)


def config_from(given: Mapping[str, Any]) -> PretrainConfig:
    """Return the configuration of options that were given, over those of the preset."""
    return from_plain(options_over_preset(given, "pretrain", demo="quick"), PretrainConfig)


def print_pretrain_summary(result: TrainResult, console: Console) -> None:
    """Print what a run learned, what it cost, and what to do with it."""
    from samix.training.run_folder import WEIGHTS

    metrics, run = result.metrics, result.run
    console.print()
    if metrics is None:
        console.print("Stopped before the first epoch was full: there is nothing to use yet.")
    else:
        _print_metrics(metrics, console)
    if result.status == "interrupted":
        say(console, f"Interrupted. Go on with: samix pretrain --resume --output {run.path}")
    if metrics is not None:
        say(console, f"Mixes to look at: {run.mixes}")
        say(console, f"Page:             {run.page}")
        say(console, f"All numbers:      {run.metrics}")
        say(console, f"Encoder:          {run.path / WEIGHTS}")
        mixer = f" --policy {run.path}" if metrics["mixer"] is not None else ""
        say(console, f"Use it with:      samix train DATA --init {run.path}{mixer}")
        say(console, f"Measure it with:  samix evaluate {run.path} --data DATA")


def _print_metrics(metrics: dict[str, Any], console: Console) -> None:
    from samix.training.callbacks import guard_line

    held_out, knn = metrics["held_out"], metrics["knn"]
    say(
        console,
        f"Held-out loss {held_out['loss']:.3f} on {held_out['photos']} validation photos, "
        f"{held_out['batch']} at a time.",
    )
    if knn is None:
        say(console, "No classes in the data: no kNN accuracy.")
    else:
        average = f", of its average {knn['average']['top1']:.1%}" if "average" in knn else ""
        say(
            console,
            f"kNN accuracy of the encoder {knn['encoder']['top1']:.1%}{average} ({knn['photos']} "
            f"validation photos, {knn['bank']} training photos with their classes). No label was "
            "used for anything else.",
        )
    say(console, cost_line(metrics))
    if metrics["guard"] is not None:
        say(console, guard_line(metrics["guard"]))
    if metrics["mixer"] is not None:
        say(console, mixer_line(metrics["mixer"]))


def add_pretrain(commands: Any, about: str) -> None:
    """Add the parser of `samix pretrain`."""
    parser = add_command(
        commands, "pretrain", "pretrain DATA [options]", about, _PRETRAIN, _EXAMPLES
    )
    add_run(parser, PretrainConfig, demo="quick for DATA 'demo'")
