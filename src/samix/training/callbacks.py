"""What happens after each epoch: measure, write down, choose, and keep checkpoints.

Checkpoints are written atomically, and read without running any code that they hold. What a guard
did goes into the history, the metrics and a picture.
"""

from __future__ import annotations

import io
import math
import os
import pickle
import shutil
import time
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import lightning.pytorch as pl
import torch
import torch.distributed as dist
from lightning.pytorch.plugins.io import TorchCheckpointIO

from samix.errors import InputError
from samix.files import whole_file
from samix.guard import REPAIRS, Guard
from samix.networks import DAMAGED
from samix.progress import Display
from samix.stopping import StopRequest

from .machine import AUTOCAST
from .module import CHECK_EVERY, MethodModule
from .prepare import Prepared
from .progress import TrainingDivergedError, epoch_line, heed
from .run_folder import RunFolder, write_history
from .task import Method, Place, first_look, life_sentence

_AT_LEAST = 60.0  # seconds of training between two checkpoints without a look at validation
_PREFIX = "method."  # of the method's weights in lightning's state dict
_COUNTS = "guard.counters._extra_state"


@dataclass(eq=False, repr=False)
class EpochKeeper(pl.Callback):
    """Measures the epochs after which it looks at validation, and keeps their checkpoints.

    The rows of the history are part of the checkpoint, so that a resumed run goes on with those of
    its checkpoint and nothing is written twice.
    """

    prepared: Prepared
    run: RunFolder
    display: Display
    stop: StopRequest
    rows: list[dict[str, float]] = field(default_factory=list)
    _begin: float = 0.0
    _saved: float = 0.0
    _ready: float = 0.0  # when the batch before was done with
    _waited: float = 0.0  # seconds of this epoch in which there was no batch

    def state_dict(self) -> dict[str, Any]:
        """Return the history for the checkpoint."""
        return {"rows": self.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up the history of a checkpoint."""
        self.rows = list(state_dict["rows"])

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock: lightning does not announce the first epoch of a resumed run.

        Lightning's handler of SIGTERM, which ends a run without a word, has come over ours by now.
        """
        self._start_clock()
        self._saved = self._begin
        self.stop.hold()

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock."""
        self._start_clock()

    def _start_clock(self) -> None:
        self._begin = self._ready = time.monotonic()
        self._waited = 0.0

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Note how long the photos took to come, and heed a wish to stop."""
        self._waited += time.monotonic() - self._ready
        heed(self.stop)

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Log the learning rate and the last loss now and then."""
        if (batch_idx + 1) % CHECK_EVERY == 0 and trainer.logger is not None:
            lr = trainer.optimizers[0].param_groups[0]["lr"]
            loss = float(outputs["loss"])
            trainer.logger.log_metrics({"step/loss": loss, "step/lr": lr}, trainer.global_step)
        self._ready = time.monotonic()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Measure the epoch, write its row and its checkpoints."""
        module = cast("MethodModule", pl_module)
        module.check_weights()
        trained = time.monotonic() - self._begin
        config = self.prepared.config
        epoch = trainer.current_epoch + 1
        look = epoch % (config.validate_every or 1) == 0 or epoch == config.epochs
        photos = module.photos * config.processes
        row: dict[str, float] = {
            "epoch": epoch,
            "step": trainer.global_step,
            "lr": float(trainer.optimizers[0].param_groups[0]["lr"]),
            **module.means(),
            **(self._measure(trainer, module) if look else {}),
            **(guard_row(module.method.guard) if look else {}),
            "images_per_second": photos / max(trained, 1e-9),
            "train_seconds": trained,
            "waiting_share": self._waited / max(trained, 1e-9),
        }
        _check_metrics(row)
        row["seconds"] = time.monotonic() - self._begin
        best = look and self.prepared.task.is_best(row, self.rows)
        self.rows.append(row)
        if look or self._is_due(trainer):
            save_checkpoints(trainer, self.run, best=best)
            self._saved = time.monotonic()
            if trainer.is_global_zero:
                write_history(self.run, self.rows)
        if trainer.logger is not None:
            trainer.logger.log_metrics(row, trainer.global_step)
        self._report(row)

    def _is_due(self, trainer: pl.Trainer) -> bool:
        """Say whether a checkpoint is owed between two looks; not before the first of them.

        Processes that train together look at the same clock: they wait for each other.
        """
        looked = len(self.rows) > (self.prepared.config.validate_every or 1)
        late = looked and time.monotonic() - self._saved > _AT_LEAST
        return bool(trainer.strategy.broadcast(late))

    def _measure(self, trainer: pl.Trainer, module: MethodModule) -> dict[str, float]:
        _same_buffers(module.method)
        place = Place(
            module.device,
            AUTOCAST[self.prepared.config.precision],
            trainer.global_rank,
            trainer.world_size,
        )
        return self.prepared.task.measure(place)

    def _report(self, row: dict[str, float]) -> None:
        epochs = self.prepared.config.epochs
        left = row["seconds"] * (epochs - row["epoch"])
        self.display.say(epoch_line(row, epochs, left))
        if first_look(self.rows, self.prepared.steps) is row:
            self.display.say(life_sentence(row))


def _check_metrics(row: dict[str, float]) -> None:
    broken = [
        name
        for name, value in row.items()
        if name.endswith(("nll", "held_out_loss")) and not math.isfinite(value)
    ]
    if broken:
        raise TrainingDivergedError(
            f"the outputs of the network are not finite numbers after epoch {row['epoch']:.0f}, "
            f"step {row['step']:.0f}; try a lower `lr` or clip=1"
        )


@torch.no_grad()
def _same_buffers(method: torch.nn.Module) -> None:
    """Give every process the batch statistics of the first, which are those in the checkpoint."""
    if dist.is_available() and dist.is_initialized():
        for buffer in method.buffers():
            dist.broadcast(buffer, src=0)


def checkpoint_record(prepared: Prepared) -> dict[str, Any]:
    """Return the plain values by which a checkpoint is told from those of other models."""
    config = prepared.config
    return {
        "backbone": config.backbone,
        "image_size": config.image_size,
        "policy": config.policy,
        **prepared.task.record,
    }


def save_checkpoints(trainer: pl.Trainer, run: RunFolder, *, best: bool) -> None:
    """Write last.ckpt and, where this epoch is the best so far, best.ckpt.

    Each appears as a whole or not at all; best before last, so that a run that is killed between
    the two repeats this epoch and writes the same best again. Called by every process.
    """
    files = whole_file(run.last) if trainer.is_global_zero else nullcontext(run.last)
    with files as partial:
        trainer.save_checkpoint(partial, weights_only=False)
        if best and trainer.is_global_zero:
            with whole_file(run.best) as copied:
                shutil.copyfile(partial, copied)
    trainer.strategy.barrier("checkpoints are written")


class PlainFiles(TorchCheckpointIO):
    """Writes checkpoints where they belong, and as the umask says.

    Lightning writes them to the folder for temporary files, for the user alone, and moves them; a
    process that is killed meanwhile leaves them there.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | os.PathLike[str], storage_options: Any = None
    ) -> None:
        """Write a checkpoint; a full disk is an OSError, which it is not where torch writes."""
        buffer = io.BytesIO()
        torch.save(checkpoint, buffer)
        with open(path, "wb") as file:
            file.write(buffer.getbuffer())


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint onto the CPU; one that is missing, damaged or not ours is refused."""
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except (*DAMAGED, pickle.UnpicklingError) as error:
        reason = "not there" if not os.path.exists(path) else "damaged or not a checkpoint"
        raise InputError(
            f"checkpoint '{path}' is {reason}; start a new run with another `output`"
        ) from error
    parts = ("samix", "state_dict")
    if not isinstance(checkpoint, dict) or not all(
        isinstance(checkpoint.get(name), Mapping) for name in parts
    ):
        raise InputError(f"checkpoint '{path}' was not written by samix train; start a new run")
    return checkpoint


def check_checkpoint(path: Path, checkpoint: Mapping[str, Any], prepared: Prepared) -> None:
    """Refuse the checkpoint of another model."""
    wanted, found = checkpoint_record(prepared), dict(checkpoint["samix"])
    for name, value in wanted.items():
        if found.get(name) != value:
            raise InputError(
                f"checkpoint '{path}' is of another model: {name} {_brief(found.get(name))} "
                f"instead of {_brief(value)}; give the run folder that it belongs to"
            )
    shapes = {k: _shape(v) for k, v in prepared.method.state_dict().items()}
    weights = {k: _shape(v) for k, v in method_state(checkpoint).items()}
    for name in sorted(shapes.keys() | weights.keys()):
        if shapes.get(name) != weights.get(name):
            raise InputError(
                f"checkpoint '{path}' is of another model: {name} has shape {weights.get(name)} "
                f"instead of {shapes.get(name)}; give the run folder that it belongs to"
            )


def method_state(checkpoint: Mapping[str, Any]) -> dict[str, Any]:
    """Return the state dict of the method in a checkpoint."""
    state: Mapping[str, Any] = checkpoint["state_dict"]
    return {k.removeprefix(_PREFIX): v for k, v in state.items() if k.startswith(_PREFIX)}


def load_method(path: Path, prepared: Prepared) -> Method:
    """Load the weights of a checkpoint into the method of a prepared run."""
    checkpoint = read_checkpoint(path)
    check_checkpoint(path, checkpoint, prepared)
    prepared.method.load_state_dict(method_state(checkpoint))
    return prepared.method


def _shape(value: Any) -> tuple[int, ...] | None:
    return tuple(value.shape) if isinstance(value, torch.Tensor) else None


def _brief(value: Any) -> str:
    if isinstance(value, list):
        return f"of {len(value)} ({', '.join(map(str, value[:3]))}{', …' * (len(value) > 3)})"
    return str(value)


def guard_row(guard: Guard | None) -> dict[str, float]:
    """Return what the guard did so far as columns of the history; every process must call it."""
    if guard is None:
        return {}
    guard.counters.collect()
    summary = guard.counters.summary()
    shares = {f"guard_{name}": summary[name] for name in ("accepted", *REPAIRS)}
    return {**shares, **{f"guard_broke_{rule}": s for rule, s in summary["broken"].items()}}


def guard_summary(guard: Guard | None, checkpoint: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return what the guard did in the whole run, for metrics.json."""
    if guard is None:
        return None
    guard.counters.set_extra_state(method_state(checkpoint)[_COUNTS])
    return guard.counters.summary()


def guard_line(summary: Mapping[str, Any]) -> str:
    """Return one line about what a guard did."""
    repaired = {name: summary[name] for name in REPAIRS if summary[name] >= 0.0005}
    how = ", ".join(f"{name} {share:.1%}" for name, share in repaired.items())
    return (
        f"Guard: {summary['accepted']:.1%} of {summary['mixes']:,} mixes accepted as planned"
        f"{f'; repaired: {how}' if how else ''}."
    )
