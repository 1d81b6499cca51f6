"""The end of a run as people read it."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from samix.shown import shown
from samix.training import TrainResult
from samix.training.callbacks import guard_line
from samix.training.progress import clock

_SHOWN_CLASSES = 12
_NO_TEST = (
    "A final model has no test figure of its own: it has learned from the test photos. The val "
    "photos chose its epoch, so that they flatter it a little."
)


def print_summary(result: TrainResult, console: Console) -> None:
    """Print what a run reached, what it cost, and where to look."""
    metrics = result.metrics
    console.print()
    if metrics is None:
        console.print("Stopped before the first epoch was full: there is nothing to judge yet.")
    else:
        _print_metrics(metrics, console)
    if result.status == "interrupted":
        say(console, f"Interrupted. Go on with: samix train --resume --output {result.run.path}")
    if metrics is not None:
        say(console, f"Mixes to look at: {result.run.mixes}")
        if metrics["guard"] is not None:
            say(console, f"Guard by classes: {result.run.guard}")
        say(console, f"All numbers:      {result.run.metrics}")


def _print_metrics(metrics: dict[str, Any], console: Console) -> None:
    part = "val" if metrics["test"] is None else "test"
    chosen, shown = metrics["checkpoint"], metrics[part]
    photos = next(iter(shown.values()))["photos"]
    where = f"{photos} photos, weights of epoch {chosen['epoch']}, chosen on val"
    say(console, f"{part.capitalize()}: {where}")
    if part == "val":
        say(console, _NO_TEST)
    table = Table()
    for heading in ("", "top-1", "balanced accuracy", "NLL", "ECE"):
        table.add_column(heading, justify="left" if not heading else "right")
    for name, judged in shown.items():
        table.add_row(
            name,
            f"{judged['top1']:.1%}",
            f"{judged['balanced_accuracy']:.1%}",
            f"{judged['nll']:.3f}",
            f"{judged['ece']:.3f}",
        )
    console.print(table)
    say(console, _recall_line(shown["encoder"]["recall"]))
    say(console, cost_line(metrics))
    if metrics["guard"] is not None:
        say(console, guard_line(metrics["guard"]))
    if metrics["mixer"] is not None:
        say(console, mixer_line(metrics["mixer"]))


def _recall_line(recall: dict[str, float | None]) -> str:
    """Return the recall of each class, the worst first where there are many."""
    known = [(name, value) for name, value in recall.items() if value is not None]
    if len(known) > _SHOWN_CLASSES:
        known = sorted(known, key=lambda pair: pair[1])[:_SHOWN_CLASSES]
        return f"Lowest recall: {', '.join(f'{name} {value:.0%}' for name, value in known)}"
    return f"Recall: {', '.join(f'{name} {value:.0%}' for name, value in known)}"


def cost_line(metrics: dict[str, Any]) -> str:
    """Return how long a run took and how fast it was."""
    cost, epochs = metrics["cost"], metrics["epochs"]
    return (
        f"{epochs['done']} of {epochs['planned']} epochs in {clock(cost['seconds'])}, "
        f"{cost['images_per_second']:,.0f} images/s on {cost['device']}."
    )


def mixer_line(mixer: dict[str, Any]) -> str:
    """Return whether the Mixer lived."""
    end = mixer["at_end"]
    numbers = (
        f"masks vary by {end['mask_deviation']:.2f}, areas follow lam by "
        f"{end['area_lam_correlation']:.2f} at the end"
    )
    if not mixer["came_alive"]:
        return (
            f"The Mixer NEVER CAME ALIVE ({numbers}): this run says nothing about SAMix, only "
            "about a costly mixup."
        )
    if not mixer["alive_at_end"]:
        return (
            f"The Mixer was alive in epoch {mixer['first_alive_epoch']} but IS NOT AT THE END "
            f"({numbers}): what was learned last is a costly mixup."
        )
    return f"The Mixer is alive, since epoch {mixer['alive_since_epoch']} ({numbers})."


def say(console: Console, text: str) -> None:
    """Print a line that the terminal may wrap; names in it cannot do more than be read."""
    console.print(cell(text), soft_wrap=True)


def say_lines(console: Console, text: str) -> None:
    """Print a text of several lines, as :func:`say` prints one."""
    for line in text.split("\n"):
        say(console, line)


def cell(text: str) -> Text:
    """Return a text for a table, in which nothing is obeyed: no markup, no control character."""
    return Text(shown(text))
