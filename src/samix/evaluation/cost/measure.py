"""One measurement of cost: the settings in turn, their memory, and what the reader must know."""

from __future__ import annotations

import os
import platform
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from samix.errors import InputError
from samix.evaluation.embeddings import Machine
from samix.options import Options, option
from samix.progress import Display, Silent

from .memory import measure_memory, why_unmeasured
from .numbers import COMPILED, PeakMemory, RunPlan, cost_rows, estimate
from .settings import (
    PLAIN,
    PLAIN_CHANNELS_LAST,
    PLAINS,
    create_step,
    default_settings,
    kind_of,
    parse_settings,
    refuse_unusable,
)
from .workload import TrainingStep, Workload, told

LEAST_STEPS = 30  # steps of each setting below which a note says that they are few
_SMALL_CALLS = 2000
_WAVERING = 0.2  # distance of the quartiles, as a share of the ratio, that is worth a note
_PROCESSOR = Path("/proc/cpuinfo")
Rows = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, kw_only=True)
class CostOptions(Options):
    """What is measured, and how long.

    Attributes:
        workload: What is trained in each step.
        settings: What is measured beside plain training; see
            :func:`samix.evaluation.cost.settings.parse_settings`.
        steps: Measured steps of each setting, at least 2.
        warmup: Steps of each setting before them, at least 1.
        threads: Of torch on the CPU; None leaves them as they are.
        memory: Whether peak memory is measured; None does where it can be.
        channels_last: Whether plain training is also measured in this memory format; None does on
            the CPU where samix uses it. On other devices True runs samix's methods in it too.
        compiled: Everything is also measured with compiled and, on a GPU, replayed steps; see
            :func:`samix.compile_step`.
    """

    workload: Workload = field(default_factory=Workload)
    settings: tuple[str, ...] = field(default_factory=default_settings)
    steps: int = option(32, least=2)
    warmup: int = option(3, least=1)
    threads: int | None = option(None, least=1)
    memory: bool | None = None
    channels_last: bool | None = None
    compiled: bool = False

    def settings_on(self, device: str) -> tuple[str, ...]:
        """Return everything that is measured on a device, plain training first."""
        wanted = self.channels_last
        both = device == "cpu" and self.workload.fast if wanted is None else wanted
        first = (PLAIN, PLAIN_CHANNELS_LAST) if both else (PLAIN,)
        return tuple(dict.fromkeys((*first, *parse_settings(self.settings, self.workload.method))))


def measure_cost(
    options: CostOptions, *, machine: Machine | None = None, progress: Display | None = None
) -> dict[str, Any]:
    """Measure what a training step of each setting costs.

    Args:
        options: What is measured.
        machine: Device and precision; None is the CPU in single precision.
        progress: Where to show what happens; None shows nothing.

    Returns:
        ``rows`` by setting: ``kind`` ("plain", "rule" or "learned"); ``milliseconds`` and
        ``images_per_second`` (means); ``time_ratio`` over plain training with its quartiles
        ``time_ratio_low`` and ``time_ratio_high``; ``time_ratio_to_faster_plain``; ``seconds`` of
        each step; and where memory is measured ``mebibytes`` (weights and what steps add:
        ``weights_mebibytes``, ``step_mebibytes``) with ``memory_ratio`` and ``step_memory_ratio``
        over plain training. ``python_share`` is the share of the step in which the device waits for
        Python, see :func:`python_shares`. Compiled settings are rows of their own, with
        ``time_ratio_to_compiled_plain`` and without memory. Beside them ``faster_plain``,
        ``workload``, ``steps``, ``warmup``, ``machine``, ``notes``.

    Raises:
        InputError: A setting cannot be trained so, memory cannot be measured, or runs out.
    """
    machine, progress = machine or Machine(), progress or Silent()
    names = options.settings_on(machine.device)
    unmeasured = why_unmeasured(machine.device) if options.memory is not False else None
    if unmeasured and options.memory:
        raise InputError(f"memory=True cannot be had: {unmeasured}; leave it out")
    workload = options.workload
    if machine.device == "cpu" and PLAIN_CHANNELS_LAST in names and not workload.fast:
        raise InputError(
            f"'{PLAIN_CHANNELS_LAST}' is not measured with {workload.backbone} on the CPU: layers "
            "as narrow as some of it have crashed torch in that format; leave it out"
        )
    with _settled(options, machine):
        refuse_unusable(names, workload, progress)
        memory: dict[str, PeakMemory] = {}
        if options.memory is not False and not unmeasured:
            memory = _memory(names, options, machine, progress)
        steps = {
            name: create_step(
                name, workload, machine, channels_last=_in_channels_last(options, machine)
            )
            for name in (*names, *(f"{name}{COMPILED}" for name in names if options.compiled))
        }
        seconds, issued = measure_time(
            steps, workload, rounds=(options.warmup, options.steps), progress=progress
        )
        shares = python_shares(steps, seconds, issued)
        described = describe_machine(machine)
    quick = min((n for n in PLAINS if n in seconds), key=lambda name: sum(seconds[name]))
    measured = cost_rows(seconds, memory, workload.batch_size, reference=PLAIN, quick=quick)
    rows = {
        name: {"kind": kind_of(name), **row, "python_share": shares.get(name)}
        for name, row in measured.items()
    }
    said = dict.fromkeys(note for step in steps.values() for note in step.notes)
    return {
        "workload": asdict(workload),
        "steps": options.steps,
        "warmup": options.warmup,
        "machine": described,
        "faster_plain": quick,
        "rows": rows,
        "notes": [*_notes(options, machine.device, unmeasured, rows), *said],
    }


def estimates(plan: RunPlan, rows: Rows) -> dict[str, Any]:
    """Return the plan, and hours, money and kilowatt-hours of such a run with each setting.

    Args:
        plan: The run.
        rows: From :func:`measure_cost`.
    """
    runs = {name: estimate(plan, row["images_per_second"]) for name, row in rows.items()}
    return {**asdict(plan), "rows": runs}


def measure_time(
    steps: Mapping[str, TrainingStep],
    workload: Workload,
    *,
    rounds: tuple[int, int],
    progress: Display,
) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Return the seconds of each step by setting, and in how many of them Python was busy.

    One step of each setting makes a round. The order within a round is drawn anew for each, so that
    whatever else the machine does hits all of them alike and none always follows the same other
    one.

    Raises:
        InputError: A setting cannot be trained so, or memory runs out.
    """
    warmup, measured = rounds
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    issued: dict[str, list[float]] = {name: [] for name in steps}
    order, dice = list(steps), random.Random(workload.seed)  # noqa: S311 - no secret
    begin, total = time.monotonic(), warmup + measured
    for done in range(total):
        dice.shuffle(order)
        for name in order:
            with told(workload, f"setting '{name}'", stepping=True):
                busy, spent = timed(steps[name])
            if done >= warmup:
                issued[name].append(busy)
                seconds[name].append(spent)
        left = (time.monotonic() - begin) / (done + 1) * (total - done - 1)
        progress.work(f"step {done + 1}/{total} of each, {left:.0f} s left", done + 1, total)
    return seconds, issued


def timed(step: TrainingStep) -> tuple[float, float]:
    """Return the seconds until a step was given to the device, and until the device had done it."""
    step.finish()
    start = time.perf_counter()
    step()
    issued = time.perf_counter() - start
    step.finish()
    return issued, time.perf_counter() - start


class Calls(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the calls of torch's operators while it is entered."""

    count = 0

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Count a call and make it."""
        self.count += 1
        return function(*args, **(kwargs or {}))


def python_shares(
    steps: Mapping[str, TrainingStep],
    seconds: Mapping[str, Sequence[float]],
    issued: Mapping[str, Sequence[float]],
) -> dict[str, float]:
    """Return the share of each step in which the device waits for Python, at most 1.

    On a GPU it is the time until everything was given to it over that until everything was done: at
    1 the device always waits. On the CPU, where both are one, it is estimated: the calls of torch's
    operators times what a call of one takes that adds two numbers. Compiled steps have none there.
    """
    shares = {}
    for name, step in steps.items():
        total = sum(seconds[name])
        if step.machine.device != "cpu":
            shares[name] = min(sum(issued[name]) / total, 1.0)
        elif not name.endswith(COMPILED):
            with Calls() as calls:  # type: ignore[no-untyped-call]
                step()
            shares[name] = min(calls.count * _call_seconds() * len(seconds[name]) / total, 1.0)
    return shares


@torch.no_grad()
def _call_seconds() -> float:
    number = torch.zeros(1)
    start = time.perf_counter()
    for _ in range(_SMALL_CALLS):
        number.add_(1.0)
    return (time.perf_counter() - start) / _SMALL_CALLS


def describe_machine(machine: Machine) -> dict[str, Any]:
    """Return what a reader must know to compare times: plain values."""
    device = machine.device
    name = torch.cuda.get_device_name(device) if device.startswith("cuda") else _processor()
    return {
        "device": device,
        "name": name,
        "precision": "float32" if machine.autocast is None else str(machine.autocast).split(".")[1],
        "threads": torch.get_num_threads(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "torch": torch.__version__,
    }


def _memory(
    names: Sequence[str], options: CostOptions, machine: Machine, progress: Display
) -> dict[str, PeakMemory]:
    memory = {}
    threads, channels_last = torch.get_num_threads(), _in_channels_last(options, machine)
    for number, name in enumerate(names):
        progress.work(f"peak memory of {name}", number, len(names))
        memory[name] = measure_memory(
            name, options.workload, machine, threads=threads, channels_last=channels_last
        )
    progress.work("peak memory", len(names), len(names))
    return memory


def _in_channels_last(options: CostOptions, machine: Machine) -> bool:
    """Say whether samix's methods are put into channels-last; on the CPU they do it themselves."""
    return bool(options.channels_last) and machine.device != "cpu"


@contextmanager
def _settled(options: CostOptions, machine: Machine) -> Iterator[None]:
    """Set threads and random state, and leave them afterwards as they were."""
    threads = torch.get_num_threads()
    devices = [torch.device(machine.device)] if machine.device.startswith("cuda") else []
    with torch.random.fork_rng(devices):
        try:
            torch.set_num_threads(options.threads or threads)
            torch.manual_seed(options.workload.seed)
            yield
        finally:
            torch.set_num_threads(threads)


def _notes(options: CostOptions, device: str, unmeasured: str | None, rows: Rows) -> list[str]:
    notes = []
    if unmeasured:
        notes.append(f"No memory: {unmeasured}.")
    if PLAIN_CHANNELS_LAST not in rows and options.channels_last is None and device == "cpu":
        notes.append(
            f"No {PLAIN_CHANNELS_LAST}: some layers are so narrow that it is not known to be safe "
            "on the CPU, and samix does not use it here."
        )
    if options.steps < LEAST_STEPS:
        notes.append(
            f"Only {options.steps} steps of each were measured; take at least {LEAST_STEPS} before "
            "you rely on the numbers."
        )
    spread = {name: row["time_ratio_high"] - row["time_ratio_low"] for name, row in rows.items()}
    worst = max(spread, key=lambda name: spread[name] / rows[name]["time_ratio"])
    if spread[worst] > _WAVERING * rows[worst]["time_ratio"]:
        low, high = (rows[worst][f"time_ratio_{end}"] for end in ("low", "high"))
        notes.append(
            f"The times waver (quartiles of {worst}: {low:.2f} to {high:.2f}): something else "
            "works on this machine, or more steps are needed."
        )
    return notes


def _processor() -> str:
    if _PROCESSOR.is_file():
        for line in _PROCESSOR.read_text(errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()
