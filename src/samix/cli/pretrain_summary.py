"""The end of a self-supervised run as people read it."""

from __future__ import annotations

from typing import Any

from rich.console import Console

from samix.training import TrainResult
from samix.training.callbacks import guard_line
from samix.training.run_folder import WEIGHTS

from .summary import cost_line, mixer_line, say


def print_pretrain_summary(result: TrainResult, console: Console) -> None:
    """Print what a run learned, what it cost, and what to do with it."""
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
        say(console, f"All numbers:      {run.metrics}")
        say(console, f"Encoder:          {run.path / WEIGHTS}")
        mixer = f" --policy {run.path}" if metrics["mixer"] is not None else ""
        say(console, f"Use it with:      samix train DATA --init {run.path}{mixer}")
        say(console, f"Measure it with:  samix evaluate {run.path} --data DATA")


def _print_metrics(metrics: dict[str, Any], console: Console) -> None:
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
