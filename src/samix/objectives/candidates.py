"""What a mixed image is compared with: all that differs between the scenarios of learning.

Every loss of a mix takes logits over candidates, and which two of them are mixed. Supervised, the
candidates are classes; self-supervised, they are instances (the keys of images) or clusters. The
losses themselves (:mod:`samix.objectives.mixup`) do not know the difference::

    eta_balanced_loss(*class_candidates(logits, target, index), lam)
    eta_balanced_loss(*queue_candidates(query, key, key[index], negatives, temperature), lam)
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Candidates(NamedTuple):
    """Logits over candidates, and the two candidates that each sample mixes.

    Attributes:
        logits: (B,K).
        original: (B,) int64, candidate of the original.
        partner: (B,) int64, candidate of the partner.
    """

    logits: Tensor
    original: Tensor
    partner: Tensor


def class_candidates(logits: Tensor, target: Tensor, index: Tensor) -> Candidates:
    """Candidates are the classes of a classifier.

    Args:
        logits: (B,K) of the mixed images.
        target: (B,) int64, class of each original.
        index: (B,) int64, partner of each sample.
    """
    return Candidates(logits, target, target.index_select(0, index))


def queue_candidates(
    query: Tensor, key: Tensor, partner_key: Tensor, negatives: Tensor, temperature: float
) -> Candidates:
    """Candidates are the keys of the two sources, and a queue of keys of other images.

    ``[q.k_a, q.k_b, q.n_1, ..., q.n_Q] / temperature`` in one softmax. At lam = 1 the partner's key
    is one more negative. Source: SAMix, arXiv 2111.15454, on MoCo, arXiv 1911.05722.

    Args:
        query: (B,P) unit norm, projections of the mixed images.
        key: (B,P) unit norm, keys of the originals.
        partner_key: (B,P) unit norm, keys of the partners.
        negatives: (Q,P) unit norm, shared by the batch, or (B,Q,P), each sample's own.
        temperature: Divides the similarities, above 0.
    """
    own = (query * key).sum(1, keepdim=True)
    other = (query * partner_key).sum(1, keepdim=True)
    logits = torch.cat([own, other, similarities(query, negatives)], dim=1) / temperature
    first = torch.zeros(len(query), dtype=torch.int64, device=query.device)
    return Candidates(logits, first, first + 1)


def batch_candidates(
    query: Tensor,
    keys: Tensor,
    index: Tensor,
    temperature: float,
    *,
    first: int = 0,
    partner_key: Tensor | None = None,
    negatives: Tensor | None = None,
) -> Candidates:
    """Candidates are the keys of the whole batch, of all processes.

    ``q k^T / temperature``: the images of the batch are the classes. Source: i-Mix, arXiv
    2010.08887.

    Args:
        query: (B,P) unit norm, projections of the mixed images.
        keys: (N,P) unit norm, keys of the images of all processes, N at least B.
        index: (B,) int64, partner of each sample among this process's B.
        temperature: Divides the similarities, above 0.
        first: Position of this process's first key in ``keys``.
        partner_key: (B,P) unit norm or None: where the partner is seen in another view, its key
            stands at the partner's place.
        negatives: (Q,P) further keys of other images, or None.
    """
    own = torch.arange(len(query), device=query.device) + first
    partner = index + first
    logits = query @ keys.t()
    if partner_key is not None:
        seen = (query * partner_key).sum(1, keepdim=True)
        logits = logits.scatter(1, partner.unsqueeze(1), seen)
    if negatives is not None:
        logits = torch.cat([logits, similarities(query, negatives)], dim=1)
    return Candidates(logits / temperature, own, partner)


def pair_candidates(
    query: Tensor, key: Tensor, partner_key: Tensor, temperature: float
) -> Candidates:
    """Candidates are the two sources alone, for methods without negatives.

    Args:
        query: (B,P) unit norm, projections of the mixed images.
        key: (B,P) unit norm, keys of the originals.
        partner_key: (B,P) unit norm, keys of the partners.
        temperature: Divides the similarities, above 0.
    """
    return queue_candidates(
        query, key, partner_key, query.new_zeros(0, query.shape[1]), temperature
    )


def cluster_candidates(
    query: Tensor, centroids: Tensor, cluster: Tensor, index: Tensor, temperature: float
) -> Candidates:
    """Candidates are clusters: pseudo-labels of the images are the classes (SAMix-C).

    ``q c^T / temperature`` with the centroids c. A pair of one cluster has no local term, as a pair
    of one class.

    Args:
        query: (B,P) unit norm, projections of the mixed images.
        centroids: (K,P) unit norm.
        cluster: (B,) int64, cluster of each original.
        index: (B,) int64, partner of each sample.
        temperature: Divides the similarities, above 0.
    """
    return Candidates(query @ centroids.t() / temperature, cluster, cluster.index_select(0, index))


def similarities(query: Tensor, keys: Tensor) -> Tensor:
    """Return the inner products of (B,P) with (Q,P) or, each sample's own, (B,Q,P): (B,Q)."""
    if keys.ndim == 2:
        return query @ keys.t()
    return torch.bmm(keys, query.unsqueeze(2)).squeeze(2)
