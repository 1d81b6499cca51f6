"""What training costs on this machine: time, images a second and peak memory, over plain training.

Whole training steps are measured on random images that are there already: no photos are read or
augmented, nothing is validated. Steps of all settings are interleaved in one process, in an order
that is drawn anew for each round, so that whatever else the machine does hits all of them alike.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

import torch

from samix.errors import InputError

from .cost_machine import describe_machine
from .cost_memory import measure_memory, why_unmeasured
from .cost_numbers import Memory, RunPlan, cost_rows, estimate, fastest
from .cost_settings import (
    PLAIN,
    PLAIN_CHANNELS_LAST,
    PLAINS,
    default_settings,
    kind_of,
    parse_settings,
    refuse_unusable,
)
from .cost_step import Workload
from .cost_time import measure_time
from .embeddings import Machine
from .progress import Progress, Quiet

LEAST_STEPS = 30
"""Steps of each setting below which a note says that they are few."""
_WAVERING = 0.2  # distance of the quartiles, as a share of the ratio, that is worth a note

Rows = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, kw_only=True)
class CostOptions:
    """What is measured, and how long.

    Attributes:
        workload: What is trained in each step.
        settings: What is measured beside plain training; see
            :func:`samix.evaluation.cost_settings.parse_settings`.
        steps: Measured steps of each setting, at least 2.
        warmup: Steps of each setting before them, at least 1.
        threads: Of torch on the CPU; None leaves them as they are.
        memory: Whether peak memory is measured; None does where it can be.
        channels_last: Whether plain training is also measured in this memory format; None does on
            the CPU where samix uses it. On other devices True runs samix's methods in it too.
    """

    workload: Workload = field(default_factory=Workload)
    settings: tuple[str, ...] = field(default_factory=default_settings)
    steps: int = 32
    warmup: int = 3
    threads: int | None = None
    memory: bool | None = None
    channels_last: bool | None = None

    def __post_init__(self) -> None:
        for name, least in (("steps", 2), ("warmup", 1), ("threads", 1)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise InputError(f"--{name} must be at least {least}, got {value}")

    def names(self, device: str) -> tuple[str, ...]:
        """Return everything that is measured on a device, plain training first."""
        wanted = self.channels_last
        both = device == "cpu" and self.workload.fast if wanted is None else wanted
        first = (PLAIN, PLAIN_CHANNELS_LAST) if both else (PLAIN,)
        return tuple(dict.fromkeys((*first, *parse_settings(self.settings, self.workload.method))))


def measure_cost(
    options: CostOptions, *, machine: Machine | None = None, progress: Progress | None = None
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
        over plain training. Beside them ``faster_plain``, ``workload``, ``steps``, ``warmup``,
        ``machine``, ``notes``.

    Raises:
        InputError: A setting cannot be trained so, memory cannot be measured, or runs out.
    """
    machine, progress = machine or Machine(), progress or Quiet()
    names = options.names(machine.device)
    unmeasured = why_unmeasured(machine.device) if options.memory is not False else None
    if unmeasured and options.memory:
        raise InputError(f"--memory cannot be had: {unmeasured}; leave it out")
    workload = options.workload
    _refuse_unsafe(names, workload, machine)
    with _settled(options, machine):
        refuse_unusable(names, workload, progress)
        memory: dict[str, Memory] = {}
        if options.memory is not False and not unmeasured:
            memory = _memory(names, options, machine, progress)
        seconds = measure_time(
            names,
            workload,
            machine,
            rounds=(options.warmup, options.steps),
            channels_last=_in_channels_last(options, machine),
            progress=progress,
        )
        described = describe_machine(machine)
    quick = fastest({name: spent for name, spent in seconds.items() if name in PLAINS})
    measured = cost_rows(seconds, memory, workload.batch_size, reference=PLAIN, quick=quick)
    rows = {name: {"kind": kind_of(name), **row} for name, row in measured.items()}
    return {
        "workload": asdict(workload),
        "steps": options.steps,
        "warmup": options.warmup,
        "machine": described,
        "faster_plain": quick,
        "rows": rows,
        "notes": _notes(options, machine.device, unmeasured, rows),
    }


def estimates(plan: RunPlan, rows: Rows) -> dict[str, Any]:
    """Return the plan, and hours, money and kilowatt-hours of such a run with each setting.

    Args:
        plan: The run.
        rows: From :func:`measure_cost`.
    """
    runs = {name: estimate(plan, row["images_per_second"]) for name, row in rows.items()}
    return {**asdict(plan), "rows": runs}


def _memory(
    names: Sequence[str], options: CostOptions, machine: Machine, progress: Progress
) -> dict[str, Memory]:
    """Return the peak memory of each setting."""
    memory = {}
    threads, channels_last = torch.get_num_threads(), _in_channels_last(options, machine)
    for number, name in enumerate(names):
        progress.work(f"peak memory of {name}", number, len(names))
        memory[name] = measure_memory(
            name, options.workload, machine, threads=threads, channels_last=channels_last
        )
    progress.work("peak memory", len(names), len(names))
    return memory


def _refuse_unsafe(names: Sequence[str], workload: Workload, machine: Machine) -> None:
    """Refuse channels-last on the CPU with a network that is not known to be safe in it."""
    if machine.device == "cpu" and PLAIN_CHANNELS_LAST in names and not workload.fast:
        raise InputError(
            f"'{PLAIN_CHANNELS_LAST}' is not measured with {workload.backbone} on the CPU: layers "
            "as narrow as some of it have crashed torch in that format; leave it out"
        )


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
    """Return sentences that the reader of the numbers must know."""
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
            "works on this machine, or more --steps are needed."
        )
    return notes
