"""The classifier of a finished run, as its run folder exports it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import nn

from samix.data import View, eval_view
from samix.data.views import Channels
from samix.errors import InputError
from samix.evaluation.weights import load_weights, read_weights
from samix.networks import create_backbone, settle_format

from .exporting import AVERAGE, MODEL, WEIGHTS
from .initial import ARCHITECTURE


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
    try:
        classes = tuple(str(name) for name in model["classes"])
        view = _view(model)
        network = _network(model, len(classes))
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
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
    try:
        model = json.loads(described.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"'{described}' cannot be read ({error}); train the run again") from error
    if not isinstance(model, dict):
        raise InputError(f"'{described}' does not describe a model; train the run again")
    return model


def _view(model: Mapping[str, Any]) -> View:
    def channels(values: Sequence[float]) -> Channels:
        red, green, blue = (float(value) for value in values)
        return red, green, blue

    size = int(model["image_size"])
    return eval_view(size, mean=channels(model["mean"]), std=channels(model["std"]))


def _network(model: Mapping[str, Any], classes: int) -> nn.Module:
    """Return the network with fresh weights; the global random state stays as it is."""
    make = {name: model[name] for name in ARCHITECTURE}
    with torch.random.fork_rng(devices=[]):
        return create_backbone(make.pop("backbone"), num_classes=classes, **make).eval()
