"""Peak memory of training: on the CPU in a fresh process for each setting, on CUDA in place.

Two numbers make the peak: the weights (parameters and buffers, which with SAMix include the
momentum encoder and the Mixer), and what the steps add: activations, gradients and the optimiser's
state. On the CPU the latter is the highest resident size (VmHWM) minus the one before the first
step. A fresh process has no memory left over from other settings, and the C library is told to give
back at once what is freed: with its usual reserves the same training differed by a third from one
setting to the next. A step with two photos comes before, which loads code and workspaces.
"""

from __future__ import annotations

import gc
import json
import os
import platform
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from samix.errors import InputError
from samix.evaluation.embeddings import Machine

from .numbers import PeakMemory
from .settings import create_step
from .workload import Workload, out_of_memory, told

_STEPS = 4  # the optimiser's state is there after the first
_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
_GIVE_BACK = {"MALLOC_MMAP_THRESHOLD_": "65536"}  # glibc gives back what is larger when freed
_CHILD = "import sys; from samix.evaluation.cost.memory import child; sys.exit(child())"


def why_unmeasured(device: str) -> str | None:
    """Return why peak memory cannot be measured on a device here, or None where it can."""
    if device.startswith("cuda"):
        return None
    if device == "cpu" and platform.system() == "Linux":
        try:
            _CLEAR.write_text("5")
            _resident("VmHWM")
        except (OSError, RuntimeError) as error:
            return f"this Linux does not tell the peak memory of a process ({error})"
        return None
    return (
        f"peak memory is not measured on '{device}' under {platform.system()}: only on the CPU "
        "under Linux and on CUDA devices"
    )


def measure_memory(
    setting: str, workload: Workload, machine: Machine, *, threads: int, channels_last: bool = False
) -> PeakMemory:
    """Return the peak memory of a setting, on the CPU by a fresh process; refused if too little."""
    if machine.device != "cpu":
        return memory_here(setting, workload, machine, channels_last=channels_last)
    task = {
        "setting": setting,
        "workload": asdict(workload),
        "autocast": None if machine.autocast is None else str(machine.autocast).split(".")[-1],
        "threads": threads,
    }
    done = subprocess.run(  # noqa: S603 - this very Python, and this file
        [sys.executable, "-c", _CHILD, json.dumps(task)],
        env={**os.environ, **_GIVE_BACK},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == -signal.SIGKILL:  # by the system, which does so when memory runs out
        raise out_of_memory(workload, f"setting '{setting}'")
    lines = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
    if done.returncode == 2:
        raise InputError(lines)
    if done.returncode != 0:
        raise RuntimeError(f"the memory of setting '{setting}' could not be measured: {lines}")
    return PeakMemory(**json.loads(done.stdout.splitlines()[-1]))


def memory_here(
    setting: str, workload: Workload, machine: Machine, *, channels_last: bool = False
) -> PeakMemory:
    """Return the peak memory of a setting, measured in this process."""
    small = replace(workload, batch_size=2)
    with told(workload, f"setting '{setting}'", stepping=True):
        create_step(setting, small, machine, channels_last=channels_last)()
    gc.collect()
    step = create_step(setting, workload, machine, channels_last=channels_last)
    before = memory_level(machine.device, begin=True)
    with told(workload, f"setting '{setting}'", stepping=True):
        for _ in range(_STEPS):
            step()
        step.finish()
    return PeakMemory(step.weights, max(memory_level(machine.device) - before, 0))


def run_task(text: str) -> dict[str, int]:
    """Return the memory of a task that :func:`measure_memory` wrote down."""
    task: Mapping[str, Any] = json.loads(text)
    torch.set_num_threads(task["threads"])
    autocast = None if task["autocast"] is None else getattr(torch, task["autocast"])
    workload = Workload(**task["workload"])
    return asdict(memory_here(task["setting"], workload, Machine("cpu", autocast)))


def memory_level(device: str, *, begin: bool = False) -> int:
    """Return the highest level in bytes since the beginning, or begin at the present one."""
    if device.startswith("cuda"):
        if not begin:
            return torch.cuda.max_memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        return torch.cuda.memory_allocated(device)
    if begin:
        _CLEAR.write_text("5")  # forget the peak so far
    return _resident("VmRSS" if begin else "VmHWM")


def _resident(field: str) -> int:
    """Return a memory field of this process in bytes (Linux)."""
    for line in _STATUS.read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"{field} is not in {_STATUS}")


def child() -> int:
    """Do the task of a fresh process, its argument, print the result as JSON; return the exit code.

    It is 2, after one sentence, where the task cannot be done.
    """
    try:
        print(json.dumps(run_task(sys.argv[1])))
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    return 0
