"""The exported model of a run: plain weights, and what is needed to build the network for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

from safetensors.torch import save_file
from torch import Tensor, nn

from samix._version import __version__
from samix.files import whole_file
from samix.networks import MomentumEncoder, Tap
from samix.policies import LearnedPolicy

from .runs import RunFolder, write_json

MODEL = "model.json"
WEIGHTS = "model.safetensors"
AVERAGE = "model_average.safetensors"
MIXER = "mixer.safetensors"


class Trained(Protocol):
    """What is exported of a method."""

    policy: Any
    tap: Tap | None
    average: MomentumEncoder | None

    def export(self, *, average: bool = False) -> nn.Module:
        """Return a copy of the trained network, or of its momentum average."""


class ModelConfig(Protocol):
    """What is exported of a configuration: how the network was built."""

    @property
    def backbone(self) -> str:
        """Name of a timm model."""

    @property
    def model_kwargs(self) -> Mapping[str, Any]:
        """Further arguments of ``timm.create_model``."""

    @property
    def stem(self) -> str | None:
        """None, or "small" for the first layers of :func:`samix.small_stem`."""

    @property
    def image_size(self) -> int:
        """Side of the network's input in pixels."""

    @property
    def policy(self) -> str:
        """Name of the mixing policy."""


def write_model(
    run: RunFolder | Path,
    method: Trained,
    config: ModelConfig,
    *,
    classes: Sequence[str] | None,
    mean: Sequence[float],
    std: Sequence[float],
    name: str = "supervised",
    standardise: bool = False,
) -> None:
    """Write the trained network of a run, its average and its Mixer, each where there is one.

    The weights are plain timm state dicts. ``model.json`` comes last, so that it only stands beside
    weights that it describes; each file appears as a whole or not at all.

    Args:
        run: The run folder.
        method: With the weights to export.
        config: How the network was built.
        classes: Class names of a classifier; None for an embedding network.
        mean: Mean of the three channels that is subtracted from photos in [0, 1].
        std: Standard deviation of the three channels to divide by.
        name: Name of the method in :data:`samix.METHODS`.
        standardise: The network was shown photos standardised one by one, whatever mean and std.
    """
    path = run.path if isinstance(run, RunFolder) else run
    _write_weights(path / WEIGHTS, method.export().state_dict())
    if method.average is not None:
        _write_weights(path / AVERAGE, method.export(average=True).state_dict())
    policy = method.policy
    mixer = None
    if isinstance(policy, LearnedPolicy):
        _write_weights(path / MIXER, policy.mixer.state_dict())
        mixer = {
            "channels": policy.mixer.channels,
            "tap": None if method.tap is None else method.tap.index,
            "options": asdict(policy.mixer.options),
            "alpha": policy.alpha,
        }
    content = {
        "samix": __version__,
        "kind": "embedding" if classes is None else "classifier",
        "backbone": config.backbone,
        "model_kwargs": dict(config.model_kwargs),
        "stem": config.stem,
        "image_size": config.image_size,
        "num_classes": 0 if classes is None else len(classes),
        "classes": None if classes is None else list(classes),
        "mean": [float(value) for value in mean],
        "std": [float(value) for value in std],
        "standardise": standardise,
        "method": name,
        "policy": config.policy,
        **({} if mixer is None else {"mixer": mixer}),
    }
    write_json(path / MODEL, content)


def _write_weights(path: Path, state: Mapping[str, Tensor]) -> None:
    """Write tensors as safetensors, on the CPU, each with memory of its own."""
    tensors = {k: v.detach().cpu().clone().contiguous() for k, v in state.items()}
    with whole_file(path) as partial:
        save_file(tensors, partial, metadata={"format": "pt"})
