"""The method inside lightning, its optimiser, and the learning rate over the steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import lightning.pytorch as pl
import torch
from lightning.pytorch.core.optimizer import LightningOptimizer
from torch import Tensor
from torch.optim import SGD, AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from samix.evaluation.finetune import lr_factor
from samix.mixing import step_generator

from .config import RunConfig, TrainConfig
from .progress import TrainingDivergedError
from .task import Task

CHECK_EVERY = 50  # steps between two looks at whether the loss is still a number
_MOMENTUM = 0.9


class MethodModule(pl.LightningModule):
    """One method in training, with automatic optimisation."""

    def __init__(
        self, task: Task, config: RunConfig, *, steps: int, record: dict[str, Any]
    ) -> None:
        super().__init__()
        self.task = task
        self.method = task.method
        self.config = config
        self.steps = steps
        self.record = record
        self._reset()

    def _reset(self) -> None:
        self.sums: dict[str, Tensor] = {}
        self.counts: dict[str, int] = {}
        self.photos = 0
        self.first_bad: Tensor | None = None

    def on_train_epoch_start(self) -> None:
        """Forget the sums of the epoch before."""
        self._reset()

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Seed what the network itself draws (dropout, stochastic depth).

        Every step is a function of weights and (seed, epoch, batch, rank), so that a resumed run
        is equal to one that was not stopped.
        """
        place = step_generator(self.config.seed, self.current_epoch, self.global_rank)
        torch.manual_seed(step_generator(place.initial_seed(), batch_idx).initial_seed())

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """Return the loss of one batch and add up its terms without waiting for the device."""
        step = self.task.step(batch)
        loss = step.loss
        terms = {"loss": loss.detach(), **step.terms}
        for name, value in terms.items():
            self.sums[name] = self.sums[name] + value if name in self.sums else value
            self.counts[name] = self.counts.get(name, 0) + 1
        bad = torch.where(torch.isfinite(terms["loss"]), torch.inf, float(batch_idx + 1))
        self.first_bad = bad if self.first_bad is None else torch.minimum(self.first_bad, bad)
        self.photos += len(batch[0])
        return loss * self._in_window(batch_idx)

    def _in_window(self, batch_idx: int) -> float:
        """Return what makes a step of the last batches of an epoch the mean of them.

        Lightning divides the loss of each batch by ``accumulate``, also where fewer are left.
        """
        accumulate, batches = self.config.accumulate, len(self.task.batches)
        left = batches % accumulate
        return accumulate / left if left and batch_idx >= batches - left else 1.0

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Look now and then whether the loss is still a number."""
        if (batch_idx + 1) % CHECK_EVERY == 0:
            self.check_loss()

    def check_loss(self) -> None:
        """Stop on every process where the loss of any was no finite number."""
        if self.first_bad is None:
            return
        first = float(self.trainer.strategy.reduce(self.first_bad, reduce_op="min"))
        if first != float("inf"):
            raise TrainingDivergedError(
                f"the loss is not a finite number in epoch {self.current_epoch + 1}, step "
                f"{first:.0f}; try a lower `lr` ({self.config.lr:g} now) or clip=1"
            )

    def check_weights(self) -> None:
        """Stop where a weight is no finite number, which the loss shows only one step later."""
        self.check_loss()
        good = torch.stack([torch.isfinite(p).all() for p in self.method.parameters()]).all()
        bad = float(self.trainer.strategy.reduce((~good).float(), reduce_op="max"))
        if bad:
            raise TrainingDivergedError(
                f"weights are not finite numbers at the end of epoch {self.current_epoch + 1}; "
                f"try a lower `lr` ({self.config.lr:g} now) or clip=1"
            )

    def means(self) -> dict[str, float]:
        """Return the mean of each term over the batches that had it, of all processes."""
        own = [value.float() / self.counts[name] for name, value in self.sums.items()]
        shared = self.trainer.strategy.reduce(torch.stack(own), reduce_op="mean")
        return dict(zip(self.sums, cast("Tensor", shared).tolist(), strict=True))

    def optimizer_step(
        self,
        epoch: int,
        batch_idx: int,
        optimizer: Optimizer | LightningOptimizer,
        optimizer_closure: Callable[[], Any] | None = None,
    ) -> None:
        """Move the momentum average after each step of the optimiser."""
        super().optimizer_step(epoch, batch_idx, optimizer, optimizer_closure)
        self.method.update_momentum()

    def configure_optimizers(self) -> Any:
        """Return the optimiser and its schedule, which moves on with every step."""
        config = self.config
        groups = self.method.parameter_groups(
            lr=config.lr or 0.0,
            weight_decay=config.weight_decay or 0.0,
            mixer_lr=config.mixer_lr,
            mixer_weight_decay=config.mixer_weight_decay,
            **({"layer_decay": config.layer_decay} if isinstance(config, TrainConfig) else {}),
        )
        optimizer = create_optimizer(groups, config)
        schedule = create_schedule(optimizer, config, self.steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Say in the checkpoint which model it is of."""
        checkpoint["samix"] = self.record


def create_optimizer(groups: list[dict[str, Any]], config: RunConfig) -> Optimizer:
    """Return the optimiser of a resolved configuration."""
    if config.optimizer == "sgd":
        return SGD(groups, momentum=_MOMENTUM, nesterov=True)
    return AdamW(groups)


def create_schedule(optimizer: Optimizer, config: RunConfig, steps: int) -> LambdaLR:
    """Return the schedule that multiplies every group's learning rate, one call a step."""
    return LambdaLR(
        optimizer,
        lambda step: lr_factor(
            step, steps, rise=round(config.warmup * steps), final=config.final_lr
        ),
    )
