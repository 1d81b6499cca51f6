"""Times of training steps, side by side."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence

from .cost_settings import create_step
from .cost_step import TrainingStep, Workload, told
from .embeddings import Machine
from .progress import Progress


def measure_time(
    settings: Sequence[str],
    workload: Workload,
    machine: Machine,
    *,
    rounds: tuple[int, int],
    channels_last: bool,
    progress: Progress,
) -> dict[str, list[float]]:
    """Return the seconds of each measured step by setting.

    In each round every setting does one step, in an order that is drawn anew, so that whatever else
    the machine does hits all of them alike and none always follows the same other one.

    Args:
        settings: From :func:`samix.evaluation.cost_settings.parse_settings`.
        workload: What is trained.
        machine: Device and precision.
        rounds: How many warm up, and how many are measured.
        channels_last: See :func:`samix.evaluation.cost_settings.create_step`.
        progress: Where to show it.

    Raises:
        InputError: A setting cannot be trained so, or memory runs out.
    """
    warmup, measured = rounds
    steps = {
        name: create_step(name, workload, machine, channels_last=channels_last) for name in settings
    }
    seconds: dict[str, list[float]] = {name: [] for name in settings}
    order, dice = list(settings), random.Random(workload.seed)  # noqa: S311 - no secret
    begin, total = time.monotonic(), warmup + measured
    for done in range(total):
        dice.shuffle(order)
        for name in order:
            with told(workload, f"setting '{name}'", stepping=True):
                spent = timed(steps[name])
            if done >= warmup:
                seconds[name].append(spent)
        left = (time.monotonic() - begin) / (done + 1) * (total - done - 1)
        progress.work(f"step {done + 1}/{total} of each, {left:.0f} s left", done + 1, total)
    return seconds


def timed(step: TrainingStep) -> float:
    """Return the seconds of one step, with all that the device has to do for it."""
    step.finish()
    start = time.perf_counter()
    step()
    step.finish()
    return time.perf_counter() - start
