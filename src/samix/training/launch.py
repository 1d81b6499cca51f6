"""Several processes for one run."""

from __future__ import annotations

import os
import signal
import socket
import time
from typing import Any, cast

import torch
import torch.multiprocessing as mp

from samix.errors import InputError
from samix.stopping import StopRequest, end_with_parent, stop_on_signals

from .fitting import fit
from .interrupt import TrainingDivergedError, TrainingInterrupted, WorkerDiedError
from .preparation import prepare
from .progress import Display, Silent, Terminal
from .runs import RunFolder
from .settings import RunConfig

_GRACE = 20.0  # seconds that the others have to end once one process has
_POLL = 0.2  # seconds


def outer_rank() -> int | None:
    """Return the rank that torchrun or SLURM gave to this process, or None where it is alone."""
    if "RANK" in os.environ and "WORLD_SIZE" in os.environ:
        return int(os.environ["RANK"])
    return None


def check_launch(config: RunConfig) -> None:
    """Refuse a number of machines that nothing has started.

    Raises:
        InputError: More than one machine without a launcher, or another number of processes.
    """
    if outer_rank() is None:
        if config.nodes > 1:
            raise InputError(
                f"--nodes {config.nodes} needs a launcher that starts the machines; run 'torchrun "
                f"--nnodes {config.nodes} --nproc-per-node {config.devices} -m samix "
                f"{config.command} ...'"
            )
        return
    started = int(os.environ["WORLD_SIZE"])
    if started != config.processes:
        raise InputError(
            f"the launcher started {started} processes, but --devices {config.devices} --nodes "
            f"{config.nodes} means {config.processes}; make them equal"
        )


def fit_in_processes(
    config: RunConfig, run: RunFolder, display: Display, stop: StopRequest
) -> None:
    """Train in ``config.devices`` new processes on this machine and wait for them.

    Args:
        config: Resolved.
        run: Its folder, with the splits in it.
        display: A terminal is shared with the first process.
        stop: Is passed on to them.

    Raises:
        TrainingInterrupted, TrainingDivergedError, InputError: As in :func:`fit`.
        WorkerDiedError: A process died.
    """
    display.rest()
    context = mp.get_context("spawn")
    outcomes = context.SimpleQueue()
    show = isinstance(display, Terminal)
    arguments = (config, run, _free_port(), os.getpid(), show, outcomes)
    workers = cast(Any, mp).start_processes(
        _work, arguments, nprocs=config.devices, join=False, start_method="spawn"
    )
    found = _wait(workers, outcomes, stop)
    if stop.number is not None and [kind for kind, _ in found.values()] != (
        ["finished"] * config.devices
    ):
        raise TrainingInterrupted(stop.number)
    _raise(found, config.devices)


def _work(local_rank: int, config: RunConfig, run: RunFolder, port: int, *rest: Any) -> None:
    """Be one of the processes; how it ended goes into the queue."""
    parent, show, outcomes = rest
    end_with_parent(parent)  # none goes on alone and writes where a resumed run writes
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
    """Raise what the processes ended with, the most telling first."""
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
            f"processes ended early ({reason}); go on with --resume"
        )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
