"""Everything before the first step: photos, splits, batches and the method, checked."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, cast

import numpy as np
import timm
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from samix.data import (
    ImageSet,
    Loaders,
    Loading,
    PhotoDataset,
    Splits,
    View,
    build_loaders,
    eval_view,
    labelled_subset,
    make_splits,
    open_images,
    read_splits,
    train_view,
)
from samix.errors import InputError
from samix.methods import SupervisedMethod, create_method
from samix.networks import MixerOptions, create_backbone, tap_features
from samix.policies import check_options, policy_options

from .config import DEFAULT_BATCH_SIZE, TrainConfig
from .runs import RunFolder

Batches = DataLoader[tuple[Tensor, Tensor]]
Announce = Callable[[str, int, int], None]
"""Called with (what is done, done, total) during long preparation."""

_SAMPLE = 512  # training photos on which accuracy without augmentation is measured
_FIXED_BATCH = 64  # photos on which the Mixer's signs of life are measured


@dataclass(frozen=True)
class Prepared:
    """A run that is ready to start.

    Attributes:
        config: Resolved, with the batch size that is used.
        images: All photos.
        splits: Train (the labels that may be used), val and test.
        loaders: Batches of this process.
        sample: Training photos without augmentation, the same at every call, for clean accuracy.
        view: How photos are evaluated; it can undo the normalisation.
        method: The method with its initial weights.
        steps: Planned optimiser steps.
        notes: Sentences for the user.
    """

    config: TrainConfig
    images: ImageSet
    splits: Splits
    loaders: Loaders
    sample: Batches
    view: View
    method: SupervisedMethod
    steps: int
    notes: tuple[str, ...]

    def fixed_batch(self) -> tuple[Tensor, Tensor]:
        """Return (B,3,H,W) photos and (B,) classes, the same at every call."""
        dataset = self.sample.dataset
        count = min(_FIXED_BATCH, len(dataset))  # type: ignore[arg-type]
        pairs = [(0, index) for index in range(count)]
        images, target = dataset.__getitems__(pairs)  # type: ignore[attr-defined]
        return images, target


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


def prepare(
    config: TrainConfig,
    *,
    rank: int = 0,
    run: RunFolder | None = None,
    announce: Announce | None = None,
) -> Prepared:
    """Open the data, split it, and create the method of a resolved configuration.

    Args:
        config: From :func:`samix.training.config.resolve`.
        rank: Number of this process.
        run: A run that exists already, whose splits are used.
        announce: Called during long work.

    Raises:
        InputError: Data or options cannot be used.
    """
    images = open_images(
        config.data,
        skip_corrupt=config.skip_corrupt,
        root=config.data_root,
        download=config.download,
        progress=_named(announce, "checking photos"),
    )
    notes = _skipped_note(images)
    splits = _split(images, config) if run is None else read_splits(run.splits, images)
    config, shrunk = _fit_batch(config, len(splits.train))
    method = create_run_method(config, len(images.classes))
    view, training = _views(config, method)
    loading = Loading(
        seed=config.seed, rank=rank, world_size=config.processes, num_workers=config.workers
    )
    loaders = build_loaders(
        images,
        splits,
        train=training,
        evaluation=view,
        batch_size=(config.batch_size or 1) // config.processes,
        loading=loading,
        progress=_named(announce, "reading photos"),
    )
    steps = math.ceil(len(loaders.train) / config.accumulate) * config.epochs
    method.options = replace(method.options, steps=steps)
    sample = _sample(images, splits, view, loaders.batch_size, config.seed)
    notes = (*notes, *shrunk, *loaders.notes)
    return Prepared(config, images, splits, loaders, sample, view, method, steps, notes)


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


def _split(images: ImageSet, config: TrainConfig) -> Splits:
    """Split the photos and keep the labels that may be used."""
    splits = make_splits(
        images,
        group_by=config.group_by,
        val_fraction=config.val_fraction,
        test_fraction=config.test_fraction,
        seed=config.seed,
    )
    train = labelled_subset(
        images,
        splits,
        labels_per_class=config.labels_per_class,
        label_fraction=config.label_fraction,
        seed=config.seed,
    )
    val = tuple(i for i in splits.val if images.targets[i] >= 0)
    test = tuple(i for i in splits.test if images.targets[i] >= 0)
    return replace(splits, train=train, val=val, test=test)


def _fit_batch(config: TrainConfig, photos: int) -> tuple[TrainConfig, tuple[str, ...]]:
    """Return the configuration with a batch size that fits data and processes."""
    size, processes = config.batch_size or DEFAULT_BATCH_SIZE, config.processes
    fixed = config.batch_size is not None and not config.shrink_batch
    if photos < 2 * processes:
        raise InputError(
            f"{photos} photos are too few to train with {processes} process(es); each needs two"
        )
    if fixed and size > photos:
        raise InputError(
            f"--batch-size {size} is larger than the {photos} photos to train with; choose a "
            "smaller one or leave it out"
        )
    if fixed and size % processes:
        raise InputError(
            f"--batch-size {size} cannot be shared by {processes} processes; choose a multiple"
        )
    fitting = min(size, photos) // processes * processes
    note = f"Batch size {fitting} instead of {size}, for {photos} training photos."
    return (
        replace(config, batch_size=fitting, shrink_batch=False),
        (note,) if fitting != size else (),
    )


def _views(config: TrainConfig, method: SupervisedMethod) -> tuple[View, View]:
    """Return the views of evaluation and training, normalised as the backbone expects."""
    wanted = cast(Any, timm).data.resolve_model_data_config(method.encoder)
    numbers = {"mean": tuple(wanted["mean"]), "std": tuple(wanted["std"])}
    training = train_view(config.image_size, augmentation=config.augmentation, **numbers)
    return eval_view(config.image_size, **numbers), training


def _sample(images: ImageSet, splits: Splits, view: View, batch_size: int, seed: int) -> Batches:
    """Return a fixed random sample of the training photos without augmentation."""
    order = np.random.default_rng([seed, len(splits.train)]).permutation(len(splits.train))
    chosen = [splits.train[i] for i in order[:_SAMPLE]]
    dataset = PhotoDataset(images, chosen, view)
    dataset.store()
    pairs: Any = [(0, index) for index in range(len(chosen))]
    return DataLoader(dataset, batch_size=batch_size, sampler=pairs, collate_fn=_as_it_is)


def share(loader: Batches, rank: int, processes: int) -> Batches:
    """Return the part of a loader for evaluation that one process looks at."""
    if processes == 1:
        return loader
    pairs: Any = [(0, i) for i in range(rank, len(loader.dataset), processes)]  # type: ignore[arg-type]
    return DataLoader(
        loader.dataset, batch_size=loader.batch_size, sampler=pairs, collate_fn=_as_it_is
    )


def _as_it_is(batch: Any) -> Any:
    return batch


def _skipped_note(images: ImageSet) -> tuple[str, ...]:
    if not images.skipped:
        return ()
    named = ", ".join(images.skipped[:3])
    return (f"{len(images.skipped)} corrupt photos are left out ({named}).",)


def _named(announce: Announce | None, what: str) -> Callable[[int, int], None] | None:
    return None if announce is None else lambda done, total: announce(what, done, total)
