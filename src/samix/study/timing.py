"""What each policy takes on this machine, before anything is planned.

All policies take turns, some steps each, until the ratios of their times agree from round to round:
what else the machine does then falls on all of them alike.
"""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import mean, median
from typing import Any

from samix.data import write_splits
from samix.errors import InputError
from samix.progress import Announce
from samix.study.cells import PocFolder, config_of
from samix.study.engine import Engine
from samix.study.grid import SELF_SUPERVISED, Cell, Job, Timing, with_mixing
from samix.training.building import check_names, create_run_method
from samix.training.machine import AUTOCAST
from samix.training.module import create_optimizer
from samix.training.prepare import prepare, resolve
from samix.training.task import Place, step_seconds
from samix.training.warm_start import adopt, open_starts

STEPS = 4  # of a policy at each turn
_ROUNDS = (3, 8)  # at least and at most
_AGREE = 0.06  # spread of the ratios of three rounds, relative, that is agreement
_LOOP = 1.06  # times as long as a step is what a run does around it, too
_FINISH = 0.5  # seconds at the end of a training beside its last answers
BUSY = 0.8  # share of a core below which other work is noted


def time_policies(
    path: Path,
    opened: Any,
    mode: str,
    policies: Sequence[str],
    plan: Mapping[str, Any],
    engine: Engine,
    *,
    announce: Announce,
    turn: int = STEPS,
    seconds: float = math.inf,
) -> tuple[dict[str, Timing], float]:
    """Let each policy make some steps in every worker, all at once, and return what it takes.

    ``plan`` has "options" and "sources" of the policies. With the timings comes the share of a core
    that a worker got. No further round of turns begins after so many seconds, whether they agree or
    not. ``path`` is removed afterwards.
    """
    try:
        announce("timing the policies", 0, 1)
        path.mkdir(parents=True, exist_ok=True)
        write_splits(PocFolder(path).splits, opened.images, opened.splits)
        jobs = [_job(opened, mode, name, plan) for name in policies]
        futures = [
            engine.submit(timed, str(path), jobs, turn, seconds) for _ in range(engine.workers)
        ]
        trials: list[tuple[dict[str, Timing], float]] = [future.result() for future in futures]
        announce("timing the policies", 1, 1)
    finally:
        shutil.rmtree(path, ignore_errors=True)
    found = {name: _joined([timings[name] for timings, _ in trials]) for name in policies}
    return found, min(share for _, share in trials)


def _joined(some: Sequence[Timing]) -> Timing:
    names = ("start", "step", "look")
    return Timing(**{name: mean(getattr(one, name) for one in some) for name in names})


def _job(opened: Any, mode: str, policy: str, plan: Mapping[str, Any]) -> Job:
    alone = mode == SELF_SUPERVISED
    settings = {
        **with_mixing(opened.pretrain if alone else opened.train, policy, plan),
        "epochs": 2, "validate_every": 1, "shrink_batch": True,
    }  # fmt: skip
    command = "pretrain" if alone else "train"
    return Job(f"trial-{policy}", command, settings, (Cell(policy, 1, mode, 0),))


def plain_step(path: Path, opened: Any, mode: str) -> float:
    """Return the seconds of a step of plain training on noise: no policy takes less."""
    config = resolve(config_of(PocFolder(path), _job(opened, mode, "none", {})))
    method = create_run_method(config, opened.images.classes)
    batch = min(config.batch_size or config.default_batch_size, len(opened.splits.train))
    return step_seconds(method, config, batch)


def timed(
    path: str, jobs: Sequence[Job], turn: int, seconds: float = math.inf
) -> tuple[dict[str, Timing], float]:
    """Let policies take turns; return what each took, and the share of a core that there was."""
    opened = {job.cells[0].policy: _opened(path, job) for job in jobs}
    for steps, _, _ in opened.values():
        steps(2)  # the first steps choose kernels
    begin, used = time.monotonic(), time.process_time()
    rounds: list[dict[str, float]] = []
    while len(rounds) < _ROUNDS[0] or (len(rounds) < _ROUNDS[1] and not _agree(rounds)):
        if rounds and time.monotonic() - begin > seconds:
            break
        rounds.append({name: steps(turn) for name, (steps, _, _) in opened.items()})
    share = (time.process_time() - used) / max(time.monotonic() - begin, 1e-9)
    first = next(iter(opened))
    step = median(one[first] for one in rounds)
    start = min(start for _, start, _ in opened.values()) + _FINISH
    timings = {}
    for name, (_, _, look) in opened.items():
        ratio = median(one[name] / one[first] for one in rounds)
        timings[name] = Timing(start, _LOOP * step * ratio, look())
    return timings, min(share, 1.0)


def _agree(rounds: Sequence[Mapping[str, float]]) -> bool:
    """Say whether the last three rounds agree on how the policies compare with the first."""
    first = next(iter(rounds[0]))
    last = [{name: took / one[first] for name, took in one.items()} for one in rounds[-3:]]
    spread = max(
        (max(r[name] for r in last) - min(r[name] for r in last)) / median(r[name] for r in last)
        for name in rounds[0]
    )
    return spread <= _AGREE


Steps = Callable[[int], float]


def _opened(path: str, job: Job) -> tuple[Steps, float, Callable[[], float]]:
    """Return what makes steps and says the seconds of one, the start, and what takes a look."""
    begin = time.monotonic()
    try:
        config = config_of(PocFolder(Path(path)), job)
        starts = open_starts(config)
        config = adopt(config, starts)
        check_names(config)
        prepared = prepare(resolve(config), starts=starts)
    except InputError as error:
        kind = f"{job.cells[0].policy} ({job.cells[0].mode})"  # the labels of a trial mean nothing
        raise InputError(f"{kind} cannot be trained here: {error}") from error
    start = time.monotonic() - begin
    method = prepared.method.to(prepared.config.device).train()
    groups = method.parameter_groups(
        lr=prepared.config.lr or 0.0, weight_decay=prepared.config.weight_decay or 0.0,
        mixer_lr=prepared.config.mixer_lr,
        mixer_weight_decay=prepared.config.mixer_weight_decay,
    )  # fmt: skip
    optimizer = create_optimizer(groups, prepared.config)
    place = Place(prepared.config.device, AUTOCAST[prepared.config.precision])
    batches: Iterator[Any] = _moved(prepared.task.batches, prepared.config.device)

    def steps(count: int) -> float:
        here = time.monotonic()
        for _ in range(count):
            batch = next(batches)
            with place.precision():
                loss = prepared.task.step(batch).loss
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            optimizer.zero_grad()
            method.update_momentum()
            float(loss.detach())  # waits for the device
        return (time.monotonic() - here) / count

    def look() -> float:
        here = time.monotonic()
        method.eval()
        prepared.task.measure(place)
        method.train()
        return time.monotonic() - here

    return steps, start, look


def _moved(batches: Any, device: str) -> Iterator[Any]:
    """Yield batches on the device without end."""
    while True:
        for batch in batches:
            yield [part.to(device) for part in batch]
