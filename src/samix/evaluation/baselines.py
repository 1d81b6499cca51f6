"""What an encoder must beat: random encoders of the same make, and the pixels themselves."""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from .embeddings import Embeddings, Machine, Photos
from .progress import Progress
from .source import Encoder

RANDOM_ENCODERS = 3
PIXEL_SIZE = 32  # px; larger photos are reduced to this before they are compared
CALIBRATION_PHOTOS = 1024


@torch.no_grad()
def calibrate(
    network: nn.Module, batches: Iterable[tuple[Tensor, Tensor]], machine: Machine
) -> int:
    """Give the batch norms of a network the statistics of some photos, in place.

    Running statistics become the plain average over the batches. A random network without this
    normalises by statistics that nothing has, and looks worse than it is. Only batch norms are in
    train mode meanwhile; the network ends in eval mode.

    Args:
        network: On the machine's device.
        batches: Of images and classes.
        machine: Device and precision.

    Returns:
        Number of batch norms.
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
    encoder: Encoder, photos: Photos, seed: int, machine: Machine, progress: Progress
) -> Embeddings:
    """Return the embeddings of a random network of the same make, with calibrated statistics.

    Args:
        encoder: The one to be judged.
        photos: Train, val and test.
        seed: Seed of the weights, and of the training photos that give the statistics.
        machine: Device and precision.
        progress: Where to show it.
    """
    network = encoder.make_random(seed).to(machine.device)
    count = len(photos.parts["train"])
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(count, generator=generator)[:CALIBRATION_PHOTOS].tolist()
    calibrate(network, photos.batches("train", order), machine)
    return Embeddings(network, photos, machine, progress, f"random encoder {seed}")


def pixel_embeddings(photos: Photos, machine: Machine, progress: Progress) -> Embeddings:
    """Return normalised pixels as if they were embeddings, reduced to 32 px where there are more.

    Args:
        photos: Train, val and test.
        machine: Device and precision.
        progress: Where to show it.
    """
    return Embeddings(_Pixels(), photos, machine, progress, "pixels")


class _Pixels(nn.Module):
    """From (B,3,H,W) to the (B,D) values of its pixels."""

    def forward(self, images: Tensor) -> Tensor:
        if min(images.shape[2:]) > PIXEL_SIZE:
            images = F.adaptive_avg_pool2d(images, PIXEL_SIZE)
        return images.flatten(1)
