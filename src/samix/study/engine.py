"""Runs the trainings of a study: in processes of this machine, or on a Ray cluster.

Each worker is one process that trains job after job, with its share of the cores. It ends when the
process that started it ends, however that ends. A worker that dies (out of memory, for instance) is
replaced; a job during which two died has failed. Nothing here decides what is trained: every job
finds in its own folder how far it has come.
"""

from __future__ import annotations

import importlib
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

import torch

from samix.data.store import CACHE_BUDGET, reuse_photos
from samix.errors import InputError
from samix.stopping import ENDING, Interrupted, end_with_parent, exit_code, stop_on_signals
from samix.study.cells import Ended, PocFolder, failed, run_job
from samix.study.grid import Job
from samix.study.subjects import admit

ENGINES = ("local", "ray")
_TRIES = 3  # workers that may die during one job; others die with them
_AT_ONCE = 0.1  # of the expected time; who ends sooner has not trained
_TICK = 0.5  # seconds from one look at the workers to the next

Watch = Callable[[int, int, float], None]  # finished jobs, all jobs, seconds left


class Engine(Protocol):
    """What trains."""

    workers: int

    @property
    def died(self) -> tuple[type[BaseException], ...]:
        """What a call raises whose worker died."""

    def submit(self, call: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Start a call elsewhere."""

    def renew(self) -> bool:
        """Replace workers that died; return whether all other calls are lost with them."""


@dataclass
class Local:
    """Processes of this machine."""

    workers: int  # how many
    threads: int  # of torch in each of them
    # folder where they share the photos that one of them has decoded; None keeps them in the memory
    # of each
    scratch: Path | None = None
    # policies of modules that they may import, by label
    code: Mapping[str, str] = field(default_factory=dict)
    # of processes; each begins without anything of this one
    pool: ProcessPoolExecutor = field(init=False)
    died: tuple[type[BaseException], ...] = (BrokenProcessPool,)

    def __post_init__(self) -> None:
        self.pool = self._created()
        for _ in range(self.workers):
            self.submit(_ready)  # they load the code while the photos are opened

    def submit(self, call: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Start a call in a free process."""
        with _held_interrupt():
            return self.pool.submit(call, *arguments)

    def renew(self) -> bool:
        """Replace all processes."""
        self.pool.shutdown(wait=False, cancel_futures=True)
        self.pool = self._created()
        return True

    def _created(self) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(
            self.workers,
            mp_context=get_context("spawn"),
            initializer=_begin_worker,
            initargs=(os.getpid(), self.threads, self.scratch, self.code),
        )


@dataclass
class Ray:
    """Workers of a Ray cluster, which see the folder of the study under the same path."""

    workers: int  # jobs at a time
    ray: Any  # the package
    resources: dict[str, float]  # of one job
    # policies of modules that they may import, by label
    code: Mapping[str, str] = field(default_factory=dict)

    @property
    def died(self) -> tuple[type[BaseException], ...]:
        """What Ray raises when a worker or its machine is gone."""
        names = ("WorkerCrashedError", "OutOfMemoryError", "NodeDiedError", "ObjectLostError")
        there = self.ray.exceptions
        return tuple(getattr(there, name) for name in names if hasattr(there, name))

    def submit(self, call: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Start a call where there is room."""
        remote = self.ray.remote(_called).options(max_retries=0, **self.resources)
        future: Future[Any] = remote.remote(dict(self.code), call, *arguments).future()
        return future

    def renew(self) -> bool:
        """Leave it to the cluster, which replaces its workers."""
        return False


@contextmanager
def open_engine(
    name: str,
    workers: int | None,
    device: str,
    scratch: Path | None = None,
    code: Mapping[str, str] | None = None,
) -> Iterator[Engine]:
    """Start an engine, and end its workers afterwards, at once where something was raised.

    ``workers`` None is one a core without a GPU, one with. ``scratch``, a folder for photos that
    are decoded, is removed before and afterwards.
    """
    if name not in ENGINES:
        raise InputError(f"engine '{name}' is unknown; expected {' or '.join(ENGINES)}")
    if name == "ray":
        with _ray(workers, device, code or {}) as engine:
            yield engine
        return
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    cores = cores or 1
    count = workers or (cores if device == "cpu" else 1)
    threads = max(1, cores // count) if device == "cpu" else torch.get_num_threads()
    if scratch is not None:
        shutil.rmtree(scratch, ignore_errors=True)  # photos may have changed since then
    local = Local(count, threads, scratch, code or {})
    try:
        yield local
    except BaseException:
        for process in (getattr(local.pool, "_processes", None) or {}).values():
            process.kill()  # no event says so: to set one hangs where a waiting process has died
        raise
    finally:
        local.pool.shutdown(wait=True, cancel_futures=True)
        if scratch is not None:
            shutil.rmtree(scratch, ignore_errors=True)


@contextmanager
def _ray(workers: int | None, device: str, code: Mapping[str, str]) -> Iterator[Engine]:
    try:
        ray: Any = importlib.import_module("ray")
    except ModuleNotFoundError as error:
        raise InputError(
            "engine=ray needs the package 'ray', which is not installed; run pip install "
            "'samix[ray]'"
        ) from error
    heard = signal.getsignal(signal.SIGTERM)  # ray would end this process at once
    ray.init(
        address="auto" if "RAY_ADDRESS" in os.environ else None,
        log_to_driver=False,
        include_dashboard=False,
    )
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, heard)
    try:
        there = ray.cluster_resources()
        what = "CPU" if device == "cpu" else "GPU"
        key = {"CPU": "num_cpus", "GPU": "num_gpus"}[what]
        yield Ray(workers or max(1, int(there.get(what, 1))), ray, {key: 1}, code)
    finally:
        ray.shutdown()


@contextmanager
def _held_interrupt() -> Iterator[None]:
    """Hold Ctrl-C back: a process that begins meanwhile inherits that, and shows no traceback."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin_worker(parent: int, threads: int, scratch: Path | None, code: Mapping[str, str]) -> None:
    """Prepare a worker: its threads, and that it ends with the process that started it.

    Ctrl-C reaches it, too, but the first process decides what happens then. What ends a process
    ends it at once: its training goes on from the last checkpoint whatever happens.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    for number in ENDING:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _end)
    torch.set_num_threads(threads)
    reuse_photos(CACHE_BUDGET, scratch)
    end_with_parent(parent)
    admit(code)


def _ready() -> None:
    """Do nothing in a worker: to begin it is what takes long."""


def _called(code: Mapping[str, str], call: Callable[..., Any], *arguments: Any) -> Any:
    """Call something in a process of a cluster, which may import the policies that it needs."""
    admit(code)
    return call(*arguments)


def _end(number: int, frame: FrameType | None) -> None:
    os._exit(exit_code(number))


def run_jobs(
    path: Path,
    jobs: Sequence[Job],
    engine: Engine,
    *,
    ended: Callable[[Ended], None],
    watch: Watch,
    deadline: float | None = None,
    keep: Callable[[Job], bool] = lambda job: False,
) -> None:
    """Run the jobs of a study; StudyStoppedError where nothing more can be trained.

    ``watch`` is called every half second with finished jobs, all jobs, and the seconds left. A job
    that would probably end after the ``deadline``, a time of :func:`time.monotonic`, is not begun,
    but where ``keep`` says that it is trained whatever the time.
    """
    waiting = list(jobs)
    running: dict[Future[Any], Job] = {}
    deaths: dict[str, int] = {}
    pace = Pace(jobs, engine.workers)
    with stop_on_signals() as stop:
        while waiting or running:
            while waiting and len(running) < engine.workers:
                job = waiting.pop(0)
                late = deadline is not None and not keep(job)
                if late and time.monotonic() + pace.ratio() * job.expected > (deadline or 0.0):
                    pace.left_out(job)
                    continue
                pace.begun(job)
                running[engine.submit(run_job, str(path), job)] = job
            died = _collect(running, engine, pace, ended)
            # noted and not raised where it strikes: what raises in a callback is swallowed there
            if stop.number is not None:
                raise Interrupted(stop.number)
            if died:
                if engine.renew():
                    died += running.values()
                    running.clear()
                again = _tried(path, died, deaths, pace, ended)
                waiting = [*again, *waiting]
            watch(len(pace.done), len(jobs), pace.left())


def _collect(
    running: dict[Future[Any], Job], engine: Engine, pace: Pace, ended: Callable[[Ended], None]
) -> list[Job]:
    """Wait a moment for jobs to end, and take those out; return the ones whose worker died."""
    over, _ = wait(running, timeout=_TICK, return_when=FIRST_COMPLETED)
    died = []
    for future in over:
        job = running.pop(future)
        try:
            result: Ended = future.result()
        except engine.died:
            died.append(job)
            continue
        pace.finished(job)
        ended(result)
    return died


def _tried(
    path: Path,
    died: Sequence[Job],
    deaths: dict[str, int],
    pace: Pace,
    ended: Callable[[Ended], None],
) -> list[Job]:
    """Return the jobs that are tried once more after workers died; the others have failed."""
    again = []
    for job in died:
        deaths[job.folder] = deaths.get(job.folder, 0) + 1
        if deaths[job.folder] < _TRIES:
            again.append(job)
            continue
        reason = f"its process died {_TRIES} times, probably for want of memory"
        pace.finished(job)
        ended(failed(PocFolder(path), job, reason))
    return again


class Pace:
    """How long a study still takes, by how long its jobs took so far."""

    def __init__(self, jobs: Sequence[Job], workers: int) -> None:
        self.jobs = {job.folder: job for job in jobs}
        self.workers = workers
        self.done: list[str] = []
        self.skipped: list[str] = []
        self._begin = time.monotonic()
        self._begun: dict[str, float] = {}
        self._took = self._expected = 0.0  # seconds of the jobs that were trained

    def begun(self, job: Job) -> None:
        """Note that a job begins."""
        self._begun[job.folder] = time.monotonic()

    def finished(self, job: Job) -> None:
        """Note that a job ended."""
        self.done.append(job.folder)
        took = time.monotonic() - self._begun.get(job.folder, self._begin)
        if took > _AT_ONCE * job.expected:  # otherwise it was finished before
            self._took += took
            self._expected += job.expected

    def left_out(self, job: Job) -> None:
        """Note that a job is not begun for want of time."""
        self.skipped.append(job.folder)

    def ratio(self) -> float:
        """Return by how much jobs took longer than expected; 1 where none was trained."""
        return self._took / self._expected if self._expected else 1.0

    def left(self) -> float:
        """Return the seconds that are probably left."""
        expected = sum(self.jobs[name].expected for name in self.done)
        total = sum(job.expected for n, job in self.jobs.items() if n not in self.skipped)
        if not expected:
            return total / self.workers
        spent = time.monotonic() - self._begin
        return max(0.0, spent / expected * (total - expected))
