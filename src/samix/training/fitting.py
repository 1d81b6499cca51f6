"""Lightning's part of a run, in one process."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import lightning.pytorch as pl
import torch
import torch.distributed as dist
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.strategies import DDPStrategy

from samix.errors import InputError
from samix.methods import SelfSupervisedMethod
from samix.stopping import StopRequest

from .checkpoints import PlainFiles, check_checkpoint, checkpoint_record, read_checkpoint
from .interrupt import told_apart
from .keeper import EpochKeeper
from .module import MethodModule
from .preparation import Prepared
from .progress import Display, EpochProgress
from .runs import RunFolder
from .settings import RunConfig

_PRECISION: dict[str, Literal["32-true", "bf16-mixed", "16-mixed"]] = {
    "32": "32-true",
    "bf16": "bf16-mixed",
    "16": "16-mixed",
}


def fit(prepared: Prepared, run: RunFolder, display: Display, stop: StopRequest) -> None:
    """Train from the last checkpoint of the run, or from the start where there is none.

    Args:
        prepared: The run, for this process.
        run: Its folder.
        display: Where to show progress.
        stop: Heeded at each step.

    Raises:
        TrainingInterrupted: Somebody stopped it.
        TrainingDivergedError: The loss is no number any more.
        WorkerDiedError: A process that reads photos died.
        InputError: The checkpoint cannot be used.
    """
    config = prepared.config
    checkpoint = run.last if run.last.is_file() else None
    step = 0
    if checkpoint is not None:
        content = read_checkpoint(checkpoint)
        check_checkpoint(checkpoint, content, prepared)
        step = int(content["global_step"])
        # workers fetch ahead before lightning names the epoch
        _set_epoch(prepared, len(history_of(content)))
    module = MethodModule(
        prepared.task, config, steps=prepared.steps, record=checkpoint_record(prepared)
    )
    keeper = EpochKeeper(prepared, run, display, stop)
    shown = EpochProgress(display, config.epochs, config.processes)
    try:
        with _quiet(), torch.random.fork_rng(devices=[]), told_apart(stop):
            trainer = pl.Trainer(
                **_machine(config),
                precision=_PRECISION[config.precision],
                max_epochs=config.epochs,
                accumulate_grad_batches=config.accumulate,
                gradient_clip_val=config.clip,
                callbacks=[shown, keeper],
                logger=TensorBoardLogger(run.path, "tensorboard", "", purge_step=step or None),
                use_distributed_sampler=False,
                # keys of an encoder leave their process only with statistics of all
                sync_batchnorm=_keys_of_encoder(prepared) and config.device.startswith("cuda"),
                limit_val_batches=0,
                num_sanity_val_steps=0,
                log_every_n_steps=1,
                enable_progress_bar=False,
                enable_model_summary=False,
                enable_checkpointing=False,
                plugins=[PlainFiles()],
                default_root_dir=run.path,  # a checkpoint that lies where we stand is not read
            )
            trainer.fit(
                module,
                prepared.task.batches,
                ckpt_path=checkpoint,
                weights_only=True,
            )
    finally:
        display.rest()
        if dist.is_available() and dist.is_initialized():
            dist.destroy_process_group()


def _keys_of_encoder(prepared: Prepared) -> bool:
    """Say whether several processes compare keys that the trained encoder made (SimCLR)."""
    method = prepared.method
    if prepared.config.processes == 1 or not isinstance(method, SelfSupervisedMethod):
        return False
    return not method.contrast.momentum_keys


def history_of(checkpoint: dict[str, Any]) -> list[dict[str, float]]:
    """Return the rows of the history that a checkpoint carries."""
    try:
        return [dict(row) for row in checkpoint["callbacks"][EpochKeeper.__qualname__]["rows"]]
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            "the checkpoint of the run has no history; start a new run with another --output"
        ) from error


def _set_epoch(prepared: Prepared, epoch: int) -> None:
    prepared.task.batches.sampler.set_epoch(epoch)  # type: ignore[attr-defined]


def _machine(config: RunConfig) -> dict[str, Any]:
    """Return lightning's words for device and processes."""
    kind, _, number = config.device.partition(":")
    accelerator = {"cuda": "gpu"}.get(kind, kind)
    if config.processes == 1:
        return {"accelerator": accelerator, "devices": [int(number or 0)] if kind == "cuda" else 1}
    backend = "nccl" if kind == "cuda" else "gloo"
    return {
        "accelerator": accelerator,
        "devices": config.devices,
        "num_nodes": config.nodes,
        "strategy": DDPStrategy(process_group_backend=backend),
    }


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep lightning's remarks off the terminal; warnings of others and errors still come."""
    names = ("lightning.pytorch", "lightning.fabric")
    levels = {name: logging.getLogger(name).level for name in names}
    try:
        for name in names:
            logging.getLogger(name).setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"lightning\.")
            # channels-last images give channels-last gradients, which cost one copy
            warnings.filterwarnings("ignore", message="Grad strides do not match bucket view")
            yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
