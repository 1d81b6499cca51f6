"""Checkpoints: written atomically, read without running any code that they hold."""

from __future__ import annotations

import io
import os
import pickle
import shutil
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO

from samix.errors import InputError
from samix.evaluation.weights import DAMAGED
from samix.files import whole_file

from .preparation import Prepared
from .runs import RunFolder
from .task import Method

_PREFIX = "method."  # of the method's weights in lightning's state dict


def checkpoint_record(prepared: Prepared) -> dict[str, Any]:
    """Return the plain values by which a checkpoint is told from those of other models."""
    config = prepared.config
    return {
        "backbone": config.backbone,
        "image_size": config.image_size,
        "policy": config.policy,
        **prepared.task.record,
    }


def save_checkpoints(trainer: pl.Trainer, run: RunFolder, *, best: bool) -> None:
    """Write last.ckpt and, where this epoch is the best so far, best.ckpt.

    Each appears as a whole or not at all; best before last, so that a run that is killed between
    the two repeats this epoch and writes the same best again. Called by every process.
    """
    files = whole_file(run.last) if trainer.is_global_zero else nullcontext(run.last)
    with files as partial:
        trainer.save_checkpoint(partial, weights_only=False)
        if best and trainer.is_global_zero:
            with whole_file(run.best) as copied:
                shutil.copyfile(partial, copied)
    trainer.strategy.barrier("checkpoints are written")


class PlainFiles(TorchCheckpointIO):
    """Writes checkpoints where they belong, and as the umask says.

    Lightning writes them to the folder for temporary files, for the user alone, and moves them; a
    process that is killed meanwhile leaves them there.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | os.PathLike[str], storage_options: Any = None
    ) -> None:
        """Write a checkpoint; a full disk is an OSError, which it is not where torch writes."""
        buffer = io.BytesIO()
        torch.save(checkpoint, buffer)
        with open(path, "wb") as file:
            file.write(buffer.getbuffer())


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint onto the CPU.

    Raises:
        InputError: It is missing, damaged or not one of ours.
    """
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except (*DAMAGED, pickle.UnpicklingError) as error:
        reason = "not there" if not os.path.exists(path) else "damaged or not a checkpoint"
        raise InputError(
            f"checkpoint '{path}' is {reason}; start a new run with another --output"
        ) from error
    parts = ("samix", "state_dict")
    if not isinstance(checkpoint, dict) or not all(
        isinstance(checkpoint.get(name), Mapping) for name in parts
    ):
        raise InputError(f"checkpoint '{path}' was not written by samix train; start a new run")
    return checkpoint


def check_checkpoint(path: Path, checkpoint: Mapping[str, Any], prepared: Prepared) -> None:
    """Refuse the checkpoint of another model.

    Raises:
        InputError: Backbone, classes, policy or the shape of a weight differ.
    """
    wanted, found = checkpoint_record(prepared), dict(checkpoint["samix"])
    for name, value in wanted.items():
        if found.get(name) != value:
            raise InputError(
                f"checkpoint '{path}' is of another model: {name} {_brief(found.get(name))} "
                f"instead of {_brief(value)}; give the run folder that it belongs to"
            )
    shapes = {k: _shape(v) for k, v in prepared.method.state_dict().items()}
    weights = {k: _shape(v) for k, v in method_state(checkpoint).items()}
    for name in sorted(shapes.keys() | weights.keys()):
        if shapes.get(name) != weights.get(name):
            raise InputError(
                f"checkpoint '{path}' is of another model: {name} has shape {weights.get(name)} "
                f"instead of {shapes.get(name)}; give the run folder that it belongs to"
            )


def method_state(checkpoint: Mapping[str, Any]) -> dict[str, Any]:
    """Return the state dict of the method in a checkpoint."""
    state: Mapping[str, Any] = checkpoint["state_dict"]
    return {k.removeprefix(_PREFIX): v for k, v in state.items() if k.startswith(_PREFIX)}


def load_method(path: Path, prepared: Prepared) -> Method:
    """Load the weights of a checkpoint into the method of a prepared run.

    Raises:
        InputError: The checkpoint cannot be read or is of another model.
    """
    checkpoint = read_checkpoint(path)
    check_checkpoint(path, checkpoint, prepared)
    prepared.method.load_state_dict(method_state(checkpoint))
    return prepared.method


def _shape(value: Any) -> tuple[int, ...] | None:
    return tuple(value.shape) if isinstance(value, torch.Tensor) else None


def _brief(value: Any) -> str:
    if isinstance(value, list):
        return f"of {len(value)} ({', '.join(map(str, value[:3]))}{', …' * (len(value) > 3)})"
    return str(value)
