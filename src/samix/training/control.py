"""The unmixed control: mixing is reduced, and in the end stopped, where it falls behind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from samix.errors import InputError

from .runs import open_run, read_config
from .task import Row

if TYPE_CHECKING:
    from .config import TrainConfig

CHOSEN_BY = "val_balanced_accuracy"
FIRST_LOOK = 0.1  # share of the steps before which nothing is decided
LEAST = 0.2  # share of mixed samples below which mixing stops
FASTER = 0.5  # what each step back leaves of it


@dataclass(frozen=True)
class Control:
    """What an unmixed run had reached after each share of its steps.

    Attributes:
        run: Its folder.
        progress: Shares of its steps, ascending.
        best: Best validation accuracy up to there.
        margin: How far a run may be behind, as a share, before mixing is reduced.
    """

    run: str
    progress: tuple[float, ...]
    best: tuple[float, ...]
    margin: float

    def reached(self, progress: float) -> float | None:
        """Return what the control had reached after a share of its steps, None before a look."""
        there = [b for p, b in zip(self.progress, self.best, strict=True) if p <= progress + 1e-9]
        return there[-1] if there else None


def open_control(config: TrainConfig) -> Control | None:
    """Read the control run of a configuration, None where there is none.

    Raises:
        InputError: The folder is no finished run of policy none, or of other photos or labels.
    """
    if config.control is None:
        return None
    run = open_run(config.control)
    there = read_config(run)
    if there.policy != "none":
        raise InputError(
            f"--control '{config.control}' mixes with '{there.policy}'; give a run of policy none"
        )
    for name in ("data", "command"):
        if getattr(there, name) != getattr(config, name):
            raise InputError(
                f"--control '{config.control}' has another {name}: {getattr(there, name)} instead "
                f"of {getattr(config, name)}; give a run on the same photos"
            )
    if not run.metrics.is_file() or not run.history.is_file():
        raise InputError(f"--control '{config.control}' is not finished; finish it first")
    try:
        rows = pd.read_csv(run.history, usecols=["step", CHOSEN_BY], dtype=float)
        looked = rows.dropna(subset=[CHOSEN_BY])
        progress = (looked["step"] / rows["step"].iloc[-1]).tolist()
    except (OSError, ValueError, IndexError) as error:
        raise InputError(
            f"--control '{config.control}': '{run.history}' cannot be read ({error}); give a "
            "finished run"
        ) from error
    best = looked[CHOSEN_BY].cummax().tolist()
    return Control(str(run.path), tuple(progress), tuple(best), config.control_margin)


def less_mixing(control: Control, rows: Sequence[Row], share: float, steps: int) -> float:
    """Return the share of samples to mix from now on.

    It is halved at each look at which the best validation accuracy so far is behind that of the
    control after the same share of the steps by more than the margin, and 0 once it would be below
    a fifth.

    Args:
        control: The unmixed run.
        rows: The history, whose last row is this look.
        share: Share that is mixed now, in [0, 1].
        steps: Planned steps of this run.
    """
    progress = rows[-1]["step"] / steps
    there = control.reached(progress)
    if there is None or progress < FIRST_LOOK or share == 0.0:
        return share
    best = max(row[CHOSEN_BY] for row in rows if CHOSEN_BY in row)
    if best >= there - control.margin:
        return share
    return share * FASTER if share * FASTER >= LEAST else 0.0


def less_mixing_sentence(control: Control, rows: Sequence[Row], share: float, steps: int) -> str:
    """Return what to tell when mixing was reduced to a share."""
    best = max(row[CHOSEN_BY] for row in rows if CHOSEN_BY in row)
    there = control.reached(rows[-1]["step"] / steps)
    done = "stopped" if share == 0.0 else f"reduced to {share:.0%} of the photos"
    return (
        f"Mixing is {done}: balanced accuracy on val is {best:.1%}, and the unmixed control had "
        f"{there:.1%} by now ('{control.run}')."
    )
