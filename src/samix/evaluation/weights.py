"""Weights from files, read without running any code, and put into a network."""

from __future__ import annotations

import pickle
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from samix.errors import InputError

SUFFIXES = (".safetensors", ".pth", ".pt", ".pth.tar", ".bin")
DAMAGED = (
    OSError, RuntimeError, EOFError, ValueError, TypeError, LookupError, AttributeError,
    struct.error, MemoryError,
)  # fmt: skip
"""What torch.load raises of a file that it cannot read, beside pickle.UnpicklingError."""
_WRAPPERS = ("state_dict", "model", "model_state_dict")
_PREFIXES = ("module.", "_orig_mod.", "model.")


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read the state dict in a file.

    What training scripts put around it is taken off: a dictionary with the entry "state_dict" or
    "model", and "module." before each name.

    Args:
        path: A .safetensors file or one of torch.save.

    Raises:
        InputError: It cannot be read, or holds no state dict.
    """
    try:
        if path.suffix == ".safetensors":
            content: Any = load_file(path)
        else:
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise InputError(
            f"'{path}' holds more than tensors, or is damaged, and is not read, since that could "
            "run code; save its state dict alone, e.g. as .safetensors"
        ) from error
    except (*DAMAGED, SafetensorError) as error:
        raise InputError(f"'{path}' is damaged or not a file of weights") from error
    state = _unwrapped(content)
    if not state:
        raise InputError(
            f"'{path}' holds no state dict (names and tensors); save model.state_dict() into it"
        )
    return state


def load_weights(network: nn.Module, state: Mapping[str, Tensor], origin: str) -> None:
    """Put weights into a network without a classifier; a classifier in the weights is left out.

    Args:
        network: A timm model with ``num_classes=0``.
        state: From :func:`read_weights`.
        origin: What the weights are called in a complaint.

    Raises:
        InputError: Names or shapes differ.
    """
    wanted = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    heads = _classifier_names(network)
    found = {
        name: value
        for name, value in state.items()
        if name in wanted or not name.startswith(tuple(f"{head}." for head in heads))
    }
    shapes = {name: tuple(value.shape) for name, value in found.items()}
    differing = [k for k in (*wanted, *shapes) if wanted.get(k) != shapes.get(k)]
    if differing:
        name = differing[0]
        raise InputError(
            f"{origin} does not fit the network: {len(set(differing))} entries differ, such as "
            f"{name}: {_shape(shapes.get(name))} in the file, {_shape(wanted.get(name))} in the "
            "network; check --backbone, --model-kwargs, --stem and --image-size"
        )
    network.load_state_dict(found)


def _unwrapped(content: Any) -> dict[str, Tensor]:
    """Return the names and tensors in what a file holds; empty where there are none."""
    while isinstance(content, Mapping):
        inner = [content[word] for word in _WRAPPERS if isinstance(content.get(word), Mapping)]
        if not inner:
            break
        content = inner[0]
    if not isinstance(content, Mapping) or not content:
        return {}
    if not all(isinstance(value, Tensor) for value in content.values()):
        return {}
    state = {str(name): value for name, value in content.items()}
    while prefix := next((p for p in _PREFIXES if all(k.startswith(p) for k in state)), None):
        state = {name.removeprefix(prefix): value for name, value in state.items()}
    return state


def _classifier_names(network: nn.Module) -> tuple[str, ...]:
    """Return what the classifiers of a timm model are called."""
    names = getattr(network, "pretrained_cfg", {}).get("classifier") or ()
    return (names,) if isinstance(names, str) else tuple(names)


def _shape(shape: tuple[int, ...] | None) -> str:
    return "missing" if shape is None else " x ".join(map(str, shape)) or "a number"
