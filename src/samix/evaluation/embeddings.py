"""Embeddings of photos, computed once for each encoder and part.

What an encoder must beat is embedded here too: random encoders of the same make, and the pixels.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.data import DataLoader

from samix.data import ImageSet, Loading, PhotoDataset, Splits, eval_view
from samix.data.loaders import as_it_is, keep_photos
from samix.data.views import Channels
from samix.pages.words import Text, word
from samix.progress import Display, Said

from .encoder import Encoder
from .metrics import precision

PARTS = ("train", "val", "test")
RANDOM_ENCODERS = 3
PIXEL_SIZE = 32  # px; larger photos are reduced to this before they are compared
CALIBRATION_PHOTOS = 1024
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


def in_order(
    dataset: Any,
    batch_size: int | None,
    order: Sequence[int] | None = None,
    *,
    epoch: int = 0,
    **options: Any,
) -> Batches:
    """Return batches of the photos at some places of a dataset, None for all, in that order."""
    pairs: Any = [(epoch, i) for i in (range(len(dataset)) if order is None else order)]
    return DataLoader(dataset, batch_size=batch_size, sampler=pairs, collate_fn=as_it_is, **options)


class PhotoParts:
    """The labelled photos of train, val and test, as a network sees them without augmentation."""

    def __init__(
        self,
        images: ImageSet,
        splits: Splits,
        image_size: int,
        channels: tuple[Channels, Channels],
        progress: Display,
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
        """Return batches of normalised (B,3,H,W) images and (B,) classes, of some or all."""
        generator = torch.Generator()  # the global random state is left alone
        return in_order(
            self.parts[part], _BATCH, order, num_workers=self.workers, generator=generator
        )


@torch.no_grad()
def embed(
    network: nn.Module, batches: Batches, machine: Machine, progress: Display, what: Said
) -> Tensor:
    """Return the (N,D) float32 embeddings of all photos of some batches, on the CPU."""
    found = []
    for number, (images, _) in enumerate(batches):
        with machine.precision():
            embedding = network(images.to(machine.device, non_blocking=True))
        found.append(embedding.float().cpu())
        progress.work(what, number + 1, len(batches))
    return torch.cat(found)


@dataclass
class Embeddings:
    """Embeddings of each part by one network; each part is computed once, when first asked for."""

    network: nn.Module  # from (B,3,H,W) to (B,D), in eval mode and on the machine's device
    photos: PhotoParts
    machine: Machine
    progress: Display
    name: Text
    _known: dict[str, Tensor] = field(default_factory=dict)

    def of(self, part: str) -> Tensor:
        """Return the (N,D) float32 embeddings of "train", "val" or "test", on the CPU."""
        if part not in self._known:
            what = word("judging-embedding", name=self.name, part=part)
            batches = self.photos.batches(part)
            self._known[part] = embed(self.network, batches, self.machine, self.progress, what)
        return self._known[part]


@torch.no_grad()
def calibrate(
    network: nn.Module, batches: Iterable[tuple[Tensor, Tensor]], machine: Machine
) -> int:
    """Give the batch norms of a network the statistics of photos in place; return their number.

    Running statistics become the plain average over the batches. A random network without this
    normalises by statistics that nothing has, and looks worse than it is. Only batch norms are in
    train mode meanwhile; the network ends in eval mode.
    """
    network.eval()
    norms = [m for m in network.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a cumulative average
        norm.train()
    whole = 0
    for images, _ in batches if norms else ():
        if len(images) < whole:  # a smaller rest would count as much as a whole batch
            break
        whole = len(images)
        with machine.precision():
            network(images.to(machine.device))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
        norm.eval()
    return len(norms)


def random_embeddings(
    encoder: Encoder, photos: PhotoParts, seed: int, machine: Machine, progress: Display
) -> Embeddings:
    """Return the embeddings of a random network of the same make, with calibrated statistics."""
    network = encoder.make_random(seed).to(machine.device)
    count = len(photos.parts["train"])
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(count, generator=generator)[:CALIBRATION_PHOTOS].tolist()
    calibrate(network, photos.batches("train", order), machine)
    return Embeddings(network, photos, machine, progress, word("judging-random", seed=str(seed)))


def pixel_embeddings(photos: PhotoParts, machine: Machine, progress: Display) -> Embeddings:
    """Return normalised pixels as if they were embeddings, reduced to at most 32 px."""
    return Embeddings(_Pixels(), photos, machine, progress, word("judging-pixels"))


class _Pixels(nn.Module):
    """From (B,3,H,W) to the (B,D) values of its pixels."""

    def forward(self, images: Tensor) -> Tensor:
        if min(images.shape[2:]) > PIXEL_SIZE:
            images = F.adaptive_avg_pool2d(images, PIXEL_SIZE)
        return images.flatten(1)
