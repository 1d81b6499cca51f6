"""On which machine something was measured."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

import torch

from .embeddings import Machine

_PROCESSOR = Path("/proc/cpuinfo")


def describe_machine(machine: Machine) -> dict[str, Any]:
    """Return what a reader must know to compare times: plain values.

    Args:
        machine: Device and precision; threads are those that torch has now.
    """
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


def _processor() -> str:
    """Return the name of the processor, or its kind where the system does not tell more."""
    if _PROCESSOR.is_file():
        for line in _PROCESSOR.read_text(errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()
