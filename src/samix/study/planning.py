"""The plan of a study: timed, chosen and written down before anything is trained."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from samix.errors import InputError
from samix.training.progress import clock
from samix.training.task import Announce

from .design import (
    LEAST_STEPS,
    Design,
    Timing,
    Timings,
    choose,
    ladder,
    long_factors,
    plain_timings,
    steps_of,
)
from .engine import Engine
from .grid import LEARNED, SELF_SUPERVISED, SUPERVISED, jobs_of
from .measures import effective_parts, measure_of
from .opening import Opened, Wish
from .power import smallest_difference
from .trained import VERSION
from .trials import time_policies

# lam is drawn as the hand-made rivals draw it: a lead is not to come from another alpha
_OPTIONS: Mapping[str, Mapping[str, Any]] = {"samix": {"alpha": 1.0}, "samix-p": {"alpha": 1.0}}
_RESERVE = 0.12  # of the time, for a machine that is slower later and for the report
_REPORT = 30.0  # seconds for findings, pictures and report
_QUICK = 1800.0  # seconds of budget below which trials are quick


def plan_study(
    wish: Wish,
    opened: Opened,
    engine: Engine,
    trials: Path,
    announce: Announce,
    *,
    begun: float | None = None,
) -> dict[str, Any]:
    """Time the policies and choose the richest grid that fits.

    Args:
        wish: What is asked.
        opened: Photos and training.
        engine: Where the study will be trained.
        trials: Folder for short trainings; it is removed.
        announce: Called during long work.
        begun: Time of :func:`time.monotonic` at which the budget began; None is now.

    Returns:
        What poc.yaml holds, but for command, versions and machine.

    Raises:
        InputError: The time does not suffice for anything; the message says what would.
    """
    begun = time.monotonic() if begun is None else begun
    designs = ladder(wish.policies, tuple(opened.labels), wish.modes)

    def fit(timings: Timings) -> tuple[Design | None, float]:
        usable = (1 - _RESERVE) * (wish.budget - (time.monotonic() - begun)) - _REPORT
        return choose(
            designs, timings, opened.labels, seconds=usable, workers=engine.workers,
            seeds=wish.seeds,
        )  # fmt: skip

    timings: dict[str, dict[str, Timing]] = {}
    for mode in wish.modes:
        if mode != wish.modes[0]:
            hoped, _ = fit({**timings, mode: timings[wish.modes[0]]})
            if hoped is not None and mode not in hoped.modes:
                continue  # no time for it even if it took no longer than the first
        asked = {mode: wish.policies}
        timings |= time_policies(
            trials, opened, asked, _OPTIONS, engine, announce, quick=wish.budget < _QUICK
        )
    design, seconds = fit(timings)
    spent = time.monotonic() - begun
    if design is None:
        least = spent + (seconds + _REPORT) / (1 - _RESERVE)
        raise InputError(
            f"--budget {clock(wish.budget)} is too little to tell anything on this machine: plain "
            f"training, its rivals and SAMix for {LEAST_STEPS} steps with "
            f"{wish.seeds or 3} seeds take about {clock(60 * math.ceil(least / 60))}; give more "
            "time, fewer --policies, or a smaller --image-size"
        )
    plan = _plan(wish, opened, design, timings, engine.workers)
    plan |= {"budget_seconds": wish.budget, "expected_seconds": round(spent + seconds + _REPORT)}
    splits, images = opened.splits, opened.images
    parts = {side: getattr(splits, side) for side in ("train", "val", "test")}
    study = {
        "version": VERSION,
        "data": {
            "source": wish.data, "name": images.name, "classes": list(images.classes),
            "photos": {side: len(part) for side, part in parts.items()},
            "parts": {side: opened.parts(part) for side, part in parts.items()},
            "test_parts": opened.test_parts(), "image_size": opened.train["image_size"],
            "good": list(wish.good), "notes": list(opened.notes),
        },
        "plan": plan,
        "train": opened.train,
        "pretrain": opened.pretrain if SELF_SUPERVISED in design.modes else None,
    }  # fmt: skip
    plan["cells"] = sum(len(job.cells) for job in jobs_of(study))
    plan["trainings"] = len(jobs_of(study))
    return study


def _plan(wish: Wish, opened: Opened, design: Design, timings: Any, workers: int) -> dict[str, Any]:
    budgets = sorted(design.fractions)
    labels = [opened.labels[share] for share in budgets]
    most, photos = max(opened.labels.values()), len(opened.splits.train)
    steps = {str(n): steps_of(design.steps, n, most) for n in labels}
    batch, ssl_batch = opened.train["batch_size"], opened.pretrain["batch_size"]
    epochs = {n: _epochs(count, int(n), batch) for n, count in steps.items()}
    pretrain_epochs = _epochs(design.steps, photos, ssl_batch)
    main = SUPERVISED if SUPERVISED in design.modes else design.modes[0]
    rivals = [name for name in design.named(main) if name not in LEARNED]
    counts = opened.test_parts()
    measured = measure_of(counts, good=wish.good)
    parts = min(int(effective_parts(measured, counts)), opened.parts(opened.splits.test))
    seeds = list(range(design.seeds))
    shown = smallest_difference(len(seeds), parts, rivals=len(rivals)) if parts >= 2 else math.inf
    return {
        "policies": {mode: design.named(mode) for mode in design.modes},
        "modes": list(design.modes), "labels": labels, "fractions": budgets, "seeds": seeds,
        "steps": {n: epochs[n] * _batches(int(n), batch) for n in epochs}, "epochs": epochs,
        "pretrain_epochs": pretrain_epochs,
        "pretrain_steps": pretrain_epochs * _batches(photos, ssl_batch),
        "long": long_factors(design, timings),
        "long_labels": labels if design.long_everywhere else labels[-1:],
        "options": {name: dict(given) for name, given in _OPTIONS.items()},
        "primary": {"mode": main, "labels": labels[-1]},
        "measure": measured.name, "timings": plain_timings(timings), "workers": workers,
        "smallest_difference": round(shown, 2), "weak_classes": opened.weak(),
        "left_out": sorted(opened.left_out),
        "not_planned": sorted(set(opened.labels) - set(design.fractions)),
    }  # fmt: skip


def _epochs(steps: int, photos: int, batch: int) -> int:
    return math.ceil(steps / _batches(photos, batch))


def _batches(photos: int, batch: int) -> int:
    return max(1, math.ceil(photos / min(batch, photos)))
