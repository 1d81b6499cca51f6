"""What a run shows while it works, and how it is interrupted.

A bar in a terminal, one line for each epoch everywhere; a signal, a loss that is no number and a
process that died are exceptions.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import lightning.pytorch as pl
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.text import Text

from samix.pages.words import dictionary, word
from samix.progress import Display, Said
from samix.shown import flagged, shown, wrapped
from samix.stopping import Interrupted, StopRequest

_REFRESH = 0.5  # seconds between two changes of the bar
_ON_ITS_WAY = 0.5  # seconds that a signal may come later here than to a process that it ended


def print_sentence(console: Console, text: str) -> None:
    """Print a sentence, as wide as the terminal; names in it cannot do more than be read."""
    console.print(Text(wrapped(shown(text), console.width)), soft_wrap=True)


class Terminal:
    """A bar at the bottom of a terminal and sentences above it; elsewhere only sentences.

    Args:
        console: Where to write.
        language: "en" or "ja", for what is said in both; what is said in English alone stays so.
    """

    def __init__(self, console: Console | None = None, language: str = "en") -> None:
        self.console = console or Console(highlight=False)
        self.language = language
        self._bar: Progress | None = None
        self._shown = 0.0

    def _spoken(self, text: Said) -> str:
        if isinstance(text, str):
            key = f"work-{text.replace(' ', '-')}"
            if self.language == "en" or key not in dictionary():
                return text
            text = word(key)
        return text.ja if self.language == "ja" else text.en

    def say(self, text: Said) -> None:
        """Show a sentence that stays, above the bar; arguments in backticks become flags."""
        print_sentence(self.console, flagged(self._spoken(text)))

    def work(self, what: Said, done: int, total: int) -> None:
        """Move the bar; kinds of work that the dictionary has are told in the language."""
        now = time.monotonic()
        if not self.console.is_terminal or (now - self._shown < _REFRESH and done < total):
            return
        self._shown, what = now, shown(self._spoken(what))
        if self._bar is None:
            self._bar = Progress(
                BarColumn(bar_width=24),
                TextColumn("{task.percentage:>3.0f}%"),
                TextColumn("{task.description}", markup=False),
                console=self.console,
                transient=True,
            )
            self._bar.add_task(what)
            self._bar.start()
        self._bar.update(self._bar.task_ids[0], description=what, completed=done, total=total)

    def rest(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


@dataclass(eq=False, repr=False)
class EpochProgress(pl.Callback):
    """Shows each step as it goes, with images per second and the time that is left."""

    display: Display
    epochs: int
    processes: int  # all of which have batches of one size
    _begin: float = 0.0
    _first: int = 0
    _photos: int = 0
    _epoch_begin: float = 0.0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Note where this process began, which is not epoch 0 in a resumed run."""
        self._begin = self._epoch_begin = time.monotonic()
        self._first = trainer.current_epoch

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start counting."""
        self._photos, self._epoch_begin = 0, time.monotonic()

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Move the bar."""
        now = time.monotonic()
        batches = int(trainer.num_training_batches)
        self._photos += len(batch[0]) * self.processes
        done = (trainer.current_epoch - self._first) * batches + batch_idx + 1
        todo = (self.epochs - self._first) * batches
        left = (now - self._begin) / done * (todo - done)
        rate = self._photos / max(now - self._epoch_begin, 1e-9)
        text = (
            f"epoch {trainer.current_epoch + 1}/{self.epochs}  step {batch_idx + 1}/{batches}  "
            f"{rate:,.0f} images/s  {clock(left)} left"
        )
        self.display.work(text, done + self._first * batches, self.epochs * batches)


def epoch_line(row: Mapping[str, float], epochs: int, left: float) -> str:
    """Return the line that an epoch leaves behind."""
    average = row.get("average_val_top1")
    parts = [
        f"epoch {int(row['epoch']):>{len(str(epochs))}}/{epochs}",
        f"loss {row['loss']:.3f}",
        *([f"train {row['train_top1']:.1%}"] if "train_top1" in row else []),
        *([f"val {row['val_top1']:.1%}"] if "val_top1" in row else []),
        *([f"(average {average:.1%})"] if average is not None else []),
        *([f"held-out {row['held_out_loss']:.3f}"] if "held_out_loss" in row else []),
        *([f"kNN {row['knn_top1']:.1%}"] if "knn_top1" in row else []),
        f"{row['images_per_second']:,.0f} images/s",
        f"{clock(left)} left",
    ]
    return "  ".join(parts)


def clock(seconds: float) -> str:
    """Return a duration as people write it: 0:42, 12:05, 3:07:00."""
    whole = round(seconds)
    hours, minutes = whole // 3600, whole % 3600 // 60
    if hours:
        return f"{hours}:{minutes:02d}:{whole % 60:02d}"
    return f"{minutes}:{whole % 60:02d}"


class TrainingInterrupted(Exception):  # noqa: N818 - not an error: somebody wished it
    """Somebody stopped the run by a signal of this number; what was finished is kept."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class TrainingDivergedError(RuntimeError):
    """The loss is no finite number any more; the last good checkpoint is kept."""


class WorkerDiedError(RuntimeError):
    """A process that worked for the run died; what was finished is kept."""


def heed(stop: StopRequest) -> None:
    """Raise TrainingInterrupted where a stop was asked for."""
    if stop.number is not None:
        raise TrainingInterrupted(stop.number)


@contextmanager
def told_apart(stop: StopRequest) -> Iterator[None]:
    """Say of what ends a training whether it is that somebody stopped it.

    Raises:
        TrainingInterrupted: It is: a signal that reaches several processes ends some of them before
            this one has heeded it, and breaks the connections between them.
        Interrupted: Ctrl-C was pressed twice; lightning makes an exit of it.
        WorkerDiedError: A process that reads photos died.
    """
    try:
        with readers_named():
            yield
    except (TrainingInterrupted, TrainingDivergedError):
        raise
    except SystemExit as error:
        if stop.number is None:
            raise
        if isinstance(error.__context__, KeyboardInterrupt):
            raise Interrupted(stop.number) from error
        raise TrainingInterrupted(stop.number) from error
    except Exception as error:
        if not stop.made:
            time.sleep(_ON_ITS_WAY)
        if stop.number is None:
            raise
        raise TrainingInterrupted(stop.number) from error


@contextmanager
def readers_named() -> Iterator[None]:
    """Say what to do where a process that reads photos died."""
    try:
        yield
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        reason = str(error).partition(". ")[0].rstrip(".")
        raise WorkerDiedError(
            f"a process that reads photos died, perhaps for lack of memory ({reason}); go on with "
            "`resume`, and with fewer `workers`"
        ) from error
