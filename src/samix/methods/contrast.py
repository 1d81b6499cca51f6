"""What a mixed view is compared with in each self-supervised method."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import torch
import torch.distributed as dist
import torch.distributed.nn.functional as dist_functional
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from samix.mixing import MixPlan
from samix.networks import unit
from samix.objectives import (
    Candidates,
    batch_candidates,
    global_loss,
    mixed_regression,
    nt_xent,
    pair_candidates,
    queue_candidates,
    separate_loss,
    shared_content,
    similarities,
)

from .rivals import MixedObjective


@dataclass(frozen=True)
class Contrast:
    """What makes a method."""

    name: str  # name of the method
    # "queue": keys of earlier steps; "batch": keys of the other images of the batch; None: there
    # are none, the encoder regresses
    negatives: Literal["queue", "batch"] | None
    symmetric: bool  # each view is the query once
    # keys come from the momentum encoder; otherwise from the encoder itself, with gradient
    momentum_keys: bool
    temperature: float  # divides the similarities, above 0; without negatives for the Mixer alone


class Seen(NamedTuple):
    """One view, and what the momentum encoder says of it."""

    images: Tensor
    features: Tensor | None
    key: Tensor | None

    def head(self, count: int) -> Seen:
        """Return the first ``count`` images and what is said of them."""
        return Seen(*(None if value is None else value[:count] for value in self))  # type: ignore[arg-type]


@dataclass(frozen=True)
class Keys:
    """What there is to compare a batch of queries with."""

    own: Tensor  # (B,P) unit norm, keys of the images of this process
    all: Tensor  # (N,P) unit norm, those of all processes
    first: int  # position of this process's first key in ``all``
    # (B,P) or None: keys of the view that partners are seen in, which are those of the other one;
    # None where partners are seen in the query's view
    other_view: Tensor | None = None
    queue: Tensor | None = None  # (Q,P) unit norm or None
    gathered: bool = False  # whether ``all`` is more than this process's own

    def of_partner(self, index: Tensor) -> Tensor:
        """Return the (B,P) keys of the partners, never of the very view that is mixed in."""
        return (self.own if self.other_view is None else self.other_view)[index]

    def extended(self, other: Tensor, weight: Tensor) -> Keys:
        """Return keys whose positives lie on the line through the keys of both views.

        ``k = unit(weight * own + (1 - weight) * other)``: between the two views for a weight below
        1, beyond one's own for a weight above 1. With partners of the other view theirs lie on the
        same line, from the other end. Source: feature transformation, arXiv 2108.02982, as in the
        public implementation of SAMix.

        Args:
            other: (B,P) unit norm, keys of the other view of the same images.
            weight: (B,) in [0, 2].
        """
        share = weight.unsqueeze(1).to(other.dtype)
        own = unit(torch.lerp(other, self.own, share))
        everything = self.all.clone()
        everything[self.first : self.first + len(own)] = own
        seen = self.other_view
        seen = None if seen is None else unit(torch.lerp(self.own, seen, share))
        return replace(self, own=own, all=everything, other_view=seen)

    def head(self, count: int) -> Keys:
        """Return the keys for queries of the first ``count`` images; all stay candidates."""
        other = None if self.other_view is None else self.other_view[:count]
        return replace(self, own=self.own[:count], other_view=other)


def mixed_candidates(
    contrast: Contrast, query: Tensor, keys: Keys, index: Tensor, *, batch: bool = False
) -> Candidates:
    """Return the candidates of mixed (B,P) queries; ``batch`` adds the keys of all of the batch."""
    temperature, partner = contrast.temperature, keys.of_partner(index)
    if contrast.negatives is None:
        return pair_candidates(query, keys.own, partner, temperature)
    if contrast.negatives == "queue" and not batch and keys.queue is not None:
        return queue_candidates(query, keys.own, partner, keys.queue, temperature)
    seen = None if keys.other_view is None else partner
    return batch_candidates(
        query,
        keys.all,
        index,
        temperature,
        first=keys.first,
        partner_key=seen,
        negatives=keys.queue,
    )


def mixed_loss(
    contrast: Contrast, objective: MixedObjective, query: Tensor, keys: Keys, plan: MixPlan
) -> tuple[Tensor, Tensor]:
    """Return the encoder's loss of mixed (B,P) queries, and the logits.

    The global term over the method's candidates; a regression where there are no negatives.
    """
    batch = objective.candidates == "batch"
    candidates = mixed_candidates(contrast, query, keys, plan.index, batch=batch)
    if contrast.negatives is None:
        partner = keys.of_partner(plan.index)
        return mixed_regression(query, keys.own, partner, plan.weight), candidates.logits
    loss = separate_loss if objective.separate else global_loss
    return loss(*candidates, plan.weight), candidates.logits


def mixed_key_loss(contrast: Contrast, query: Tensor, mixed: Keys, plan: MixPlan) -> Tensor:
    """Return the loss of mixed queries against mixed keys: own mix, and the mix of the partner.

    The weights are ``1 / (1 + c)`` and ``c / (1 + c)`` with c what both mixes have in common.
    Source: SDMP, CVPR 2022.
    """
    logits, own, partner = mixed_candidates(contrast, query, mixed, plan.index, batch=True)
    # the mix whose partner this image is holds it too: neither a positive nor a negative
    other = torch.argsort(plan.index) + mixed.first
    hidden = torch.where(
        other == partner, logits.gather(1, other.unsqueeze(1)).squeeze(1), -torch.inf
    )
    logits = logits.scatter(1, other.unsqueeze(1), hidden.unsqueeze(1))
    share = 1.0 / (1.0 + shared_content(plan.weight, plan.index))
    return global_loss(logits, own, partner, share)


def clean_loss(
    contrast: Contrast, query: Tensor, keys: Keys, *, hard: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Return the published loss of (B,P) queries of unmixed images, and the logits.

    Further negatives may be given as ``hard``, (B,S,P) of unit norm.
    """
    if contrast.negatives is None:
        ones = torch.ones(len(query), device=query.device)
        similarity = (query * keys.own).sum(1, keepdim=True)
        return mixed_regression(query, keys.own, keys.own, ones), similarity
    if not contrast.momentum_keys:
        queries, _ = gather_keys(query) if keys.gathered else (query, 0)
        loss = nt_xent(
            query,
            keys.own,
            contrast.temperature,
            all_first=queries,
            all_second=keys.all,
            offset=keys.first,
        )
        return loss, similarities(query, keys.all) / contrast.temperature
    if contrast.negatives == "queue" and keys.queue is not None:
        parts = [(query * keys.own).sum(1, keepdim=True), similarities(query, keys.queue)]
        own = torch.zeros(len(query), dtype=torch.int64, device=query.device)
    else:
        parts = [similarities(query, keys.all)]
        own = torch.arange(len(query), device=query.device) + keys.first
    if hard is not None:
        parts.append(similarities(query, hard))
    logits = torch.cat(parts, dim=1) / contrast.temperature
    return F.cross_entropy(logits, own), logits


def encoder_keys(network: nn.Module, key: Seen) -> Keys:
    """Return the keys of the encoder itself, with gradient.

    They leave their process only where batch statistics do not tell whose they are.
    """
    own = unit(network(key.images))
    gathered = not has_local_statistics(network)
    everything, first = gather_keys(own) if gathered else (own, 0)
    return Keys(own, everything, first, gathered=gathered)


def full_precision(projection: Tensor) -> torch.autocast:
    """Return a context in which similarities keep their digits.

    Early in training all projections point the same way: their similarities differ by less than
    low precision can tell, and nothing is learned from them.
    """
    return torch.autocast(projection.device.type, enabled=False)


def gather_keys(keys: Tensor) -> tuple[Tensor, int]:
    """Return the keys of all processes, in the order of their ranks, and where one's own begin.

    Gradients flow back to the process that a key came from. Every process gives equally many.

    Returns:
        (B * processes, P) and the position of this process's first key.
    """
    if not (dist.is_available() and dist.is_initialized()):
        return keys, 0
    first = dist.get_rank() * len(keys)
    if keys.requires_grad:
        return torch.cat(dist_functional.all_gather(keys)), first  # type: ignore[no-untyped-call]
    parts = [torch.empty_like(keys) for _ in range(dist.get_world_size())]
    dist.all_gather(parts, keys.contiguous())
    return torch.cat(parts), first


def has_local_statistics(network: nn.Module) -> bool:
    """Say whether keys carry statistics by which one process can be told from another.

    Where keys come from a network whose batch norm looks at the batch of its own process alone, a
    key of another process is told from one's own without looking at the image, and the contrast
    learns that. Such keys must not be gathered.

    Args:
        network: Makes the keys.

    Returns:
        True where a batch norm of one process is in training mode.
    """
    return any(
        isinstance(module, _BatchNorm)
        and not isinstance(module, nn.SyncBatchNorm)
        and module.training
        for module in network.modules()
    )
