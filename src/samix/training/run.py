"""A run from its configuration to its metrics: it is begun, resumed, and finished."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from signal import Signals
from typing import Any, Literal

from samix.data import write_splits
from samix.data.beginning import write_photos
from samix.errors import InputError
from samix.files import check_links
from samix.methods import SupervisedMethod
from samix.mixing import step_generator
from samix.pages.mixes import draw_mixes
from samix.pages.run import write_run_page
from samix.plain_json import read_json
from samix.progress import Display, Silent, named
from samix.stopping import StopRequest, stop_on_signals

from .building import check_names
from .callbacks import check_checkpoint, guard_summary, load_method, read_checkpoint
from .config import FROZEN, PretrainConfig, RunConfig, TrainConfig
from .fit import check_launch, fit, fit_in_processes, history_of, outer_rank
from .frozen import run_frozen
from .prepare import Prepared, prepare, resolve
from .probe import expected_seconds
from .progress import TrainingDivergedError, TrainingInterrupted, readers_named
from .run_folder import (
    RunFolder,
    created_run,
    free_output,
    only_run,
    open_run,
    read_config,
    read_notes,
    write_config,
    write_json,
)
from .task import Place, Row, has_mixer, life_summary
from .warm_start import adopt, open_starts

_PAIRS = 8


@dataclass(frozen=True)
class TrainResult:
    """What a run ended with."""

    run: RunFolder  # its folder
    # the last in a process that is not the first
    status: Literal["finished", "interrupted", "worker"]
    metrics: dict[str, Any] | None  # of metrics.json; None where not even one epoch was finished
    stopped_by: int | None = None  # number of the signal; None where none did


def train(
    config: TrainConfig, *, display: Display | None = None, extras: bool = True
) -> TrainResult:
    """Train a classifier and judge it.

    Args:
        config: What to do; nothing in it needs to be resolved.
        display: Where to show progress; None shows nothing.
        extras: Pictures and curves for people who look into the folder; a study needs none.

    Returns:
        Folder and metrics of the run.

    Raises:
        InputError: Something the user gave cannot be used.
        TrainingDivergedError: The loss was no finite number any more.
        WorkerDiedError: A process that worked for the run died.
    """
    if config.policy == FROZEN:
        run, metrics = run_frozen(config, _display(display))
        return TrainResult(run, "finished", metrics)
    return _begin(config, _display(display), extras=extras)


def pretrain(
    config: PretrainConfig, *, display: Display | None = None, extras: bool = True
) -> TrainResult:
    """Train an encoder without labels; arguments, result and errors are those of :func:`train`."""
    return _begin(config, _display(display), extras=extras)


def _begin(config: RunConfig, display: Display, *, extras: bool) -> TrainResult:
    check_launch(config)
    starts = open_starts(config)
    config = adopt(config, starts)
    check_names(config)
    config = resolve(config)
    rank = outer_rank() or 0
    path = free_output(config) if rank == 0 else Path(config.output or "runs")
    prepared = prepare(config, rank=rank, starts=starts, announce=display.work)
    if rank > 0:
        return _go(prepared, RunFolder(path), display, extras=extras)
    with created_run(path) as run:
        write_splits(run.splits, prepared.images, prepared.splits)
        hashed = named(display.work, "hashing photos")
        write_photos(run.photos, prepared.images, prepared.splits, progress=hashed)
        write_config(run, prepared.config, prepared.images, prepared.notes)
        return _go(prepared, run, display, extras=extras)


def resume(path: str | Path, *, display: Display | None = None, extras: bool = True) -> TrainResult:
    """Go on with a run of any kind from its last checkpoint; its folder says what it does.

    A run that was stopped at any moment ends, on the CPU, with the same weights bit for bit as one
    that was not. Display, extras and errors are those of :func:`train`.

    Raises:
        InputError: The folder is no run, its data or checkpoint changed, or another process works
            on it.
    """
    display = _display(display)
    run = open_run(path)
    config = resolve(read_config(run))
    if (metrics := _finished(run)) is not None:
        display.say(f"Run '{run.path}' is finished already; these are its results.")
        return TrainResult(run, "finished", metrics)
    if isinstance(config, TrainConfig) and config.policy == FROZEN:
        return TrainResult(run, "finished", run_frozen(config, display, run)[1])
    check_launch(config)
    check_names(config)
    check_links(run.path)
    rank = outer_rank() or 0
    with only_run(run) if rank == 0 else nullcontext():
        prepared = prepare(config, rank=rank, run=run, announce=display.work)
        notes = dict.fromkeys((*read_notes(run), *prepared.notes))
        return _go(replace(prepared, notes=tuple(notes)), run, display, extras=extras)


def _display(wanted: Display | None) -> Display:
    """Return where to show progress: nowhere in a process that is not the first."""
    return Silent() if wanted is None or outer_rank() else wanted


def _go(prepared: Prepared, run: RunFolder, display: Display, *, extras: bool) -> TrainResult:
    display.rest()
    if prepared.probe is not None and (outer_rank() or 0) == 0:
        write_json(run.probe, prepared.probe)
    display.say(_opening(prepared, run))
    for note in prepared.notes:
        display.say(note)
    try:
        with stop_on_signals() as stop:
            stopped_by = _fit(prepared, run, display, stop, extras=extras)
            stop.at_once = True  # judging can be cut off anywhere
            return _finish(prepared, run, display, stopped_by, extras=extras)
    except KeyboardInterrupt:
        display.rest()
        again = f"samix {prepared.config.command} resume=True output={run.path}"
        display.say(f"Cut off; go on with: {again}")
        raise


def _finish(
    prepared: Prepared, run: RunFolder, display: Display, stopped_by: int | None, *, extras: bool
) -> TrainResult:
    if (outer_rank() or 0) > 0:
        return TrainResult(run, "worker", None, stopped_by)
    status: Literal["finished", "interrupted"] = "finished"
    if stopped_by is not None:
        status = "interrupted"
        display.rest()
        display.say(f"Stopped by {Signals(stopped_by).name}.")
    with readers_named():
        there = run.last.is_file()
        metrics = finish(prepared, run, display, status, extras=extras) if there else None
    return TrainResult(run, status, metrics, stopped_by)


def _opening(prepared: Prepared, run: RunFolder) -> str:
    config, splits = prepared.config, prepared.splits
    parameters = sum(p.numel() for p in prepared.method.encoder.parameters()) / 1e6
    return (
        f"{prepared.images.name}: {len(splits.train)} photos to train, {len(splits.val)} val, "
        f"{len(splits.test)} test{prepared.task.about}; {config.backbone} ({parameters:.1f} M "
        f"weights) {_start(prepared)} with {' and '.join(config.name_parts)} on {config.device}"
        f"{_length(prepared)}; writing to '{run.path}'"
    )


def _start(prepared: Prepared) -> str:
    config = prepared.config
    begun = config.init if isinstance(config, TrainConfig) else None
    if begun is None and config.weights is None and not config.pretrained:
        return "from random weights"
    return f"from '{begun or config.weights or 'its published weights'}'"


def _length(prepared: Prepared) -> str:
    config, method = prepared.config, prepared.method
    if prepared.probe is None or not isinstance(method, SupervisedMethod):
        return ""
    minutes = expected_seconds(method, config, prepared.steps) / 60
    return (
        f", {config.image_size} px, {prepared.steps} steps of {config.batch_size} photos after a "
        f"linear probe, about {max(1.0, minutes):.0f} min"
    )


def _fit(
    prepared: Prepared, run: RunFolder, display: Display, stop: StopRequest, *, extras: bool
) -> int | None:
    """Train what is left to train; return the number of the signal that stopped it."""
    try:
        if _epochs_done(prepared, run) == prepared.config.epochs:
            return None
        if prepared.config.processes > 1 and outer_rank() is None:
            fit_in_processes(prepared.config, run, display, stop)
        else:
            fit(prepared, run, display, stop, curves=extras)
    except TrainingInterrupted as error:
        return error.number
    except TrainingDivergedError as error:
        raise TrainingDivergedError(_diverged(prepared, run, str(error))) from error
    return None


def _epochs_done(prepared: Prepared, run: RunFolder) -> int:
    """Return the number of full epochs in the last checkpoint, 0 where there is none."""
    if not run.last.is_file():
        return 0
    checkpoint = read_checkpoint(run.last)
    check_checkpoint(run.last, checkpoint, prepared)
    return len(history_of(checkpoint))


def _finished(run: RunFolder) -> dict[str, Any] | None:
    if not run.metrics.is_file():
        return None
    try:
        metrics = read_json(run.metrics)
    except (OSError, ValueError) as error:
        raise InputError(
            f"'{run.metrics}' cannot be read ({error}); remove it to go on with the run"
        ) from error
    return metrics if metrics.get("status") == "finished" else None


def _diverged(prepared: Prepared, run: RunFolder, reason: str) -> str:
    done = _epochs_done(prepared, run)
    kept = (
        f"the last good checkpoint is '{run.last}' (epoch {done})" if done else "no epoch was full"
    )
    if (outer_rank() or 0) == 0:
        write_json(run.metrics, {"status": "diverged", "reason": reason, "epochs": {"done": done}})
    return f"{reason}; {kept}"


def finish(
    prepared: Prepared, run: RunFolder, display: Display, status: str, *, extras: bool = True
) -> dict[str, Any]:
    """Judge the result; write the model, pictures and metrics.json, whose content is returned."""
    task, config, splits = prepared.task, prepared.config, prepared.splits
    last = read_checkpoint(run.last)
    rows = history_of(last)
    load_method(task.result(run), prepared).to(config.device)
    place = Place(config.device, None)  # in float32, as the exported network computes
    begin = time.monotonic()
    judged = task.conclude(run, rows, place, display.work)
    metrics = {
        "status": status,
        **judged,
        "epochs": {"done": len(rows), "planned": config.epochs},
        "photos": {"train": len(splits.train), "val": len(splits.val), "test": len(splits.test)},
        **_probed(run, judged),
        "mixer": life_summary(rows, prepared.steps) if has_mixer(rows) else None,
        "guard": guard_summary(prepared.method.guard, last),
        "cost": _cost(rows, prepared, time.monotonic() - begin),
        "notes": list(prepared.notes),
    }
    if extras:
        draw_run_mixes(run, prepared, place)
        write_run_page(
            run.page, metrics, rows, data=prepared.images.name, mixes=run.mixes,
            settings=config.to_dict(),
        )  # fmt: skip
    task.write_model(run)
    write_json(run.metrics, metrics)
    display.rest()
    return metrics


def _probed(run: RunFolder, judged: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the classifier began as, and whether learning all weights was worth it on val."""
    if not run.probe.is_file():
        return {}
    probe = read_json(run.probe)
    before, after = (p["balanced_accuracy"] for p in (probe["val"], judged["val"]["encoder"]))
    return {"probe": {**probe, "better_on_val": before > after}}


def _cost(rows: Sequence[Row], prepared: Prepared, judging: float) -> dict[str, Any]:
    training = sum(row["train_seconds"] for row in rows)
    photos = sum(row["images_per_second"] * row["train_seconds"] for row in rows)
    waited = sum(row.get("waiting_share", 0.0) * row["train_seconds"] for row in rows)
    return {
        "seconds": sum(row["seconds"] for row in rows),
        "train_seconds": training,
        "test_seconds": judging,
        "images_per_second": photos / max(training, 1e-9),
        "waiting_share": waited / max(training, 1e-9),
        "steps": int(rows[-1]["step"]),
        "device": prepared.config.device,
        "processes": prepared.config.processes,
    }


def draw_run_mixes(run: RunFolder, prepared: Prepared, place: Place) -> None:
    """Draw eight pairs of training photos as the policy of the run mixes them."""
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
