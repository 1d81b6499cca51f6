"""Plain training: the loops that a person writes without samix, which all cost is compared with."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from samix.networks import embedding_width, unit, update_average

from .cost_step import TrainingStep, Workload
from .embeddings import Machine

QUEUE = 4096
"""Keys of MoCo that wait as negatives, or a batch where that is larger."""
_TEMPERATURE = 0.2
_DECAY = 0.99
_WIDTH = {"moco": 128, "simclr": 128, "byol": 256, "mocov3": 256}


def plain_step(
    workload: Workload, machine: Machine, *, channels_last: bool = False
) -> TrainingStep:
    """Return a step of training without mixing: a classifier, or a self-supervised method.

    Args:
        workload: What is trained.
        machine: Device and precision.
        channels_last: Memory format of images and weights; False is torch's own.
    """
    inputs = workload.inputs(machine.device, channels_last=channels_last)
    model = workload.create_backbone()
    if workload.supervised:
        images, target = inputs
        model = _placed(model, machine, channels_last=channels_last)
        return TrainingStep(
            lambda: F.cross_entropy(model(images), target), model, model.parameters(), machine
        )
    projector, predictor = _heads(workload.method, embedding_width(model))
    encoder = nn.Sequential(model, projector)
    networks = nn.ModuleDict({"encoder": encoder, "predictor": predictor})
    _placed(networks, machine, channels_last=channels_last)
    (views,) = inputs
    if workload.method == "simclr":
        return TrainingStep(
            lambda: simclr_loss(*(unit(encoder(view)) for view in views)),
            networks,
            list(networks.parameters()),
            machine,
        )
    return _momentum_step(workload, machine, networks, views)


def _momentum_step(
    workload: Workload, machine: Machine, networks: nn.ModuleDict, views: tuple[Tensor, Tensor]
) -> TrainingStep:
    """Return a step of a method whose keys come from an averaged encoder."""
    encoder, predictor = networks["encoder"], networks["predictor"]
    trained = list(networks.parameters())
    average = copy.deepcopy(encoder).requires_grad_(False)
    networks["average"] = average
    first, second = views
    batch, width = len(first), _WIDTH[workload.method]
    if workload.method == "moco":
        queue = unit(torch.randn(max(QUEUE, batch), width)).to(first.device)
        networks.register_buffer("queue", queue)

    def keys(view: Tensor) -> Tensor:
        with torch.no_grad():
            return unit(average(view))

    def moco() -> Tensor:
        key = keys(second)
        loss = moco_loss(unit(encoder(first)), key, queue.clone())
        queue[:batch] = key  # where in the queue does not matter for the cost
        return loss

    def symmetric(loss: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        pairs = ((first, second), (second, first))
        return torch.stack([loss(unit(predictor(encoder(q))), keys(k)) for q, k in pairs]).mean()

    losses: dict[str, Callable[[], Tensor]] = {
        "moco": moco,
        "byol": lambda: symmetric(byol_loss),
        "mocov3": lambda: symmetric(batch_loss),
    }
    return TrainingStep(
        losses[workload.method],
        networks,
        trained,
        machine,
        after=lambda: update_average(average, encoder, _DECAY),
    )


def moco_loss(query: Tensor, key: Tensor, queue: Tensor) -> Tensor:
    """InfoNCE of (B,P) queries, their (B,P) keys, and (Q,P) negatives: a scalar."""
    logits = torch.cat([(query * key).sum(1, keepdim=True), query @ queue.t()], dim=1)
    own = torch.zeros(len(query), dtype=torch.int64, device=query.device)
    return F.cross_entropy(logits / _TEMPERATURE, own)


def simclr_loss(first: Tensor, second: Tensor) -> Tensor:
    """NT-Xent of the (B,P) projections of two views: a scalar."""
    both = torch.cat([first, second])
    logits = (both @ both.t() / _TEMPERATURE).fill_diagonal_(-torch.inf)
    return F.cross_entropy(logits, torch.arange(len(both), device=both.device).roll(len(first)))


def byol_loss(query: Tensor, key: Tensor) -> Tensor:
    """Mean squared distance of (B,P) unit vectors: a scalar."""
    return 2.0 - 2.0 * (query * key).sum(1).mean()


def batch_loss(query: Tensor, key: Tensor) -> Tensor:
    """InfoNCE of (B,P) queries among the (B,P) keys of their batch: a scalar."""
    return F.cross_entropy(
        query @ key.t() / _TEMPERATURE, torch.arange(len(query), device=query.device)
    )


def _heads(method: str, width: int) -> tuple[nn.Module, nn.Module]:
    """Return projector and predictor as samix's methods have them by default."""
    from lightly.models.modules.heads import (  # noqa: PLC0415 - an extra
        BYOLPredictionHead,
        BYOLProjectionHead,
        MoCoProjectionHead,
        SimCLRProjectionHead,
    )

    out, hidden = _WIDTH[method], 2 * width
    if method == "moco":
        return MoCoProjectionHead(width, width, out, batch_norm=True), nn.Identity()
    if method == "simclr":
        return SimCLRProjectionHead(width, width, out), nn.Identity()
    predictor = BYOLPredictionHead(out, hidden, out)
    if method == "byol":
        return BYOLProjectionHead(width, hidden, out), predictor
    return MoCoProjectionHead(width, hidden, out, num_layers=3, batch_norm=True), predictor


def _placed(model: nn.Module, machine: Machine, *, channels_last: bool) -> nn.Module:
    """Return the networks on the device and in the memory format, in place."""
    model = model.to(machine.device).train()
    return model.to(memory_format=torch.channels_last) if channels_last else model
