"""Everything before the first step: photos, splits and batches, checked."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar, cast

import timm

from samix.data import (
    ImageSet,
    Loading,
    Splits,
    View,
    check_splits,
    eval_view,
    join_splits,
    keep_together,
    labelled_subset,
    make_unlabelled_splits,
    read_splits,
    split_together,
    train_view,
    two_views,
    unused_notes,
)
from samix.data.beginning import check_photos, then_notes
from samix.data.image_set import SplitName
from samix.data.verifying import Keep, Sides
from samix.errors import InputError, UnreadableImageError
from samix.evaluation.seen import run_of, seen_by
from samix.methods import SelfSupervisedMethod, SupervisedMethod
from samix.progress import Announce, named

from .building import create_run_method, fit_queue, process_notes
from .config import FROZEN, PretrainConfig, RunConfig, TrainConfig, whole_path
from .machine import choose_device, choose_precision, emulation_notes
from .probe import begin_with_head, fitted_size, fitted_steps
from .run_folder import RunFolder
from .self_supervised import self_supervised_task
from .supervised import supervised_task
from .task import Method, Task
from .warm_start import (
    RunSource,
    Starts,
    data_of,
    freeze,
    joined,
    look_notes,
    mixer_notes,
    open_sources,
    open_starts,
    source_splits,
    split_note,
    start,
)

_SPLITS: tuple[SplitName | None, ...] = (None, "train", "val", "test")
_LEAST_LOOKS = 20  # at validation in a run
_LEAST_LOOKS_OF_A_PROBE = 5

Config = TypeVar("Config", bound=RunConfig)


@dataclass(frozen=True)
class Prepared:
    """A run that is ready to start."""

    config: RunConfig  # resolved, with the batch size that is used
    images: ImageSet  # all photos
    splits: Splits  # train (what may be learned from), val and test
    task: Task  # what this kind of run does, with its method and its batches
    steps: int  # planned optimiser steps
    notes: tuple[str, ...]  # sentences for the user
    probe: Mapping[str, Any] | None = None  # the linear head that the classifier began as just now

    @property
    def method(self) -> Method:
        """What is trained."""
        return self.task.method

    @property
    def view(self) -> View:
        """How photos are evaluated; it can undo the normalisation."""
        return self.task.view


def resolve(config: Config) -> Config:
    """Return the configuration with whole paths, device and, where the batch is known, rates.

    Raises:
        InputError: The device is not there, or does not do what is asked.
    """
    device = choose_device(config)
    found: dict[str, Any] = {
        "data": whole_path(config.data),
        "device": device,
        "precision": choose_precision(config, device),
    }
    for name in ("labels", "splits"):
        if (path := getattr(config, name)) is not None:
            found[name] = whole_path(path)
    if isinstance(config, PretrainConfig):
        found["more_data"] = tuple(map(whole_path, config.more_data))
    if not config.shrink_batch or config.default_lr(1) == config.default_lr(2):
        found |= _rates(config, config.batch_size or config.default_batch_size)
    return replace(config, **found)


def _rates(config: RunConfig, batch_size: int) -> dict[str, Any]:
    lr, decay = config.lr, config.weight_decay
    lr = config.default_lr(batch_size) if lr is None else lr
    return {
        "lr": lr,
        "mixer_lr": lr if config.mixer_lr is None else config.mixer_lr,
        "weight_decay": config.default_weight_decay() if decay is None else decay,
    }


def prepare(
    config: RunConfig,
    *,
    rank: int = 0,
    run: RunFolder | None = None,
    starts: Starts | None = None,
    announce: Announce | None = None,
) -> Prepared:
    """Open the data, build method and batches, and check that all fits.

    Raises:
        InputError: Data or options cannot be used.
    """
    fresh = run is None or not run.last.is_file()  # otherwise weights come from the checkpoint
    if starts is None:
        starts = open_starts(config) if fresh else Starts()
    sources = open_sources(
        config, progress=named(announce, "checking photos"), keep=kept_for(config)
    )
    images = joined(sources)
    if run is None:
        splits, notes = split_sources(sources, config, announce, starts.init)
    else:
        splits, notes = read_splits(run.splits, images), ()
        if rank == 0:
            hashed = named(announce, "hashing photos")
            check_photos(run.photos, images, splits, f"run '{run.path}'", progress=hashed)
    config = fitted_size(config, images) if config.fit_size else config
    size, shrunk = _fitting_batch(config, len(splits.train))
    config = replace(config, batch_size=size, shrink_batch=False, **_rates(config, size))
    config, queued = fit_queue(config, len(splits.train))
    method = create_run_method(config, images.classes)
    shared = process_notes(config, method)
    started = start(method, config, starts) if fresh else ()
    probe = None
    if fresh and isinstance(config, TrainConfig) and isinstance(method, SupervisedMethod):
        probe = begin_with_head(method, config, images, splits, announce) if config.probe else None
    freeze(method, config)
    task = _task(config, images, splits, method, rank, announce)
    images.kept.copies.clear()  # what will be asked for again is in memory now
    config = fitted_steps(config, len(splits.train)) if config.fit_steps else config
    passes = math.ceil(len(task.batches) / config.accumulate)  # steps of one
    if config.steps is not None:
        config = replace(config, epochs=math.ceil(config.steps / passes))
    config = replace(config, validate_every=_looks(config, task))
    steps = passes * config.epochs
    mixed = None if config.mix_epochs is None else round(config.mix_epochs * len(task.batches))
    method.counter.plan(steps, mixed)
    notes = (
        *_skipped_note(images),
        *started,
        *images.notes,
        *notes,
        *(mixer_notes(starts, config, images, splits) if run is None and starts.mixer else ()),
        *shrunk,
        *queued,
        *shared,
        *emulation_notes(config.precision, config.device),
        *task.notes,
    )
    return Prepared(config, images, splits, task, steps, notes, probe)


def kept_for(config: RunConfig) -> Keep:
    """Return what a run will want of its photos, so that they are decoded once."""
    grouped = config.duplicates == "ignore" or config.group_by is not None
    few = isinstance(config, TrainConfig) and (config.labels_per_class or config.label_fraction)
    several = isinstance(config, PretrainConfig) and config.more_data

    def sides(images: ImageSet) -> Sides:
        try:
            size = fitted_size(config, images).image_size
        except UnreadableImageError:  # the next look at all photos names it
            return {}
        if not isinstance(config, TrainConfig):
            return dict.fromkeys(_SPLITS, (two_views(size).load_size,))
        if config.policy == FROZEN:
            return dict.fromkeys(_SPLITS, (size,))
        load = train_view(size, augmentation=config.augmentation).load_size
        both = tuple({load, size})
        learned = both if config.probe else (load,)
        return {None: both, "train": learned, "val": (size,), "test": (size,)}

    return Keep(
        prints=not grouped and config.splits is None, sides=None if few or several else sides
    )


def split_sources(
    sources: Sequence[tuple[str, ImageSet]],
    config: RunConfig,
    announce: Announce | None = None,
    init: RunSource | None = None,
) -> tuple[Splits, tuple[str, ...]]:
    """Split the photos of a new run, each set by itself; see :func:`split`."""
    parts = [split(images, config, announce, init) for _, images in sources]
    if len(parts) == 1:
        return parts[0]
    return join_splits(sources, [part[0] for part in parts]), tuple(
        f"{prefix}: {note}" for (prefix, _), part in zip(sources, parts, strict=True)
        for note in part[1]
    )  # fmt: skip


def split(
    images: ImageSet,
    config: RunConfig,
    announce: Announce | None = None,
    init: RunSource | None = None,
) -> tuple[Splits, tuple[str, ...]]:
    """Split the photos of a new run, and keep what may be learned from; return parts and notes.

    The splits are those of ``init``, whose encoder is taken, where that had the same photos.

    Raises:
        InputError: The photos cannot be split so.
    """
    options: dict[str, Any] = {
        "group_by": config.group_by,
        "val_fraction": config.val_fraction,
        "test_fraction": config.test_fraction,
        "seed": config.seed,
    }
    together: dict[str, Any] = {"use": config.duplicates, "announce": announce}
    given = None if config.splits is None else read_splits(config.splits, images)
    then = () if config.splits is None else then_notes(config.splits, images)
    if isinstance(config, TrainConfig):
        splits, notes = _labelled_split(images, config, {**options, **together}, given, init)
        return splits, (*then, *notes, *_weights_notes(images, config, splits))
    if given is not None:
        return given, (*then, *unused_notes(images, given, str(config.splits)))
    groups, kept = keep_together(images, group_by=config.group_by, **together)
    splits, notes = make_unlabelled_splits(images, groups=groups, **options)
    if len(splits.val) < 2:
        raise InputError(
            f"{len(images)} photos are too few to pre-train with: {len(splits.val)} would be left "
            "for validation, which needs two; add photos or raise val_fraction"
        )
    return splits, (*kept, *notes)


def _weights_notes(images: ImageSet, config: TrainConfig, splits: Splits) -> tuple[str, ...]:
    """Return what to tell of test photos where weights are those of a run, given as a file."""
    run = None if config.weights is None else run_of(Path(config.weights))
    if run is None or not splits.test:
        return ()
    return (seen_by(run, images, data_of(config)).sentence(splits.test),)


def _labelled_split(
    images: ImageSet,
    config: TrainConfig,
    options: dict[str, Any],
    given: Splits | None,
    source: RunSource | None,
) -> tuple[Splits, tuple[str, ...]]:
    there = None if source is None else source_splits(source, config, images)
    kept: tuple[str, ...] = ()
    if given is not None:
        check_splits(images, given)
        there = given
        kept = unused_notes(images, given, str(config.splits))
    whole = there
    if whole is None:
        whole, kept = split_together(images, **options)
    trained = {*whole.train}
    if config.final:
        whole = replace(whole, train=tuple(sorted((*whole.train, *whole.test))), test=())
    train = labelled_subset(
        images,
        whole,
        labels_per_class=config.labels_per_class,
        label_fraction=config.label_fraction,
        seed=config.seed,
    )
    if config.final:
        learned = f"{sum(i not in trained for i in train)} test photos are learned from too"
        kept = (*kept, f"{learned}: this model has no test figure.")
    val = tuple(i for i in whole.val if images.targets[i] >= 0)
    test = tuple(i for i in whole.test if images.targets[i] >= 0)
    splits = replace(whole, train=train, val=val, test=test)
    if source is None:
        return splits, kept
    if there is None or given is not None:
        seen = seen_by(source.run.path, images, data_of(config))
        overlap = (seen.sentence(splits.test),) if splits.test else ()
        return splits, (*kept, *overlap, *look_notes(source))
    return splits, (
        *kept,
        split_note(source, config, images, splits),
        *look_notes(source),
    )


def _task(
    config: RunConfig,
    images: ImageSet,
    splits: Splits,
    method: Method,
    rank: int,
    announce: Announce | None,
) -> Task:
    wanted = cast("Any", timm).data.resolve_model_data_config(method.encoder)
    view = eval_view(config.image_size, mean=tuple(wanted["mean"]), std=tuple(wanted["std"]))
    loading = Loading(
        seed=config.seed, rank=rank, world_size=config.processes, num_workers=config.workers
    )
    if isinstance(config, PretrainConfig) and isinstance(method, SelfSupervisedMethod):
        return self_supervised_task(
            config, images, splits, method, view, loading=loading, announce=announce
        )
    if isinstance(config, TrainConfig) and isinstance(method, SupervisedMethod):
        balanced = replace(loading, balance=config.balance)
        return supervised_task(
            config, images, splits, method, view, loading=balanced, announce=announce
        )
    raise TypeError(f"config: expected that of a kind of run, got {type(config).__name__}")


def _fitting_batch(config: RunConfig, photos: int) -> tuple[int, tuple[str, ...]]:
    """Return the batch size that fits data and processes, and what to tell of it."""
    size, processes = config.batch_size or config.default_batch_size, config.processes
    fixed = config.batch_size is not None and not config.shrink_batch
    if photos < 2 * processes:
        raise InputError(
            f"{photos} photos are too few to train with {processes} process(es); each needs two"
        )
    if fixed and size > photos:
        raise InputError(
            f"batch_size={size} is larger than the {photos} photos to train with; choose a "
            "smaller one or leave it out"
        )
    fitting = min(size, photos) // processes * processes
    note = f"Batch size {fitting} instead of {size}, for {photos} training photos."
    return fitting, (note,) if fitting != size else ()


def _looks(config: RunConfig, task: Task) -> int:
    """Return after how many epochs to look at validation.

    Looks are as frequent as they can be without taking longer than the training, and at least
    twenty in a run.
    """
    if config.validate_every is not None:
        return config.validate_every
    least = _LEAST_LOOKS
    if isinstance(config, TrainConfig) and config.probe:  # few steps from a good start
        least = _LEAST_LOOKS_OF_A_PROBE
    return max(1, min(math.ceil(task.look_cost * _LEAST_LOOKS / least), config.epochs // least))


def _skipped_note(images: ImageSet) -> tuple[str, ...]:
    if not images.skipped:
        return ()
    named = ", ".join(images.skipped[:3])
    return (f"{len(images.skipped)} photos that cannot be read are left out ({named}).",)
