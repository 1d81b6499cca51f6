"""The classifier of a finished run, as its run folder exports it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import nn

from samix.data import View, eval_view
from samix.errors import InputError
from samix.evaluation.model_file import read_model
from samix.evaluation.weights import load_weights, read_weights
from samix.networks import settle_format
from samix.networks.described import create_described

from .exporting import AVERAGE, MODEL, WEIGHTS


@dataclass(frozen=True)
class Classifier:
    """The exported classifier of a run, in eval mode.

    Attributes:
        path: The run's folder.
        network: From (B,3,S,S) normalised photos to (B,K) logits.
        classes: The K classes in the order of the logits.
        view: How photos become its input.
        average: The network is the momentum average.
    """

    path: Path
    network: nn.Module
    classes: tuple[str, ...]
    view: View
    average: bool

    @cached_property
    def memory_format(self) -> torch.memory_format:
        """The format in which the network takes photos on the CPU."""
        return settle_format(self.network)

    def to(self, device: torch.device | str) -> Classifier:
        """Return the classifier on a device."""
        return replace(self, network=self.network.to(device))


def open_classifier(path: str | Path, *, average: bool = False) -> Classifier:
    """Open the classifier of a run from its model.json and its safetensors; no code is run.

    Args:
        path: Folder with the two files.
        average: Take the momentum average instead of the encoder, which validation chose.

    Raises:
        InputError: There is no model, it is no classifier, or its files do not fit together.
    """
    folder = Path(path).expanduser()
    model = _read_model(folder, path)
    weights = folder / (AVERAGE if average else WEIGHTS)
    if average and not weights.is_file():
        raise InputError(
            f"--average: the run '{path}' has no {AVERAGE}, so that it kept none; leave it out, "
            "or train with --momentum-average"
        )
    if model.get("kind") == "embedding":
        raise InputError(
            f"'{path}' is a run of samix pretrain, which knows no classes; train a classifier from "
            f"it: samix train DATA --init {path}"
        )
    if model["classes"] is None:
        raise InputError(f"'{folder / MODEL}' names no classes; train the run again")
    if not weights.is_file():
        raise InputError(f"the run '{path}' has no {weights.name}; train it again")
    try:
        classes = tuple(model["classes"])
        view = eval_view(model["image_size"], mean=tuple(model["mean"]), std=tuple(model["std"]))
        network = create_described(model, num_classes=len(classes), weights=weights).eval()
    except ValueError as error:
        raise InputError(
            f"'{folder / MODEL}' cannot be used ({' '.join(str(error).split())}); train the run "
            "again"
        ) from error
    load_weights(network, read_weights(weights), f"'{weights}'")
    return Classifier(folder, network, classes, view, average)


def _read_model(folder: Path, named: str | Path) -> dict[str, Any]:
    """Return what model.json says."""
    described = folder / MODEL
    if not described.is_file():
        unfinished = (folder / "config.yaml").is_file()
        remedy = (
            f"the run is not finished: go on with samix train --resume --output {named}"
            if unfinished
            else "give the run folder of a finished 'samix train'"
        )
        raise InputError(f"'{named}' has no {MODEL}; {remedy}")
    return read_model(described)
