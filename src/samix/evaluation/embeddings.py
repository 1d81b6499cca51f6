"""Embeddings of photos, computed once for each encoder and part."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from samix.data import ImageSet, Loading, PhotoDataset, Splits, eval_view
from samix.data.loaders import as_it_is, keep_photos
from samix.data.views import Channels

from .classification import precision
from .progress import Progress

PARTS = ("train", "val", "test")
_BATCH = 128

Batches = DataLoader[tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Machine:
    """Where networks run.

    Attributes:
        device: "cpu", "cuda", "cuda:N" or "mps".
        autocast: Precision of forward passes; None is that of the weights.
    """

    device: str = "cpu"
    autocast: torch.dtype | None = None

    def precision(self) -> AbstractContextManager[Any]:
        """Return the context of a forward pass."""
        return precision(self.device, self.autocast)


class Photos:
    """The labelled photos of train, val and test, as a network sees them without augmentation.

    Args:
        images: The photos.
        splits: Their parts; photos without a label are in none.
        image_size: Side of the network's input in px.
        channels: Mean and standard deviation of the channels.
        progress: Where to show the reading.
    """

    def __init__(
        self,
        images: ImageSet,
        splits: Splits,
        image_size: int,
        channels: tuple[Channels, Channels],
        progress: Progress,
    ) -> None:
        self.images = images
        self.splits = splits
        self.view = eval_view(image_size, mean=channels[0], std=channels[1])
        self.parts = {
            name: PhotoDataset(images, getattr(splits, name), self.view) for name in PARTS
        }
        stores = [part.store for part in self.parts.values()]
        self.workers, self.notes = keep_photos(
            stores, Loading(), lambda done, total: progress.work("reading photos", done, total)
        )

    def target(self, part: str) -> Tensor:
        """Return the (N,) int64 classes of a part."""
        return self.parts[part].targets

    def batches(self, part: str, order: Sequence[int] | None = None) -> Batches:
        """Return batches of (B,3,H,W) images, normalised, and (B,) classes.

        Args:
            part: "train", "val" or "test".
            order: Positions within the part; None is all of them in their order.
        """
        dataset = self.parts[part]
        pairs: Any = [(0, i) for i in (range(len(dataset)) if order is None else order)]
        return DataLoader(
            dataset,
            batch_size=_BATCH,
            sampler=pairs,
            collate_fn=as_it_is,
            num_workers=self.workers,
            generator=torch.Generator(),  # the global random state is left alone
        )


@torch.no_grad()
def embed(
    network: nn.Module, batches: Batches, machine: Machine, progress: Progress, what: str
) -> Tensor:
    """Return the embeddings of all photos of some batches.

    Args:
        network: From (B,3,H,W) to (B,D), in eval mode and on the machine's device.
        batches: Of images and classes.
        machine: Device and precision.
        progress: Where to show it.
        what: What is shown.

    Returns:
        (N,D) float32 on the CPU.
    """
    found = []
    for number, (images, _) in enumerate(batches):
        with machine.precision():
            embedding = network(images.to(machine.device, non_blocking=True))
        found.append(embedding.float().cpu())
        progress.work(what, number + 1, len(batches))
    return torch.cat(found)


class Embeddings:
    """Embeddings of each part by one network; each part is computed once, when first asked for.

    Args:
        network: From (B,3,H,W) to (B,D), in eval mode and on the machine's device.
        photos: The parts.
        machine: Device and precision.
        progress: Where to show it.
        name: What the network is called there.
    """

    def __init__(
        self, network: nn.Module, photos: Photos, machine: Machine, progress: Progress, name: str
    ) -> None:
        self.network = network
        self.photos = photos
        self.machine = machine
        self.progress = progress
        self.name = name
        self._known: dict[str, Tensor] = {}

    def of(self, part: str) -> Tensor:
        """Return the (N,D) float32 embeddings of "train", "val" or "test", on the CPU."""
        if part not in self._known:
            what = f"{self.name}: embeddings of {part}"
            batches = self.photos.batches(part)
            self._known[part] = embed(self.network, batches, self.machine, self.progress, what)
        return self._known[part]
