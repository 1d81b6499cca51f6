"""What happens after each epoch: measure, write down, choose, and keep checkpoints."""

from __future__ import annotations

import math
import time
from typing import Any, cast

import lightning.pytorch as pl
import torch
import torch.distributed as dist

from samix.stopping import StopRequest

from .checkpoints import save_checkpoints
from .guarding import guard_row
from .interrupt import TrainingDivergedError, heed
from .life import first_look, life_sentence
from .module import CHECK_EVERY, MethodModule
from .preparation import Prepared
from .progress import Display, epoch_line
from .runs import RunFolder, write_history
from .settings import AUTOCAST
from .task import Place


class EpochKeeper(pl.Callback):
    """Measures the epochs after which it looks at validation, and keeps their checkpoints.

    The rows of the history are part of the checkpoint, so that a resumed run goes on with those of
    its checkpoint and nothing is written twice.

    Args:
        prepared: The run.
        run: Where to write.
        display: Where to say so.
        stop: Whether somebody asked to stop.
    """

    def __init__(
        self, prepared: Prepared, run: RunFolder, display: Display, stop: StopRequest
    ) -> None:
        self.prepared = prepared
        self.run = run
        self.display = display
        self.stop = stop
        self.rows: list[dict[str, float]] = []
        self._begin = 0.0

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
        self._begin = time.monotonic()
        self.stop.hold()

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock."""
        self._begin = time.monotonic()

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Heed a wish to stop."""
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

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Measure the epoch, write its row and its checkpoints."""
        module = cast(MethodModule, pl_module)
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
        }
        _check_metrics(row)
        row["seconds"] = time.monotonic() - self._begin
        best = look and self.prepared.task.is_best(row, self.rows)
        self.rows.append(row)
        if look:
            save_checkpoints(trainer, self.run, best=best)
            if trainer.is_global_zero:
                write_history(self.run, self.rows)
        if trainer.logger is not None:
            trainer.logger.log_metrics(row, trainer.global_step)
        self._report(row)

    def _measure(self, trainer: pl.Trainer, module: MethodModule) -> dict[str, float]:
        """Return what the kind of run measures after an epoch."""
        _same_buffers(module.method)
        place = Place(
            module.device,
            AUTOCAST[self.prepared.config.precision],
            trainer.global_rank,
            trainer.world_size,
        )
        return self.prepared.task.measure(place)

    def _report(self, row: dict[str, float]) -> None:
        """Say how the epoch went and, once, whether the Mixer is alive."""
        epochs = self.prepared.config.epochs
        left = row["seconds"] * (epochs - row["epoch"])
        self.display.say(epoch_line(row, epochs, left))
        if first_look(self.rows, self.prepared.steps) is row:
            self.display.say(life_sentence(row))


def _check_metrics(row: dict[str, float]) -> None:
    """Stop where finite weights give no finite answers any more.

    Raises:
        TrainingDivergedError: They do.
    """
    broken = [
        name
        for name, value in row.items()
        if name.endswith(("nll", "held_out_loss")) and not math.isfinite(value)
    ]
    if broken:
        raise TrainingDivergedError(
            f"the outputs of the network are not finite numbers after epoch {row['epoch']:.0f}, "
            f"step {row['step']:.0f}; try a lower --lr or --clip 1"
        )


@torch.no_grad()
def _same_buffers(method: torch.nn.Module) -> None:
    """Give every process the batch statistics of the first, which are those in the checkpoint."""
    if dist.is_available() and dist.is_initialized():
        for buffer in method.buffers():
            dist.broadcast(buffer, src=0)
