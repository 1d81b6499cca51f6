"""The machine that a run computes on: its device and its precision."""

from __future__ import annotations

import timm
import torch

from samix.errors import InputError

from .config import FROZEN, Precision, RunConfig

AUTOCAST = {"32": None, "bf16": torch.bfloat16, "16": torch.float16}


def choose_device(config: RunConfig) -> str:
    """Return "cpu", "cuda", "cuda:N" or "mps"; what is not there, or not so often, is refused."""
    there = ["cpu"]
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    there += ["cuda", *(f"cuda:{number}" for number in range(gpus))] if gpus else []
    there += ["mps"] if torch.backends.mps.is_available() else []
    name = config.device
    if name == "auto":
        name = "cuda" if gpus else ("mps" if "mps" in there and config.devices == 1 else "cpu")
    if name not in there:
        raise InputError(f"there is no device '{name}' here; choose one of {', '.join(there)}")
    if name == "cuda" and config.devices > gpus:
        raise InputError(f"devices={config.devices} asks for more GPUs than the {gpus} here")
    if config.devices > 1 and name not in ("cpu", "cuda"):
        raise InputError(f"devices={config.devices} needs device=cpu or cuda, got '{name}'")
    if config.precision == "16" and name == "cpu":
        raise InputError("precision=16 does not work on the CPU; use 32 or bf16")
    return name


def choose_precision(config: RunConfig, device: str) -> Precision:
    """Return the precision, with "auto" resolved for a device: bfloat16 where it is quicker.

    That is where the device has instructions for it and, on a CPU, the network no grouped
    convolutions. It is not timed, so that a seed gives the same on each machine of a kind.
    """
    if config.precision != "auto":
        return config.precision
    if config.policy == FROZEN or not computes_bfloat16(device):
        return "32"  # a frozen encoder is judged as it will be used
    return "32" if device == "cpu" and _has_grouped(config) else "bf16"


def _has_grouped(config: RunConfig) -> bool:
    """Return whether a network has grouped convolutions, which CPUs compute slowly in bfloat16.

    Beside float32 a step in bfloat16 took 0.6 to 0.7 times as long with ResNets, 0.8 with a ViT,
    and 1.2 to 1.5 times as long with EfficientNet-Lite0 and LCNet (torch 2.15, AVX512-BF16).
    """
    try:
        with torch.device("meta"):  # no weights are made
            network = timm.create_model(config.backbone, **config.model_kwargs)
    except Exception:  # the run is about to be told what is wrong with it
        return False
    return any(getattr(module, "groups", 1) > 1 for module in network.modules())


def computes_bfloat16(device: str) -> bool:
    """Return whether a device has instructions for bfloat16, and is quicker in it than in float32.

    GPUs of compute capability 8.0 and CPUs with AVX512-BF16 or AMX have. Others emulate it, which
    takes a CPU several times as long as float32.
    """
    if device.startswith("cuda"):
        return torch.cuda.get_device_capability(device) >= (8, 0)
    features = (torch.cpu._is_avx512_bf16_supported, torch.cpu._is_amx_tile_supported)
    return device == "cpu" and any(there() for there in features)


def emulation_notes(precision: Precision, device: str) -> tuple[str, ...]:
    """Return what to tell where a run computes in a precision that its CPU only emulates."""
    if precision != "bf16" or device != "cpu" or computes_bfloat16("cpu"):
        return ()
    return (
        "This CPU has no instructions for bfloat16 and emulates it: steps take several times as "
        "long as with precision=32, which precision=auto would choose.",
    )
