"""The end of a run: the weights that are its result are judged, and everything written down."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from samix.mixing import step_generator
from samix.report import draw_mixes

from .checkpoints import load_method, read_checkpoint
from .fitting import history_of
from .guarding import draw_run_guard, guard_summary
from .life import has_mixer, life_summary
from .preparation import Prepared
from .progress import Display
from .runs import RunFolder, write_json
from .settings import AUTOCAST
from .task import Place, Row

_PAIRS = 8


def finish(prepared: Prepared, run: RunFolder, display: Display, status: str) -> dict[str, Any]:
    """Judge the weights that are the result; write the model, metrics.json and mixes.png.

    Args:
        prepared: The run.
        run: Its folder, with checkpoints.
        display: Where to show progress.
        status: "finished" or "interrupted".

    Returns:
        What metrics.json holds.
    """
    task, config, splits = prepared.task, prepared.config, prepared.splits
    last = read_checkpoint(run.last)
    rows = history_of(last)
    load_method(task.result(run), prepared).to(config.device)
    place = Place(config.device, AUTOCAST[config.precision])
    begin = time.monotonic()
    judged = task.conclude(run, rows, place, display.work)
    metrics = {
        "status": status,
        **judged,
        "epochs": {"done": len(rows), "planned": config.epochs},
        "photos": {
            "train": len(splits.train),
            "val": len(splits.val),
            "test": len(splits.test),
        },
        "mixer": life_summary(rows, prepared.steps) if has_mixer(rows) else None,
        "guard": guard_summary(prepared.method.guard, last),
        "cost": _cost(rows, prepared, time.monotonic() - begin),
        "notes": list(prepared.notes),
    }
    draw_run_mixes(run, prepared, place)
    title = f"guard of {config.policy} on {prepared.images.name}"
    draw_run_guard(run, metrics["guard"], title)
    task.write_model(run)
    write_json(run.metrics, metrics)
    display.rest()
    return metrics


def _cost(rows: Sequence[Row], prepared: Prepared, judging: float) -> dict[str, Any]:
    """Return what the run cost, the parts before a resume included."""
    training = sum(row["train_seconds"] for row in rows)
    photos = sum(row["images_per_second"] * row["train_seconds"] for row in rows)
    return {
        "seconds": sum(row["seconds"] for row in rows),
        "train_seconds": training,
        "test_seconds": judging,
        "images_per_second": photos / max(training, 1e-9),
        "steps": int(rows[-1]["step"]),
        "device": prepared.config.device,
        "processes": prepared.config.processes,
    }


def draw_run_mixes(run: RunFolder, prepared: Prepared, place: Place) -> None:
    """Draw eight pairs of training photos as the policy of the run mixes them.

    Args:
        run: Where to write.
        prepared: The run, with the weights that are its result.
        place: Where they are.
    """
    config = prepared.config
    shown = prepared.task.picture(place, step_generator(config.seed, 0), _PAIRS)
    draw_mixes(
        run.mixes,
        shown.images,
        shown.plan,
        shown.labels,
        partner_images=shown.partner_images,
        title=f"{config.policy} on {prepared.images.name}, {config.backbone}",
        pairs=_PAIRS,
    )
