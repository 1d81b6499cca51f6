"""Lightning's part of a run, in one process or in several."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal, cast

import lightning.pytorch as pl
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.strategies import DDPStrategy

from samix.errors import InputError
from samix.files import no_room
from samix.methods import SelfSupervisedMethod, compile_regions
from samix.policies import inherit_own
from samix.progress import Display, Silent
from samix.stopping import StopRequest, end_with_parent, stop_on_signals

from .callbacks import EpochKeeper, PlainFiles, check_checkpoint, checkpoint_record, read_checkpoint
from .config import RunConfig
from .module import MethodModule
from .prepare import Prepared, prepare
from .progress import (
    EpochProgress,
    Terminal,
    TrainingDivergedError,
    TrainingInterrupted,
    WorkerDiedError,
    told_apart,
)
from .run_folder import RunFolder

_PRECISION: dict[str, Literal["32-true", "bf16-mixed", "16-mixed"]] = {
    "32": "32-true",
    "bf16": "bf16-mixed",
    "16": "16-mixed",
}
_GRACE = 20.0  # seconds that the others have to end once one process has
_POLL = 0.2  # seconds


def fit(
    prepared: Prepared, run: RunFolder, display: Display, stop: StopRequest, *, curves: bool = True
) -> None:
    """Train from the last checkpoint of the run, or from the start where there is none.

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
        sampler: Any = prepared.task.batches.sampler
        sampler.set_epoch(len(history_of(content)))
    machine = _machine(config)
    module = MethodModule(
        prepared.task, config, steps=prepared.steps, record=checkpoint_record(prepared)
    )
    if config.compile and (why_not := compile_regions(module.method)):
        display.say(why_not)
    keeper = EpochKeeper(prepared, run, display, stop)
    shown = EpochProgress(display, config.epochs, config.processes)
    try:
        with _quiet(), torch.random.fork_rng(devices=[]), told_apart(stop):
            trainer = pl.Trainer(
                **machine,
                precision=_PRECISION[config.precision],
                max_epochs=config.epochs,
                accumulate_grad_batches=config.accumulate,
                gradient_clip_val=config.clip,
                callbacks=[shown, keeper],
                logger=curves
                and TensorBoardLogger(run.path, "tensorboard", "", purge_step=step or None),
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
            trainer.fit(module, prepared.task.batches, ckpt_path=checkpoint, weights_only=True)
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
            "the checkpoint of the run has no history; start a new run with another `output`"
        ) from error


def _machine(config: RunConfig) -> dict[str, Any]:
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


def _of_a_thread(told: threading.ExceptHookArgs) -> None:
    """Print what ended a thread, unless the disk is full: the run itself says so in a sentence."""
    if told.exc_value is None or no_room(told.exc_value) is None:
        threading.__excepthook__(told)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep lightning's remarks off the terminal; warnings of others and errors still come."""
    before, threading.excepthook = threading.excepthook, _of_a_thread
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
        threading.excepthook = before
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)


def outer_rank() -> int | None:
    """Return the rank that torchrun or SLURM gave to this process, or None where it is alone."""
    if "RANK" in os.environ and "WORLD_SIZE" in os.environ:
        return int(os.environ["RANK"])
    return None


def check_launch(config: RunConfig) -> None:
    """Refuse a number of machines that nothing has started."""
    if outer_rank() is None:
        if config.nodes > 1:
            raise InputError(
                f"nodes={config.nodes} needs a launcher that starts the machines; run 'torchrun "
                f"--nnodes {config.nodes} --nproc-per-node {config.devices} -m samix "
                f"{config.command} ...'"
            )
        return
    started = int(os.environ["WORLD_SIZE"])
    if started != config.processes:
        raise InputError(
            f"the launcher started {started} processes, but devices={config.devices} "
            f"nodes={config.nodes} means {config.processes}; make them equal"
        )


def fit_in_processes(
    config: RunConfig, run: RunFolder, display: Display, stop: StopRequest
) -> None:
    """Train in ``config.devices`` new processes on this machine and wait for them.

    Raises:
        TrainingInterrupted, TrainingDivergedError, InputError: As in :func:`fit`.
        WorkerDiedError: A process died.
    """
    display.rest()
    context = mp.get_context("spawn")
    outcomes = context.SimpleQueue()
    show = isinstance(display, Terminal)
    arguments = (config, run, _free_port(), os.getpid(), show, outcomes)
    workers = cast("Any", mp).start_processes(
        _work, arguments, nprocs=config.devices, join=False, start_method="spawn"
    )
    found = _wait(workers, outcomes, stop)
    if stop.number is not None and [kind for kind, _ in found.values()] != (
        ["finished"] * config.devices
    ):
        raise TrainingInterrupted(stop.number)
    _raise(found, config.devices)


def _work(local_rank: int, config: RunConfig, run: RunFolder, port: int, *rest: Any) -> None:
    parent, show, outcomes = rest
    end_with_parent(parent)  # none goes on alone and writes where a resumed run writes
    inherit_own()
    os.environ.update(
        MASTER_ADDR="127.0.0.1",
        MASTER_PORT=str(port),
        LOCAL_RANK=str(local_rank),
        NODE_RANK="0",
        WORLD_SIZE=str(config.devices),
    )
    if config.device == "cpu":
        torch.set_num_threads(max(1, torch.get_num_threads() // config.devices))
    display: Display = Terminal() if show and local_rank == 0 else Silent()
    with stop_on_signals(escalate=False) as stop:
        try:
            fit(prepare(config, rank=local_rank, run=run), run, display, stop)
            outcomes.put((local_rank, "finished", ""))
        except TrainingInterrupted as error:
            outcomes.put((local_rank, "interrupted", str(error.number)))
        except TrainingDivergedError as error:
            outcomes.put((local_rank, "diverged", str(error)))
        except InputError as error:
            outcomes.put((local_rank, "input", str(error)))
        except Exception as error:
            outcomes.put((local_rank, "failed", f"{type(error).__name__}: {error}"))
            raise


def _wait(workers: Any, outcomes: Any, stop: StopRequest) -> dict[int, tuple[str, str]]:
    """Wait for all processes, pass a wish to stop on, and end those that hang."""
    found: dict[int, tuple[str, str]] = {}
    passed_on, deadline = False, None
    try:
        while any(process.is_alive() for process in workers.processes):
            time.sleep(_POLL)
            _collect(outcomes, found)
            if stop.made and not passed_on:
                passed_on = True
                for process in workers.processes:
                    if process.is_alive():
                        os.kill(process.pid, signal.SIGTERM)
            dead = [p for p in workers.processes if not p.is_alive()]
            if dead and deadline is None:
                deadline = time.monotonic() + _GRACE
            if deadline is not None and time.monotonic() > deadline:
                break
    finally:
        for process in workers.processes:
            if process.is_alive():
                process.kill()
            process.join()
    _collect(outcomes, found)
    return found


def _collect(outcomes: Any, found: dict[int, tuple[str, str]]) -> None:
    while not outcomes.empty():
        rank, kind, message = outcomes.get()
        found[rank] = (kind, message)


def _raise(found: dict[int, tuple[str, str]], processes: int) -> None:
    by_kind = dict(reversed([found[rank] for rank in sorted(found)]))
    if "input" in by_kind:
        raise InputError(by_kind["input"])
    if "diverged" in by_kind:
        raise TrainingDivergedError(by_kind["diverged"])
    if "interrupted" in by_kind:
        raise TrainingInterrupted(int(by_kind["interrupted"]))
    if len(found) < processes or "failed" in by_kind:
        reason = by_kind.get("failed", "killed, perhaps for lack of memory")
        raise WorkerDiedError(
            f"{processes - sum(k == 'finished' for k, _ in found.values())} of {processes} "
            f"processes ended early ({reason}); go on with `resume`"
        )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
