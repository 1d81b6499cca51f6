"""The method of a run, from names and numbers, and whether it suits the image size."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

import timm
import torch
from torch.nn.modules.batchnorm import _BatchNorm

from samix.errors import InputError
from samix.guard import guard_options
from samix.methods import (
    RIVALS,
    SELF_SUPERVISED,
    MixOptions,
    SelfSupervisedMethod,
    SupervisedOptions,
    backbone_options,
    create_method,
    has_local_statistics,
    method_options,
    scaled,
)
from samix.networks import (
    MixerOptions,
    create_backbone,
    is_pretrained_mixer,
    settle_weights,
    tap_features,
)
from samix.policies import (
    MIXER_OPTIONS,
    POLICIES,
    check_options,
    create_policy,
    nearest,
    policy_options,
)
from samix.presets import load_preset

from .config import PretrainConfig, RunConfig, TrainConfig
from .task import Method

_SCHEDULE = ("seed", "steps", "mix_batches")
_QUEUE = 4096  # keys, where there are photos enough


def check_names(config: RunConfig) -> None:
    """Refuse an unknown method, backbone, policy or option of it before any photo is opened."""
    try:
        if isinstance(config, PretrainConfig):
            _check_method(config)
            _check_rival(config)
        elif config.policy in RIVALS:
            raise ValueError(
                f"policy: {config.policy!r} is for samix pretrain with method "
                f"{' or '.join(RIVALS[config.policy].methods)}; the policy it is made of is "
                f"{RIVALS[config.policy].policy!r}"
            )
        rival = RIVALS.get(config.policy)
        known = policy_options(config.policy if rival is None else rival.policy)
        check_options(config.policy_options, known, f"policy {config.policy!r}")
        if "channels" in known:
            _mixer_options(config)
        elif rival is None:
            create_policy(config.policy, **config.policy_options)
        if config.guard is not None:
            _check_guard(config)
        if not timm.is_model(config.backbone):
            create_backbone(config.backbone, num_classes=2)
    except (ValueError, TypeError) as error:
        raise InputError(str(error)) from error


def _check_guard(config: RunConfig) -> None:
    if config.policy == "none":
        raise ValueError("`guard` has nothing to check with policy=none; leave it out")
    if guard_options(config.guard or {}).saliency == "given":
        raise ValueError(
            "`guard` with saliency 'given' is for a loop of one's own, which has masks to give; "
            "take 'image' or 'attention'"
        )


def _check_method(config: PretrainConfig) -> None:
    name = config.method
    if name not in SELF_SUPERVISED:
        raise ValueError(
            f"method: expected one of {', '.join(SELF_SUPERVISED)}, got {name!r}; the nearest is "
            f"{nearest(name, SELF_SUPERVISED)!r}"
        )
    by_run = {*backbone_options(), *MixOptions.names(), *_SCHEDULE}
    known = [option for option in method_options(name) if option not in by_run]
    check_options(config.method_options, known, f"method {name!r}")


def _check_rival(config: PretrainConfig) -> None:
    rival = RIVALS.get(config.policy)
    if rival is not None and config.method not in rival.methods:
        raise ValueError(
            f"policy={config.policy} is defined for method {' or '.join(rival.methods)}, got "
            f"method={config.method}"
        )
    known = (*POLICIES, *RIVALS)
    if config.policy not in known and not is_pretrained_mixer(config.policy):
        raise ValueError(
            f"policy: expected one of {', '.join(known)}, or the folder of a Mixer or of a run, "
            f"got {config.policy!r}; the nearest is {nearest(config.policy, known)!r}"
        )


def create_run_method(config: RunConfig, classes: Sequence[str]) -> Method:
    """Create the method of a configuration with weights that depend on its seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        # it repeats each of its attempts to fetch weights; the last reason is told below
        logging.getLogger("huggingface_hub").setLevel(logging.CRITICAL)
        try:
            method = create_method(
                config.method if isinstance(config, PretrainConfig) else "supervised",
                **_arguments(config, classes),
            )
        except ModuleNotFoundError:
            raise
        except (ValueError, TypeError, AttributeError) as error:
            raise InputError(str(error)) from error
        except (RuntimeError, OSError) as error:
            reason = str(error).splitlines()[0]
            raise InputError(
                f"backbone '{config.backbone}' cannot be created ({reason}); check model_kwargs"
            ) from error
    _check_sizes(config, method)
    _check_queue(config, method)
    _check_norms(config, method)
    if config.device == "cpu":
        settle_weights(method)
    return method


def fit_queue(config: RunConfig, photos: int) -> tuple[RunConfig, tuple[str, ...]]:
    """Return the configuration with a queue that suits the number of photos, and what to tell.

    A queue with more keys than photos holds former keys of each photo, as negatives of itself. The
    usual queue, that of the preset or of the method, becomes at most half as long as there are
    photos; any other is kept.
    """
    if not isinstance(config, PretrainConfig) or config.method != "moco":
        return config, ()
    preset = {} if config.preset is None else load_preset(config.preset)
    usual = preset.get("method_options", {}).get("queue_size", _QUEUE)
    given = config.method_options.get("queue_size", usual)
    if given == usual:
        size = min(usual, max(photos // 2, config.batch_size or 1))
        options = {**config.method_options, "queue_size": size}
        note = f"A queue of {size} keys instead of {usual}, for {photos} photos."
        return replace(config, method_options=options), (note,) if size < usual else ()
    if isinstance(given, int) and given > photos:
        return config, (
            f"The queue of {given} keys is longer than the {photos} photos: it holds former keys "
            "of each photo as negatives of itself.",
        )
    return config, ()


def process_notes(config: RunConfig, method: Method) -> tuple[str, ...]:
    """Return what to tell about several processes."""
    if config.processes == 1 or config.device.startswith("cuda"):
        return ()
    if not isinstance(method, SelfSupervisedMethod) or method.contrast.momentum_keys:
        return ()
    if not has_local_statistics(method.network):
        return ()
    return (
        "Each process tells its own photos apart, not those of the others: batch norm is not "
        "synchronised on this device, and keys of another process would be known by it.",
    )


def _check_queue(config: RunConfig, method: Method) -> None:
    if not isinstance(method, SelfSupervisedMethod) or method.queue is None:
        return
    size, batch = len(method.queue), config.batch_size or 0
    if batch > size:
        raise InputError(
            f"batch_size={batch} is larger than the queue of {size} keys; take a smaller batch, "
            f"or a larger queue with method_options queue_size={16 * batch}"
        )
    if method.clusters is not None and len(method.clusters.centroids) > size:
        raise InputError(
            f"method_options clusters={len(method.clusters.centroids)} is more than the {size} "
            "keys that are clustered; take fewer clusters or a larger queue_size"
        )


def _check_norms(config: RunConfig, method: Method) -> None:
    size = (config.batch_size or config.default_batch_size) // config.processes
    if size < 2 and any(isinstance(m, _BatchNorm) for m in method.encoder.modules()):
        raise InputError(
            f"batch_size={config.batch_size} gives each process one photo at a time, of which "
            "batch norm has no statistics; choose at least 2 a process, or a `backbone` without "
            "batch norm"
        )


def _arguments(config: RunConfig, classes: Sequence[str]) -> dict[str, Any]:
    labelled = isinstance(config, TrainConfig)
    made = [name for name in backbone_options() if name != "weights"]  # which start() loads
    chosen = SupervisedOptions if labelled else MixOptions
    arguments = {name: getattr(config, name) for name in (*made, *chosen.names(), "seed")}
    if config.policy in MIXER_OPTIONS and "mixer" in config.policy_options:
        mixer = {"mixer": _mixer_options(config)}
        arguments["policy_options"] = {**config.policy_options, **mixer}
    if labelled:
        return {**arguments, "num_classes": len(classes), "classes": classes}
    return {**arguments, **(config.method_options if isinstance(config, PretrainConfig) else {})}


def _mixer_options(config: RunConfig) -> MixerOptions:
    """Return the choices about the Mixer that a file or the command line can give as a mapping."""
    given = config.policy_options.get("mixer") or {}
    if not isinstance(given, Mapping):
        raise ValueError(f"mixer: expected names and values such as {{start: paper}}, got {given}")
    check_options(given, [field.name for field in fields(MixerOptions)], "mixer")
    return replace(MIXER_OPTIONS[config.policy], **given)


def _check_sizes(config: RunConfig, method: Method) -> None:
    training = method.training
    method.eval()
    _check_size("image_size", config.image_size, config, method)
    if isinstance(config, PretrainConfig) and config.view_size is not None:
        _check_size("view_size", config.view_size, config, method)
    method.train(training)


@torch.no_grad()
def _check_size(flag: str, size: int, config: RunConfig, method: Method) -> None:
    image = torch.zeros(1, 3, size, size)
    looked_at = scaled(image, method.cost.look_scale)
    other_stem = "" if config.stem else " or stem=small"
    try:
        method.encoder(image)
        place = None if method.tap is None else tap_features(method.encoder, looked_at, method.tap)
    except (RuntimeError, AssertionError, ValueError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(
            f"{flag} {size} does not suit {config.backbone} ({reason}); try a larger one"
            f"{other_stem}"
        ) from error
    if place is not None and min(place.shape[2:]) < 2:
        height, width = place.shape[2:]
        raise InputError(
            f"{flag} {size} is too small for {config.backbone}: the Mixer reads a map of {height} "
            f"x {width} there, where a mask cannot have structure; choose a larger {flag} or an "
            f"earlier `tap`{other_stem}"
        )
