"""Everything before the first step: photos, splits and batches, checked."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import timm
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
from samix.methods import SupervisedMethod

from .building import create_run_method
from .config import DEFAULT_BATCH_SIZE, TrainConfig
from .runs import RunFolder

Batches = DataLoader[tuple[Tensor, Tensor]]
Announce = Callable[[str, int, int], None]
"""Called with (what is done, done, total) during long preparation."""

_SAMPLE = 512  # training photos on which accuracy without augmentation is measured
_LEAST_LOOKS = 20  # at validation in a run
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
    config = replace(config, validate_every=_looks(config, splits))
    steps = math.ceil(len(loaders.train) / config.accumulate) * config.epochs
    method.options = replace(method.options, steps=steps)
    sample = _sample(images, splits, view, loaders.batch_size, config.seed)
    notes = (*notes, *shrunk, *loaders.notes)
    return Prepared(config, images, splits, loaders, sample, view, method, steps, notes)


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


def _looks(config: TrainConfig, splits: Splits) -> int:
    """Return after how many epochs to look at validation.

    Judging a photo takes about a third of learning from it. Looks are as frequent as they can be
    without taking longer than the training, and at least twenty in a run.
    """
    if config.validate_every is not None:
        return config.validate_every
    sparing = math.ceil(len(splits.val) / (3 * len(splits.train)))
    return max(1, min(sparing, config.epochs // _LEAST_LOOKS))


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
    dataset.store.keep()
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
