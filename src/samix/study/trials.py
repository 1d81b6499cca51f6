"""Short trainings before the real ones, which tell what each policy takes on this machine."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from samix.data import Splits, write_splits
from samix.errors import InputError
from samix.training.task import Announce

from .cells import run_job
from .design import Timing
from .engine import Engine
from .grid import LEARNED, SELF_SUPERVISED, Cell, Job
from .opening import Opened

_STEPS = 8  # of an epoch
_EPOCHS = 5  # the first one warms up and is not counted
_SHORT_EPOCHS = 4  # of a quick trial


def time_policies(
    path: Path,
    opened: Opened,
    policies: Mapping[str, Sequence[str]],
    options: Mapping[str, Any],
    engine: Engine,
    announce: Announce,
    *,
    quick: bool = False,
) -> dict[str, dict[str, Timing]]:
    """Train each policy for some steps and return what it takes.

    Args:
        path: Folder for the trials; it is removed afterwards.
        opened: The photos and their training.
        policies: By mode.
        options: Of each policy.
        engine: Where the study will be trained too, as many at a time.
        announce: Called as trials end.
        quick: Shorter trials, and none of hand-made policies: they are taken to be as quick as
            plain training, from which they differ by a few percent.

    Returns:
        By mode, then by policy.

    Raises:
        InputError: A policy cannot be trained so.
    """
    todo = [
        (mode, name) for mode, names in policies.items() for name in names
        if not quick or name in ("none", *LEARNED)
    ]  # fmt: skip
    found: dict[str, dict[str, Timing]] = {mode: {} for mode in policies}
    running: dict[Future[Any], tuple[str, str]] = {}
    waiting = list(todo)
    try:
        for mode in policies:
            _write_few(path / mode, opened, _settings(opened, mode)["batch_size"])
        while waiting or running:
            while waiting and len(running) < engine.workers:
                mode, name = waiting.pop(0)
                job = _job(opened, mode, name, options.get(name, {}), quick=quick)
                running[engine.submit(timed, str(path / mode), job)] = (mode, name)
            over, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in over:
                mode, name = running.pop(future)
                found[mode][name] = future.result()
            done = sum(map(len, found.values()))
            announce("timing the policies", done, len(todo))
    finally:
        shutil.rmtree(path, ignore_errors=True)
    return {
        mode: _without_first_time(
            {name: found[mode].get(name) or found[mode]["none"] for name in names}
        )
        for mode, names in policies.items()
    }


def _without_first_time(timings: Mapping[str, Timing]) -> dict[str, Timing]:
    """Return timings whose start is the quickest: the first trial of a worker loads the code."""
    start = min(timing.start for timing in timings.values())
    return {name: replace(timing, start=start) for name, timing in timings.items()}


def timed(path: str, job: Job) -> Timing:
    """Run a trial and return what it took.

    Raises:
        InputError: It failed.
    """
    begin = time.monotonic()
    ended = run_job(path, job)
    wall = time.monotonic() - begin
    if ended.status != "finished":
        raise InputError(f"{job.name} cannot be trained here: {ended.reason}")
    rows = pd.read_csv(Path(path) / job.folder / "history.csv")
    steps = int(rows["step"].iloc[-1]) / len(rows)
    epochs = rows["train_seconds"].iloc[1:]
    training = float(epochs.median())
    look = float((rows["seconds"] - rows["train_seconds"]).iloc[1:].median())
    start = wall - len(rows) * (training + look)
    return Timing(max(start, 0.0), training / steps, max(look, 0.0), float(epochs.min()) / steps)


def _settings(opened: Opened, mode: str) -> Mapping[str, Any]:
    return opened.pretrain if mode == SELF_SUPERVISED else opened.train


def _job(opened: Opened, mode: str, policy: str, options: Mapping[str, Any], *, quick: bool) -> Job:
    command = "pretrain" if mode == SELF_SUPERVISED else "train"
    cell = Cell(policy, 1, mode, 0)
    settings = {
        **_settings(opened, mode), "policy": policy, "policy_options": dict(options),
        "epochs": _SHORT_EPOCHS if quick else _EPOCHS, "validate_every": 1, "shrink_batch": True,
    }  # fmt: skip
    return Job(f"{cell.folder}-run", command, settings, (cell,), {1: 1.0})


def _write_few(path: Path, opened: Opened, batch: int) -> None:
    """Write a split with a few batches of training photos, some of each class."""
    path.mkdir(parents=True, exist_ok=True)
    splits, targets = opened.splits, opened.images.targets
    wanted = max(_STEPS * batch, 2 * len(opened.images.classes))
    train = list(splits.train)
    if len(train) > wanted:
        order = np.random.default_rng(0).permutation(len(train))
        first = {targets[train[i]]: train[i] for i in order[::-1]}  # one of each class
        train = sorted({*first.values(), *(train[i] for i in order[:wanted])})
    few = Splits(tuple(train), splits.val, splits.test, splits.groups)
    write_splits(path / "splits.csv", opened.images, few)
