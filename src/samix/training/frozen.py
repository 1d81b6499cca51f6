"""Runs of the frozen rival: a trained encoder that stays as it is, and a linear head on it."""

from __future__ import annotations

import time
from dataclasses import MISSING, dataclass, fields, replace
from typing import Any

import torch
from torch import nn

from samix.data import ImageSet, Splits, read_splits, write_splits
from samix.data.beginning import check_photos, write_photos
from samix.errors import InputError
from samix.networks import EMBEDDED, create_backbone, is_embedded, weights_at_hand
from samix.progress import Display, named

from .config import FROZEN, TrainConfig
from .prepare import kept_for, resolve, split_sources
from .probe import PARTS, FrozenPhotos, FrozenResult, embed_parts, fit_head, judge
from .run_folder import (
    PREDICTIONS,
    RunFolder,
    created_run,
    free_output,
    only_run,
    read_notes,
    write_config,
    write_json,
    write_network,
    write_predictions,
)
from .warm_start import Starts, adopt, joined, load_encoder, load_named, open_sources, open_starts

_RULE = "lowest cross-entropy on val, averaged over classes"
_NEED_GRADIENTS = (
    "policy_options", "guard", "mix_epochs", "clean_branch", "freeze_mixer", "mixer_from",
    "pairing", "label", "decoupled", "momentum_average", "label_smoothing", "balance",
    "augmentation", "probe", "steps", "layer_decay", "norms", "teacher",
)  # fmt: skip


def embed_frozen(
    config: TrainConfig, images: ImageSet, splits: Splits, display: Display
) -> FrozenPhotos:
    """Return the features of all parts, for several heads; see :func:`frozen_encoder`."""
    network, _ = frozen_encoder(config, len(images.classes))
    return embed_parts(network, config, images, splits, announce=display.work)


def frozen_config(config: TrainConfig, starts: Starts | None = None) -> TrainConfig:
    """Return the configuration of a frozen run: with weights, and nothing that needs gradients.

    Where no weights are named the embedded ones of :data:`samix.networks.EMBEDDED` are taken.

    Raises:
        InputError: An option needs gradients, or there are no weights.
    """
    plain = {field.name: field for field in fields(TrainConfig)}
    for name in _NEED_GRADIENTS:
        default = {} if plain[name].default is MISSING else plain[name].default
        if (value := getattr(config, name)) != default:
            raise InputError(
                f"{name}: expected nothing beside policy '{FROZEN}', which trains no network and "
                f"mixes nothing, got {value!r:.80}; leave it out, or take another policy"
            )
    if config.processes > 1:
        raise InputError(
            f"devices: expected 1 with policy '{FROZEN}', whose features one process computes, got "
            f"{config.processes}"
        )
    if config.weights is None and config.init is None and not config.pretrained:
        if config.backbone not in (plain["backbone"].default, EMBEDDED):
            raise InputError(
                f"weights: expected some for backbone '{config.backbone}' with policy '{FROZEN}', "
                "since an encoder with random weights that is not trained knows nothing; give "
                f"weights, init or pretrained, or leave the backbone out ({weights_at_hand()})"
            )
        if not is_embedded(EMBEDDED):
            raise InputError(f"weights: expected some with policy '{FROZEN}'; {weights_at_hand()}")
        config = replace(config, backbone=EMBEDDED, weights=EMBEDDED)
    if config.stem is not None and config.init is None:
        raise InputError(
            f"stem: expected None with policy '{FROZEN}', since fresh first layers stay random, "
            f"got '{config.stem}'; leave it out"
        )
    return replace(adopt(replace(config, policy="none"), starts), policy=FROZEN)


def run_frozen(
    config: TrainConfig, display: Display, run: RunFolder | None = None
) -> tuple[RunFolder, dict[str, Any]]:
    """Run the frozen rival from its configuration to its metrics; return its folder and these.

    Args:
        config: What to do; nothing in it needs to be resolved.
        display: Where to show progress.
        run: A run that was stopped, whose configuration it is: the rest is done, and features
            that were computed are kept. None begins a new one.

    Raises:
        InputError: Something the user gave cannot be used, or is not there any more.
    """
    starts = open_starts(config)
    config = resolve(frozen_config(config, starts))
    path = free_output(config) if run is None else run.path
    begin = time.monotonic()
    sources = open_sources(
        config, progress=named(display.work, "checking photos"), keep=kept_for(config)
    )
    images = joined(sources)
    if run is not None:
        with only_run(run):
            splits, notes = read_splits(run.splits, images), read_notes(run)
            hashed = named(display.work, "hashing photos")
            check_photos(run.photos, images, splits, f"run '{run.path}'", progress=hashed)
            encoder = frozen_encoder(config, len(images.classes), starts)
            job = _Job(config, images, splits, notes, run, encoder)
            return run, _work(job, display, begin)
    # of a run whose encoder is taken the split too: no test photo was learned from before
    splits, notes = split_sources(sources, config, display.work, starts.init)
    # refused before there is a folder
    encoder = frozen_encoder(config, len(images.classes), starts)
    with created_run(path) as begun:
        write_splits(begun.splits, images, splits)
        write_photos(begun.photos, images, splits, progress=named(display.work, "hashing photos"))
        write_config(begun, config, images, notes)
        job = _Job(config, images, splits, notes, begun, encoder)
        return begun, _work(job, display, begin)


@dataclass(frozen=True)
class _Job:
    config: TrainConfig
    images: ImageSet
    splits: Splits
    notes: tuple[str, ...]
    run: RunFolder
    encoder: tuple[nn.Module, list[str]]  # with its weights, and what to say of them


def _work(job: _Job, display: Display, begin: float) -> dict[str, Any]:
    config, images, splits, run = job.config, job.images, job.splits, job.run
    display.rest()
    network, said = job.encoder
    for sentence in (_opening(config, images, splits, run), *job.notes, *said):
        display.say(sentence)
    result = fit_head(network, config, images, splits, announce=display.work)
    metrics = _metrics(job, result, begin)
    shares = {part: logits.double().softmax(1) for part, logits in result.logits.items()}
    write_predictions(run.path / PREDICTIONS, images, splits, shares)
    write_network(
        run.path, result.network, config,
        classes=images.classes, mean=result.view.mean, std=result.view.std, depth=images.depth,
    )  # fmt: skip
    write_json(run.metrics, metrics)
    display.rest()
    return metrics


def frozen_encoder(
    config: TrainConfig, classes: int, starts: Starts | None = None
) -> tuple[nn.Module, list[str]]:
    """Return the encoder of a frozen run with its weights, and sentences about what did not fit.

    Raises:
        InputError: The encoder or its weights cannot be had.
    """
    init = (open_starts(config) if starts is None else starts).init
    said = []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        try:
            network = create_backbone(
                config.backbone,
                num_classes=classes,
                stem=config.stem,
                image_size=config.image_size,
                pretrained=config.pretrained,
                model_kwargs=config.model_kwargs,
            )
        except (ValueError, TypeError, RuntimeError, OSError) as error:
            raise InputError(str(error)) from error
    if init is not None:
        load_encoder(init, network)
    elif config.weights is not None:
        said.append(load_named(network, config).sentence)
    return network.requires_grad_(False).eval(), said


def _opening(config: TrainConfig, images: ImageSet, splits: Splits, run: RunFolder) -> str:
    start = config.init or config.weights or "its published weights"
    return (
        f"{images.name}: {len(splits.train)} photos to train, {len(splits.val)} val, "
        f"{len(splits.test)} test, {len(images.classes)} classes; {config.backbone} frozen with "
        f"the weights '{start}' at {config.image_size} px on {config.device}, and a linear head; "
        f"no training steps; writing to '{run.path}'"
    )


def _metrics(job: _Job, result: FrozenResult, begin: float) -> dict[str, Any]:
    images, splits = job.images, job.splits
    judged: dict[str, Any] = {"test": None}
    for part, logits in result.logits.items():
        judged[part] = {"encoder": judge(logits, images, getattr(splits, part))}
    photos = sum(len(getattr(splits, part)) for part in PARTS)
    seconds = time.monotonic() - begin
    return {
        "status": "finished",
        **judged,
        "checkpoint": {"epoch": 0, "chosen_by": _RULE},
        "head": result.head.record(),
        "epochs": {"done": 0, "planned": 0},
        "photos": {part: len(getattr(splits, part)) for part in PARTS},
        "mixer": None,
        "guard": None,
        "cost": {
            "seconds": seconds,
            "train_seconds": sum(result.seconds.values()),
            "feature_seconds": result.seconds["features"],
            "head_seconds": result.seconds["head"],
            "features_computed": result.computed,
            "test_seconds": 0.0,
            "images_per_second": photos / max(result.seconds["features"], 1e-9),
            "steps": 0,
            "device": job.config.device,
            "processes": 1,
        },
        "notes": list(job.notes),
    }
