"""The end of a run: the chosen checkpoint is judged once on test, and everything written down."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from torch import Tensor

from samix.evaluation import evaluate_classifiers
from samix.methods import SupervisedMethod
from samix.mixing import step_generator
from samix.report import draw_mixes

from .checkpoints import load_method, read_checkpoint
from .exporting import write_model
from .fitting import history_of
from .keeper import AUTOCAST, CHOSEN_BY, networks_of
from .life import has_mixer, life_summary
from .preparation import Batches, Prepared
from .progress import Display
from .runs import RunFolder, write_json

_PAIRS = 8
_RULE = "highest balanced accuracy of the encoder on val; the later epoch where two are equal"


def finish(prepared: Prepared, run: RunFolder, display: Display, status: str) -> dict[str, Any]:
    """Judge the checkpoint that validation chose; write the model, metrics.json and mixes.png.

    Args:
        prepared: The run.
        run: Its folder, with checkpoints.
        display: Where to show progress.
        status: "finished" or "interrupted".

    Returns:
        What metrics.json holds.
    """
    rows = history_of(read_checkpoint(run.last))
    looks = [row for row in rows if CHOSEN_BY in row]
    chosen = max(looks, key=lambda row: (row[CHOSEN_BY], row["epoch"]))
    method = load_method(run.best, prepared).to(prepared.config.device)
    begin = time.monotonic()
    judged = {
        part: _judge(method, prepared, loader, display, f"judging {part}")
        for part, loader in (("test", prepared.loaders.test), ("val", prepared.loaders.val))
    }
    metrics = {
        "status": status,
        **judged,
        "checkpoint": {"epoch": int(chosen["epoch"]), "chosen_by": _RULE},
        "epochs": {"done": len(rows), "planned": prepared.config.epochs},
        "train": {"top1_without_augmentation": rows[-1]["train_top1"], "loss": rows[-1]["loss"]},
        "photos": {
            "train": len(prepared.splits.train),
            "val": len(prepared.splits.val),
            "test": len(prepared.splits.test),
        },
        "mixer": life_summary(rows, prepared.steps) if has_mixer(rows) else None,
        "cost": _cost(rows, prepared, time.monotonic() - begin),
        "notes": list(prepared.notes),
    }
    images, target = prepared.fixed_batch()
    draw_run_mixes(run, prepared, method, images, target)
    view = prepared.view
    write_model(
        run,
        method,
        prepared.config,
        classes=prepared.images.classes,
        mean=view.mean,
        std=view.std,
    )
    write_json(run.metrics, metrics)
    display.rest()
    return metrics


def _judge(
    method: SupervisedMethod, prepared: Prepared, loader: Batches, display: Display, what: str
) -> dict[str, Any]:
    """Return the metrics of encoder and average on one part."""

    def counted() -> Any:
        for number, batch in enumerate(loader):
            yield batch
            display.work(what, number + 1, len(loader))

    results = evaluate_classifiers(
        networks_of(method),
        counted(),
        prepared.images.classes,
        device=prepared.config.device,
        autocast=AUTOCAST[prepared.config.precision],
    )
    return {name: result.to_dict() for name, result in results.items()}


def _cost(rows: Sequence[dict[str, float]], prepared: Prepared, judging: float) -> dict[str, Any]:
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


def draw_run_mixes(
    run: RunFolder, prepared: Prepared, method: SupervisedMethod, images: Tensor, target: Tensor
) -> None:
    """Draw eight pairs of training photos as the policy of the run mixes them.

    Args:
        run: Where to write.
        prepared: The run.
        method: With the chosen weights.
        images: (B,3,H,W), normalised.
        target: (B,) int64.
    """
    images, target = images[:_PAIRS], target[:_PAIRS]
    device = prepared.config.device
    generator = step_generator(prepared.config.seed, 0)
    plan = method.plan(images.to(device), target.to(device), generator=generator)
    classes = prepared.images.classes
    config = prepared.config
    draw_mixes(
        run.mixes,
        prepared.view.denormalise(images),
        plan,
        [classes[int(number)] for number in target],
        title=f"{config.policy} on {prepared.images.name}, {config.backbone}",
        pairs=_PAIRS,
    )
