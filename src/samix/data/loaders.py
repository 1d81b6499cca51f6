"""Batches for training and evaluation, the same ones whatever the workers and restarts.

`build_loaders` gives photos with labels, `build_view_loader` two views of each photo without.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from samix.data.image_set import ImageSet
from samix.data.sampling import EpochSampler, class_weights, random_keys
from samix.data.splits import Splits
from samix.data.store import CACHE_BUDGET, PhotoStore
from samix.data.two_views import TwoViews
from samix.data.views import View
from samix.errors import InputError
from samix.progress import Progress
from samix.stopping import leave_to_the_first_process

Batch = tuple[Tensor, Tensor]
ViewBatch = tuple[Tensor, Tensor]
DEFAULT_BATCH_SIZE = 100
_MAX_WORKERS = 8


@dataclass(frozen=True)
class Loading:
    """How photos are loaded.

    Attributes:
        seed: Seed of order and augmentation, >= 0.
        rank: Number of this process.
        world_size: Number of processes.
        num_workers: Worker processes for loading; None is none where all photos are in memory,
            otherwise one a core, at most 8.
        cache_budget: Bytes of memory that decoded photos may take; they are kept when all fit.
        balance: How evenly classes are drawn for training, in [0, 1]; see :func:`class_weights`.
    """

    seed: int = 0
    rank: int = 0
    world_size: int = 1
    num_workers: int | None = None
    cache_budget: int = CACHE_BUDGET
    balance: float = 0.0


class PhotoDataset(Dataset[Batch]):
    """Photos of one part as the network sees them, asked for by (epoch, index).

    Args:
        images: The image set.
        indices: Positions of the part; `index` counts within it.
        view: What the network sees.
        seed: Seed of the augmentation.
    """

    def __init__(
        self, images: ImageSet, indices: Sequence[int], view: View, *, seed: int = 0
    ) -> None:
        self.store = PhotoStore(images, indices, view.load_size)
        self.view = view
        self.seed = seed
        self.targets = torch.tensor([images.targets[i] for i in indices], dtype=torch.int64)

    def __len__(self) -> int:
        return len(self.store)

    def __getitem__(self, pair: tuple[int, int]) -> Batch:
        images, targets = self.__getitems__([pair])
        return images[0], targets[0]

    def __getitems__(self, pairs: Sequence[tuple[int, int]]) -> Batch:
        """Return a whole batch at once: (B, 3, S, S) float32 and (B,) int64."""
        epoch = pairs[0][0]
        index = np.array([i for _, i in pairs], dtype=np.int64)
        keys = random_keys(self.seed, epoch, index)
        return self.view(self.store.photos(index), keys), self.targets[torch.from_numpy(index)]


class ViewDataset(Dataset[ViewBatch]):
    """Two views of each photo of one part, asked for by (epoch, index). Labels are never read.

    Args:
        images: The image set.
        indices: Positions of the part; `index` counts within it.
        views: How views are made.
        seed: Seed of the augmentation.
    """

    def __init__(
        self, images: ImageSet, indices: Sequence[int], views: TwoViews, *, seed: int = 0
    ) -> None:
        self.store = PhotoStore(images, indices, views.load_size)
        self.views = views
        self.seed = seed

    def __len__(self) -> int:
        return len(self.store)

    def __getitem__(self, pair: tuple[int, int]) -> ViewBatch:
        first, second = self.__getitems__([pair])
        return first[0], second[0]

    def __getitems__(self, pairs: Sequence[tuple[int, int]]) -> ViewBatch:
        """Return a whole batch at once: two times (B, 3, S, S) float32."""
        epoch = pairs[0][0]
        index = np.array([i for _, i in pairs], dtype=np.int64)
        return self.views(self.store.photos(index), random_keys(self.seed, epoch, index))


@dataclass(frozen=True)
class Loaders:
    """Batches of (images, target) for each part.

    Attributes:
        train: Shuffled; call `train.sampler.set_epoch(epoch)` before each epoch.
        val: In order of the photos; every rank sees all of them.
        test: The same for test; None where there is no such part.
        batch_size: Photos in a batch of one process.
        notes: Sentences for the user about what was decided.
    """

    train: DataLoader[Batch]
    val: DataLoader[Batch]
    test: DataLoader[Batch] | None
    batch_size: int
    notes: tuple[str, ...]


def build_loaders(
    images: ImageSet,
    splits: Splits,
    *,
    train: View,
    evaluation: View,
    batch_size: int | None = None,
    loading: Loading = Loading(),
    progress: Progress | None = None,
) -> Loaders:
    """Build the loaders of a run.

    Args:
        images: The image set.
        splits: Its parts; train may be reduced to the labelled subset.
        train: View of the train part.
        evaluation: View of the other parts.
        batch_size: Photos in a batch of one process; None is 100, or fewer where there are fewer.
        loading: Seed, processes, workers and memory.
        progress: Called with (done, total) while photos are read into memory.

    Returns:
        The loaders, with the batch size and what is to be told about it.

    Raises:
        InputError: A batch size below 1 or, if it was given, larger than the train part.
    """
    views = (train, evaluation, evaluation)
    parts = (splits.train, splits.val, splits.test)
    sets = [
        PhotoDataset(images, p, v, seed=loading.seed) for p, v in zip(parts, views, strict=True)
    ]
    size, notes = choose_batch_size(len(splits.train) // loading.world_size, batch_size)
    workers, kept = keep_photos([part.store for part in sets], loading, progress)
    notes += kept
    return Loaders(
        _loader(sets[0], size, workers, loading, shuffle=True),
        _loader(sets[1], size, workers, loading, shuffle=False),
        _loader(sets[2], size, workers, loading, shuffle=False) if splits.test else None,
        size,
        notes,
    )


def build_view_loader(
    dataset: ViewDataset, batch_size: int, *, loading: Loading, progress: Progress | None = None
) -> tuple[DataLoader[ViewBatch], tuple[str, ...]]:
    """Build the loader for training without labels.

    The incomplete last batch of an epoch is left out, so that every step has the same number of
    negatives; the order changes each epoch, so that no photo is left out for long. Where there is
    only one batch it stays, whatever its size.

    Args:
        dataset: The photos to learn from.
        batch_size: Photos in a batch of one process, >= 2.
        loading: Seed, processes, workers and memory.
        progress: Called with (done, total) while photos are read into memory.

    Returns:
        The loader (call `sampler.set_epoch(epoch)` before each epoch), and what is to be told.
    """
    workers, notes = keep_photos([dataset.store], loading, progress)
    sampler = EpochSampler(
        len(dataset), seed=loading.seed, rank=loading.rank, world_size=loading.world_size
    )
    drop_last = len(sampler) > batch_size
    return _batches(dataset, sampler, batch_size, workers, drop_last=drop_last), notes


def keep_photos(
    stores: Sequence[PhotoStore], loading: Loading, progress: Progress | None
) -> tuple[int, tuple[str, ...]]:
    """Read photos into memory where all fit; return the worker processes, and what to tell."""
    need = sum(store.need for store in stores)
    if need <= loading.cache_budget:
        for store in stores:
            store.keep(progress)
        return loading.num_workers or 0, ()
    workers = loading.num_workers
    return min(_MAX_WORKERS, os.cpu_count() or 1) if workers is None else workers, (
        f"Photos take {need / 2**20:.0f} MiB decoded, more than the "
        f"{loading.cache_budget / 2**20:.0f} MiB kept in memory; they are read each time.",
    )


def choose_batch_size(photos: int, batch_size: int | None) -> tuple[int, tuple[str, ...]]:
    """Return the batch size and a note where the default had to shrink.

    Args:
        photos: Photos that one process trains with.
        batch_size: What the user set, or None.

    Raises:
        InputError: Below 1, larger than the data, or no photo to train with.
    """
    if photos < 1:
        msg = f"each process needs at least 1 photo to train with, got {photos}; add photos"
        raise InputError(msg)
    if batch_size is None:
        if photos >= DEFAULT_BATCH_SIZE:
            return DEFAULT_BATCH_SIZE, ()
        return photos, (
            f"Batch size {photos} instead of {DEFAULT_BATCH_SIZE}: that is all photos.",
        )
    if batch_size < 1:
        msg = f"the batch size must be at least 1, got {batch_size}"
        raise InputError(msg)
    if batch_size > photos:
        msg = (
            f"batch size {batch_size} is larger than the {photos} photos that each process trains "
            "with; choose a smaller one or leave it out"
        )
        raise InputError(msg)
    return batch_size, ()


def _loader(
    part: PhotoDataset, batch_size: int, workers: int, loading: Loading, *, shuffle: bool
) -> DataLoader[Batch]:
    """Build one loader; only training is shared between ranks."""
    ranks = {"rank": loading.rank, "world_size": loading.world_size} if shuffle else {}
    weights = class_weights(part.targets.tolist(), loading.balance) if shuffle else None
    sampler = EpochSampler(len(part), seed=loading.seed, shuffle=shuffle, weights=weights, **ranks)
    # Batch statistics of a single photo mean nothing, so such a rest is left out in training.
    single_rest = shuffle and len(sampler) > batch_size and len(sampler) % batch_size == 1
    return _batches(part, sampler, batch_size, workers, drop_last=single_rest)


def _batches(
    part: Dataset[Batch], sampler: EpochSampler, batch_size: int, workers: int, *, drop_last: bool
) -> DataLoader[Batch]:
    return DataLoader(
        part,
        batch_size=batch_size,
        sampler=sampler,
        drop_last=drop_last,
        num_workers=workers,
        persistent_workers=workers > 0,
        collate_fn=as_it_is,
        generator=torch.Generator().manual_seed(sampler.seed),  # not the global random state
        worker_init_fn=leave_to_the_first_process,
    )


def as_it_is(batch: Any) -> Any:
    """Pass on what `__getitems__` made; module-level, so that workers can import it."""
    return batch
