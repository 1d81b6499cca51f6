"""What is evaluated: the encoder of a run, of timm, or of a checkpoint file."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import timm
import torch
from torch import nn

from samix.data.depth import Depth
from samix.data.views import Channels
from samix.errors import InputError, nearest
from samix.networks import SUFFIXES, Standardised, create_backbone, put_weights, read_weights
from samix.networks.described import create_described
from samix.networks.weights import first_line

from .model_file import read_model
from .seen import run_of

_LEAST_SIZE = 8  # px, of photos as samix.data reads them
_SMALL_SIZE = 32  # px, of a small stem where nothing else is said


@dataclass(frozen=True)
class Encoder:
    """A trained network without its classifier, and how photos are put into it.

    Attributes:
        network: From (B,3,H,W) to (B,D) embeddings, in eval mode, on the CPU.
        name: What it is called.
        image_size: Side of its input in px.
        mean: Mean of each channel that is subtracted, for values in [0, 1].
        std: Standard deviation of each channel to divide by.
        dimension: Length D of the embedding.
        make_random: From a seed to a fresh network of the same make with random weights.
        description: Plain values that say what it is, for the record.
        splits: The splits.csv of the run that it comes from; None where there is none.
        depth: What was white in photos of more than 8 bits that it learned from.
    """

    network: nn.Module
    name: str
    image_size: int
    mean: Channels
    std: Channels
    dimension: int
    make_random: Callable[[int], nn.Module]
    description: Mapping[str, Any]
    splits: Path | None = None
    depth: Depth | None = None


@dataclass(frozen=True)
class _Make:
    """How a network is built."""

    backbone: str  # name of a timm model
    model_kwargs: Mapping[str, Any]  # further arguments of ``timm.create_model``
    stem: str | None  # None, or "small"
    image_size: int | None  # side of the input in px; None takes that of the timm model

    def build(self, seed: int = 0, *, pretrained: bool = False) -> nn.Module:
        """Return the network without classifier; the global random state stays as it is."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return create_backbone(
                self.backbone,
                num_classes=0,
                stem=cast("Any", self.stem),
                image_size=self.image_size,
                pretrained=pretrained,
                model_kwargs=self.model_kwargs,
            ).eval()


def open_encoder(
    source: str | Path,
    *,
    backbone: str | None = None,
    model_kwargs: Mapping[str, Any] | None = None,
    stem: str | None = None,
    image_size: int | None = None,
    average: bool = False,
) -> Encoder:
    """Open an encoder and take its classifier off.

    Args:
        source: Run folder of samix; name of a timm model, whose published weights are taken; or a
            checkpoint file of a timm model.
        backbone: Timm model that a checkpoint file is of; not for the others.
        model_kwargs: Arguments of the timm model; not for a run.
        stem: "small" for a checkpoint file of a network with that stem.
        image_size: Side of the input in px; not for a run. None is the size of the timm model, or
            32 with a small stem.
        average: The momentum average of a run.

    Raises:
        InputError: The source cannot be used; the message says why and what to do.
    """
    if image_size is not None and image_size < _LEAST_SIZE:
        raise InputError(f"image_size: expected at least {_LEAST_SIZE} px, got {image_size}")
    path = Path(source).expanduser()
    make = _Make(backbone or "", model_kwargs or {}, stem, image_size)
    if path.is_dir():
        _refuse(make, ("backbone", "model_kwargs", "stem", "image_size"), f"the run '{source}'")
        return _open_run(path, average)
    if average:
        raise InputError(f"average=True is for a run folder of samix, got '{source}'")
    if path.is_file():
        return _open_file(path, make)
    if str(source).endswith(SUFFIXES):
        raise InputError(f"there is no checkpoint file '{source}'; check its path")
    _refuse(make, ("backbone", "stem"), f"the published weights of '{source}'")
    return _open_timm(str(source), make)


def _refuse(make: _Make, names: tuple[str, ...], what: str) -> None:
    for name in names:
        if getattr(make, name):
            raise InputError(f"{name}: expected none with {what}, which has its own; leave it out")


def _open_run(path: Path, average: bool) -> Encoder:
    described = path / "model.json"
    if not described.is_file():
        trained = (path / "config.yaml").is_file()
        raise InputError(
            f"the run '{path}' has no model.json: it is not finished, or of an older samix; finish "
            "it with resume=True"
            if trained
            else f"'{path}' is not a run folder of samix (it has no model.json); give a run "
            "folder, a checkpoint file or the name of a timm model"
        )
    weights = path / ("model_average.safetensors" if average else "model.safetensors")
    if not weights.is_file():
        raise InputError(
            f"the run '{path}' has no {weights.name}; "
            + ("leave average=True out" if average else "train it again")
        )
    model = read_model(described)
    make = _Make(*(model[name] for name in ("backbone", "model_kwargs", "stem", "image_size")))
    mean, std = _channels(model["mean"]), _channels(model["std"])
    known = {name: model[name] for name in ("method", "policy")}
    try:
        network = create_described(model, num_classes=0, weights=weights).eval()
    except ValueError as error:
        raise InputError(first_line(error)) from error
    put_weights(network, read_weights(weights), f"'{weights}'", whole=True)
    splits = path / "splits.csv"
    encoder = _encoder(
        network,
        make,
        name=path.resolve().name,
        channels=(mean, std),
        known={"kind": "run", "source": str(path), **known, "average": average},
        splits=splits if splits.is_file() else None,
    )
    encoder = replace(encoder, depth=model["depth"])
    if not model["standardise"]:
        return encoder
    return replace(  # it looks at photos one by one, as in its training
        encoder,
        network=Standardised(encoder.network).eval(),
        make_random=lambda seed: Standardised(encoder.make_random(seed)).eval(),
        description={**encoder.description, "standardise": True},
    )


def _open_file(path: Path, make: _Make) -> Encoder:
    if not path.name.endswith(SUFFIXES):
        raise InputError(
            f"'{path}' is not a checkpoint file; expected one that ends with {', '.join(SUFFIXES)}"
        )
    if not make.backbone:
        beside = path.parent / "model.json"
        run = f", or give the run folder '{path.parent}'" if beside.is_file() else ""
        raise InputError(
            f"backbone: expected the timm model that the checkpoint '{path}' is of, got none{run}"
        )
    network = _built(make)
    taken = put_weights(network, read_weights(path), f"checkpoint '{path}'")
    known = {"kind": "checkpoint", "source": str(path), "weights": taken.sentence}
    trained = run_of(path)
    splits = None if trained is None else trained / "splits.csv"
    return _encoder(network, make, name=path.name, channels=None, known=known, splits=splits)


def _open_timm(name: str, make: _Make) -> Encoder:
    if not timm.is_model(name):
        names = [*timm.list_models(), *timm.list_pretrained()]
        raise InputError(
            f"there is no run folder, checkpoint file or timm model '{name}'; the nearest timm "
            f"model is '{nearest(name, names)}'"
        )
    make = replace(make, backbone=name)
    network = _built(make, pretrained=True)
    known = {"kind": "timm", "source": name}
    return _encoder(network, make, name=name, channels=None, known=known)


def _built(make: _Make, *, pretrained: bool = False) -> nn.Module:
    # it repeats each of its attempts to fetch weights; the last reason is told below
    logging.getLogger("huggingface_hub").setLevel(logging.CRITICAL)
    try:
        return make.build(pretrained=pretrained)
    except (ValueError, TypeError, AttributeError) as error:
        raise InputError(first_line(error) if not pretrained else str(error)) from error
    except (RuntimeError, OSError) as error:
        raise InputError(
            f"backbone '{make.backbone}' cannot be created ({first_line(error)}); check "
            "model_kwargs and image_size"
        ) from error


def _encoder(
    network: nn.Module,
    make: _Make,
    *,
    name: str,
    channels: tuple[Channels, Channels] | None,
    known: Mapping[str, Any],
    splits: Path | None = None,
) -> Encoder:
    wanted = cast("Any", timm).data.resolve_model_data_config(network)
    size = make.image_size or (_SMALL_SIZE if make.stem else int(wanted["input_size"][-1]))
    mean, std = channels or (_channels(wanted["mean"]), _channels(wanted["std"]))
    description = {
        **known,
        "backbone": make.backbone,
        "model_kwargs": dict(make.model_kwargs),
        "stem": make.stem,
        "image_size": size,
        "mean": list(mean),
        "std": list(std),
        "dimension": (dimension := _dimension(network, size)),
        "parameters": sum(weight.numel() for weight in network.parameters()),
    }
    return Encoder(network, name, size, mean, std, dimension, make.build, description, splits)


@torch.no_grad()
def _dimension(network: nn.Module, size: int) -> int:
    """Return the length of the embedding of photos of this size, or refuse what gives none."""
    try:
        embedding = network(torch.zeros(1, 3, size, size))
    except (RuntimeError, AssertionError, ValueError) as error:
        raise InputError(
            f"the network cannot use photos of {size} px ({first_line(error)}); choose another "
            "image_size"
        ) from error
    if not isinstance(embedding, torch.Tensor) or embedding.ndim != 2:
        raise InputError(
            "the network gives no embedding of one vector a photo; choose another backbone"
        )
    return int(embedding.shape[1])


def _channels(values: Any) -> Channels:
    red, green, blue = (float(value) for value in values)
    return red, green, blue
