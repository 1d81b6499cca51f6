"""How training of a trained network begins: with the frozen rival's head, and a fitting size.

The linear probe, then all weights: the classifier begins as the best linear head on the network as
it is, so that the first steps do not spoil what it knows, and a momentum encoder that starts as a
copy is a judge who knows something from the first step.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import timm
import torch
from torch import Tensor, nn

from samix.data import ImageSet, Splits, View, eval_view
from samix.data.store import photo_at
from samix.errors import InputError
from samix.evaluation import Machine, evaluate_classifiers
from samix.evaluation.features import FrozenEncoder, frozen_features
from samix.evaluation.frozen import FrozenHead, check_head, fit_frozen, put_head
from samix.evaluation.linear import Labelled
from samix.evaluation.metrics import areas_under_curve
from samix.methods import SupervisedMethod
from samix.networks import classifier_names
from samix.progress import Announce

from .config import RunConfig, TrainConfig
from .machine import AUTOCAST
from .task import step_seconds

PARTS = ("train", "val", "test")
_CHECKED = 8  # photos on which the network is compared with the head
_LOOKED_AT = 16  # photos whose sides are looked at
_SIDES = (96, 224)  # px: least and most
_STRIDE = 32  # px: sides are a multiple
_PASSES = 10  # over the photos, where that is more steps than the preset has
_MOST_STEPS = {"cpu": 150}  # minutes on a processor
_MOST_ELSEWHERE = 1000


@dataclass(frozen=True)
class FrozenResult:
    """A classifier whose encoder was not trained."""

    network: nn.Module  # the timm model, in eval mode, with the head as its classifier
    head: FrozenHead  # the head, and what it was chosen from
    # by part, (N,K) of the photos of all parts but train, in their order
    logits: Mapping[str, Tensor]
    computed: int  # features that were computed; the others were in the cache
    seconds: Mapping[str, float]  # time in seconds of "features" and of "head"
    view: View  # how photos become the network's input


@dataclass(frozen=True)
class FrozenPhotos:
    """What a network that is not trained says of the photos of some parts."""

    encoder: FrozenEncoder  # the timm classifier, in eval mode, and how photos become its input
    features: Mapping[str, Tensor]  # by part, (N,D) in the order of its photos
    flipped: Tensor  # (N,D) of the mirrored photos of train
    target: Mapping[str, Tensor]  # by part, (N,) classes
    spent: Mapping[
        str, Tensor
    ]  # by part and of "flipped", (N,) seconds that each took, now or then
    computed: int  # features that were computed; the others were in the cache
    seconds: float  # wall time of this call

    def labelled(self, part: str) -> Labelled:
        """Return the features and classes of a part."""
        return Labelled(self.features[part], self.target[part])

    def cost(self, at: Tensor) -> float:
        """Return the seconds for what a head learns from: some photos of train, and those of val.

        Args:
            at: (n,) positions in train; each photo is seen as it is and mirrored.
        """
        parts = self.spent["train"][at], self.spent["flipped"][at], self.spent["val"]
        return sum(float(part.sum()) for part in parts)


def embed_parts(
    network: nn.Module,
    config: TrainConfig,
    images: ImageSet,
    splits: Splits,
    *,
    parts: Sequence[str] = PARTS,
    announce: Announce | None = None,
) -> FrozenPhotos:
    """Return the features of photos, from the cache where they are known; see :func:`fit_head`."""
    wanted = cast("Any", timm).data.resolve_model_data_config(network)
    view = eval_view(config.image_size, mean=tuple(wanted["mean"]), std=tuple(wanted["std"]))
    encoder = FrozenEncoder(
        network.to(config.device), view, Machine(config.device, AUTOCAST[config.precision])
    )
    begin = time.monotonic()
    at = {part: getattr(splits, part) for part in parts}
    names = tuple(f"{name}." for name in classifier_names(network))
    try:
        found = frozen_features(
            encoder, images, [i for part in parts for i in at[part]], at["train"],
            leave_out=names, announce=announce,
        )  # fmt: skip
    except (RuntimeError, AttributeError, AssertionError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(
            f"image_size: {config.image_size} px do not suit {config.backbone} ({reason})"
        ) from error
    sizes = [len(at[part]) for part in parts]
    some = torch.split(found.plain, sizes)
    spent = torch.split(found.seconds, [*sizes, len(at["train"])])
    return FrozenPhotos(
        encoder, dict(zip(parts, some, strict=True)), found.flipped,
        {part: torch.tensor([images.targets[i] for i in at[part]]) for part in parts},
        dict(zip([*parts, "flipped"], spent, strict=True)),
        found.computed, time.monotonic() - begin,
    )  # fmt: skip


def fit_head(
    network: nn.Module,
    config: TrainConfig,
    images: ImageSet,
    splits: Splits,
    *,
    parts: Sequence[str] = PARTS,
    announce: Announce | None = None,
) -> FrozenResult:
    """Fit the best linear head on a network as it is, and make it its classifier, in place.

    It is fitted on train and chosen on val. The network is put on the device and into eval mode.

    Raises:
        InputError: The size does not suit the network, or it does not end in a linear layer.
    """
    known = embed_parts(network, config, images, splits, parts=parts, announce=announce)
    begin = time.monotonic()
    head = fit_frozen(
        known.labelled("train"), known.labelled("val"), len(images.classes), flipped=known.flipped
    )
    put_head(network, head)
    _check(known.encoder, head, images, splits.val[:_CHECKED])
    judged = [p for p in ("test", "val") if p in parts and getattr(splits, p)]
    logits = {part: head.logits(known.features[part]) for part in judged}
    seconds = {"features": known.seconds, "head": time.monotonic() - begin}
    return FrozenResult(network, head, logits, known.computed, seconds, known.encoder.view)


def _check(encoder: FrozenEncoder, head: FrozenHead, images: ImageSet, at: Sequence[int]) -> None:
    """Refuse a network that does not say what the head says, in float32 whatever the precision."""
    view = encoder.view
    photos = torch.stack([photo_at(images, i, view.load_size) for i in at])
    shown = view(photos, np.zeros(len(photos), dtype=np.uint64))
    exact = FrozenEncoder(encoder.network, view, Machine(encoder.machine.device))
    with torch.no_grad():
        logits = exact.network(shown.to(exact.machine.device)).float().cpu()
    check_head(logits, head.logits(exact(shown)))


def begin_with_head(
    method: SupervisedMethod,
    config: TrainConfig,
    images: ImageSet,
    splits: Splits,
    announce: Announce | None,
) -> dict[str, Any]:
    """Let the classifier of a method on the CPU, and its average, begin as the frozen rival's.

    Return what the head reaches on val, and how it was chosen, as plain values for a file.
    """
    training = method.training
    wanted = [parameter.requires_grad for parameter in method.encoder.parameters()]
    found = fit_head(
        method.encoder, config, images, splits, parts=("train", "val"), announce=announce
    )
    for parameter, grad in zip(method.encoder.to("cpu").parameters(), wanted, strict=True):
        parameter.requires_grad_(grad)
    method.train(training)
    if method.average is not None:
        method.average.begin_as(method.encoder)
    judged = judge(found.logits["val"], images, splits.val)
    return {"val": judged, "head": found.head.record(), "seconds": dict(found.seconds)}


def judge(logits: Tensor, images: ImageSet, at: Sequence[int]) -> dict[str, Any]:
    """Return the metrics of (N,K) logits of the photos at some positions."""
    target = torch.tensor([images.targets[i] for i in at])
    found = evaluate_classifiers({"head": nn.Identity()}, [(logits, target)], images.classes)
    areas = areas_under_curve(logits.double().softmax(1), target, images.classes)
    return {**found["head"].to_dict(), "auc": areas}


def fitted_size(config: RunConfig, images: ImageSet, *, most: int = _SIDES[1]) -> RunConfig:
    """Return the configuration with a side of the images that suits photos and machine.

    Where the side may be chosen it is the median shorter side of some photos, from 96 px to
    ``most``: a frozen EfficientNet tells garments far better at 224 px than at 96
    (benchmarks/results). A network that is made for one size keeps it.
    """
    if not config.fit_size:
        return config
    config = replace(config, fit_size=False)
    known = timm.get_pretrained_cfg(config.backbone) if timm.is_model(config.backbone) else None
    if known is not None and known.fixed_input_size:
        return replace(config, image_size=int(known.input_size[-1]))
    least = _SIDES[0]
    step = max(1, len(images) // _LOOKED_AT)
    sides = [min(images.read_for(i, most).size) for i in range(0, len(images), step)]
    side = round(float(np.median(sides)) / _STRIDE) * _STRIDE
    return replace(config, image_size=min(most, max(least, side)))


def fitted_steps(config: RunConfig, photos: int) -> RunConfig:
    """Return the configuration with a number of steps that suits photos and machine.

    Where it may be chosen it is ten passes over the photos, at least what is given, at most what
    takes minutes: 150 steps on a processor, 1,000 elsewhere.
    """
    if not config.fit_steps or config.steps is None:
        return config
    most = _MOST_STEPS.get(config.device, _MOST_ELSEWHERE)
    wanted = _PASSES * photos // (config.batch_size or config.default_batch_size)
    return replace(config, fit_steps=False, steps=max(config.steps, min(wanted, most)))


def expected_seconds(method: SupervisedMethod, config: RunConfig, steps: int) -> float:
    """Return how long so many steps take, from one step of a copy of the method."""
    batch = (config.batch_size or config.default_batch_size) // config.processes
    return steps * step_seconds(copy.deepcopy(method), config, batch) * config.accumulate
