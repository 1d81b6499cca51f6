"""The method of a run, from names and numbers, and whether it suits the image size."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import timm
import torch

from samix.errors import InputError
from samix.methods import SupervisedMethod, create_method
from samix.networks import MixerOptions, create_backbone, tap_features
from samix.policies import check_options, policy_options

from .config import TrainConfig


def check_names(config: TrainConfig) -> None:
    """Refuse an unknown backbone, policy or option of it before any photo is opened.

    Raises:
        InputError: Unknown name, with the nearest one.
    """
    try:
        known = policy_options(config.policy)
        check_options(config.policy_options, known, f"policy {config.policy!r}")
        _mixer_options(config)
        if not timm.is_model(config.backbone):
            create_backbone(config.backbone, num_classes=2)
    except ValueError as error:
        raise InputError(str(error)) from error


def create_run_method(config: TrainConfig, classes: int) -> SupervisedMethod:
    """Create the method of a configuration with weights that depend on its seed alone.

    Raises:
        InputError: Options that do not go together, or an image size that is too small.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        # it repeats each of its attempts to fetch weights; the last reason is told below
        logging.getLogger("huggingface_hub").setLevel(logging.CRITICAL)
        try:
            method = create_method("supervised", **_method_options(config), num_classes=classes)
        except (ValueError, TypeError, AttributeError) as error:
            raise InputError(str(error)) from error
        except (RuntimeError, OSError) as error:
            remedy = "leave --pretrained out" if config.pretrained else "check --model-kwargs"
            reason = str(error).splitlines()[0]
            raise InputError(
                f"backbone '{config.backbone}' cannot be created ({reason}); {remedy}"
            ) from error
    _check_size(config, method)
    return method


def _method_options(config: TrainConfig) -> dict[str, Any]:
    """Return the arguments of create_method."""
    policy = dict(config.policy_options)
    if "mixer" in policy:
        policy["mixer"] = _mixer_options(config)
    return {
        "backbone": config.backbone,
        "model_kwargs": config.model_kwargs,
        "pretrained": config.pretrained,
        "stem": config.stem,
        "image_size": config.image_size,
        "tap": config.tap,
        "policy": config.policy,
        **policy,
        "eta": config.eta,
        "area_weight": config.area_weight,
        "clean_branch": config.clean_branch,
        "momentum_average": config.momentum_average,
        "label_smoothing": config.label_smoothing,
        "seed": config.seed,
    }


def _mixer_options(config: TrainConfig) -> MixerOptions:
    """Return the choices about the Mixer that a file or the command line can give as a mapping."""
    given = config.policy_options.get("mixer") or {}
    if not isinstance(given, Mapping):
        raise ValueError(f"mixer: expected names and values such as {{start: paper}}, got {given}")
    check_options(given, [field.name for field in fields(MixerOptions)], "mixer")
    return MixerOptions(**given)


@torch.no_grad()
def _check_size(config: TrainConfig, method: SupervisedMethod) -> None:
    """Refuse an image size that the network or its tap cannot use."""
    size = config.image_size
    image = torch.zeros(1, 3, size, size)
    training = method.training
    method.eval()
    try:
        method.encoder(image)
        place = None if method.tap is None else tap_features(method.encoder, image, method.tap)
    except (RuntimeError, AssertionError, ValueError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(
            f"--image-size {size} does not suit {config.backbone} ({reason}); try a larger one"
            f"{'' if config.stem else ' or --stem small'}"
        ) from error
    method.train(training)
    if place is not None and min(place.shape[2:]) < 2:
        height, width = place.shape[2:]
        remedy = "a larger --image-size or an earlier --tap"
        raise InputError(
            f"--image-size {size} is too small for {config.backbone}: the Mixer reads a map of "
            f"{height} x {width} there, where a mask cannot have structure; choose {remedy}"
            f"{'' if config.stem else ', or --stem small'}"
        )
