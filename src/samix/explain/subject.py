"""What is explained: the network of a run, how it mixes, and how it sees photos."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from samix.data.views import Channels
from samix.errors import InputError
from samix.evaluation.encoder import load_weights
from samix.methods import RIVALS, scaled
from samix.methods.mix_step import look
from samix.methods.step import find_cost
from samix.networks import (
    MomentumEncoder,
    Tap,
    in_format,
    settle_format,
    standardised,
    tap_features,
)
from samix.networks.described import create_described, described_mixer
from samix.policies import Evidence, LearnedPolicy, Policy, create_policy
from samix.training.run_folder import AVERAGE, MIXER, WEIGHTS
from samix.training.warm_start import ARCHITECTURE, Source, open_source


@dataclass(frozen=True)
class Subject:
    """The network and the policy of a finished run, in eval mode.

    Attributes:
        name: Of the run's folder.
        path: The run's folder.
        network: From (B,3,H,W) to (B,K) logits; to (B,D) embeddings where there is no class.
        classes: Of the K logits in order; empty for a network without classifier.
        image_size: Side of the network's input in px.
        channels: Mean and standard deviation of the channels, for values in [0, 1].
        standardise: Photos are standardised one by one instead.
        policy: How the run mixed.
        average: What a learned policy reads: the momentum encoder; None where it needs none.
        tap: Where it is read.
        guarded: Whether a guard repaired mixes while the run learned.
        look_scale: Share of the side in which the momentum encoder looked.
        description: Plain values for the record.
    """

    name: str
    path: Path
    network: nn.Module
    classes: tuple[str, ...]
    image_size: int
    channels: tuple[Channels, Channels]
    standardise: bool
    policy: Policy
    average: nn.Module | None
    tap: Tap | None
    look_scale: float
    guarded: bool
    description: Mapping[str, Any]

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return next(self.network.parameters()).device

    @cached_property
    def memory_format(self) -> torch.memory_format:
        """The format in which the network and its average take photos on the CPU."""
        return settle_format(self.network)

    @property
    def mixes_by_looking(self) -> bool:
        """Whether masks come from a Mixer, which looks at the photos."""
        return isinstance(self.policy, nn.Module)

    def to(self, device: str) -> Subject:
        """Move all networks to a device, in place."""
        for part in (self.network, self.average, self.policy):
            if isinstance(part, nn.Module):
                part.to(device)
        return self

    def look(self, photos: Tensor) -> Tensor:
        """Return photos as the network sees them.

        Args:
            photos: (B,3,S,S) in [0, 1].

        Returns:
            (B,3,S,S) on the network's device.
        """
        photos = photos.to(self.device)
        if self.standardise:
            return standardised(photos)
        mean, std = (photos.new_tensor(values).view(3, 1, 1) for values in self.channels)
        return (photos - mean) / std

    @torch.no_grad()
    def ask(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return (B,D) embeddings of unit norm and (B,K) probabilities, None without classes.

        Args:
            images: (B,3,S,S) from :meth:`look`, or mixes of them.
        """
        network = cast("Any", self.network)
        features = network.forward_features(in_format(images, self.memory_format))
        embedding = F.normalize(network.forward_head(features, pre_logits=True).float(), dim=1)
        if not self.classes:
            return embedding, None
        return embedding, network.forward_head(features).float().softmax(1)

    @torch.no_grad()
    def evidence(self, images: Tensor, target: Tensor | None = None) -> Evidence:
        """Return what the policy knows about some images beyond their pixels.

        A Mixer reads the momentum encoder of the run. What a rule reads is asked of the run's
        network as it is at the end.

        Args:
            images: (B,3,S,S) from :meth:`look`.
            target: (B,) int64 classes; None takes those that the network sees.
        """
        needs = self.policy.traits.needs
        if "features" in needs and self.average is not None and self.tap is not None:
            looked_at = in_format(scaled(images, self.look_scale), self.memory_format)
            return Evidence(features=tap_features(self.average, looked_at, self.tap))
        if not needs:
            return Evidence()
        if target is None:
            seen = self.ask(images)[1]
            target = None if seen is None else seen.argmax(1)
        return look(MomentumEncoder(self.network), images, target, wanted=needs)


def open_subject(path: str | Path) -> tuple[Subject, Source]:
    """Open a finished run of `samix train` or `samix pretrain`.

    Returns:
        What is explained, and the run.

    Raises:
        InputError: It is no run, is not finished, or its files do not fit together.
    """
    source = open_source(path, "RUN")
    model = source.model
    try:
        classes = tuple(model["classes"] or ())
        network = _network(source, len(classes))
        load_weights(network, source.weights(WEIGHTS), f"'{source.run.path / WEIGHTS}'")
        policy, average, tap = _mixing(source)
        red, green, blue = zip(model["mean"], model["std"], strict=True)
        channels = tuple(zip(red, green, blue, strict=True))
        size = int(model["image_size"])
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"the run '{path}' cannot be read ({' '.join(str(error).split())}); train it again"
        ) from error
    _check(network, source)
    description = {
        "run": str(path),
        **{name: model[name] for name in (*ARCHITECTURE, "method", "policy", "kind")},
    }
    return Subject(
        name=source.run.path.resolve().name,
        path=source.run.path,
        network=network,
        classes=classes,
        image_size=size,
        channels=cast("tuple[Channels, Channels]", channels),
        standardise=bool(model.get("standardise")),
        policy=policy,
        average=average,
        tap=tap,
        look_scale=find_cost(source.config.cost).look_scale,
        guarded=source.config.guard is not None,
        description=description,
    ), source


def _network(source: Source, classes: int) -> nn.Module:
    """Return the run's network with fresh weights; the global random state stays as it is."""
    weights = source.run.path / WEIGHTS
    return create_described(source.model, num_classes=classes, weights=weights).eval()


def _mixing(source: Source) -> tuple[Policy, nn.Module | None, Tap | None]:
    """Return the run's policy, and what it reads."""
    made = source.model.get("mixer")
    if made is None:
        name, options = source.config.policy, dict(source.config.policy_options)
        if name in RIVALS:
            options = {**RIVALS[name].policy_options, **options}
            name = RIVALS[name].policy
        return create_policy(name, **options), None, None
    mixer = described_mixer(made["channels"], made["options"], source.run.path / MIXER).eval()
    try:
        mixer.load_state_dict(source.weights(MIXER))
    except RuntimeError as error:
        raise ValueError(f"{MIXER} does not fit: {str(error).splitlines()[-1].strip()}") from error
    average = _network(source, 0)
    load_weights(average, source.weights(AVERAGE), f"'{source.run.path / AVERAGE}'")
    mixer.requires_grad_(False)
    policy = LearnedPolicy(mixer, alpha=made["alpha"], name=source.model["policy"])
    return policy, average.requires_grad_(False), Tap(made["tap"], made["channels"])


def _check(network: nn.Module, source: Source) -> None:
    """Refuse a network that cannot be asked for features and embedding separately."""
    if not (hasattr(network, "forward_features") and hasattr(network, "forward_head")):
        raise InputError(
            f"{source.name} has the backbone {source.model['backbone']}, whose features cannot be "
            "asked for (no forward_features of timm); explain a run of another backbone"
        )
