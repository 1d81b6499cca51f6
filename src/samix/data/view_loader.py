"""Batches of two views of each photo, without labels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from samix.data.collection import ImageSet, Progress
from samix.data.loaders import Loading, as_it_is, keep_photos
from samix.data.sampling import EpochSampler, random_keys, worker_generator
from samix.data.store import PhotoStore
from samix.data.two_views import TwoViews
from samix.stopping import leave_to_the_first_process

ViewBatch = tuple[Tensor, Tensor]


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


def build_view_loader(
    dataset: ViewDataset,
    batch_size: int,
    *,
    loading: Loading,
    progress: Progress | None = None,
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
    loader = DataLoader(
        dataset,
        batch_size=batch_size,
        sampler=sampler,
        drop_last=len(sampler) > batch_size,
        num_workers=workers,
        persistent_workers=workers > 0,
        collate_fn=as_it_is,
        generator=worker_generator(loading.seed),
        worker_init_fn=leave_to_the_first_process,
    )
    return loader, notes
