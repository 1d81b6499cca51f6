"""Losses and negatives of self-supervised rivals that the eta-balanced family does not contain."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def separate_loss(logits: Tensor, original: Tensor, partner: Tensor, lam: Tensor) -> Tensor:
    """Two softmaxes instead of one: each source against the others, without the other source.

    ``mean_i -lam log p(a | all but b) - (1 - lam) log p(b | all but a)``.
    Source: Un-Mix, arXiv 2003.05438, on MoCo.

    Args:
        logits: (B,K) logits over the candidates.
        original: (B,) int64, candidate of the original.
        partner: (B,) int64, candidate of the partner.
        lam: (B,) weight of the original in [0, 1].

    Returns:
        Scalar, mean over the batch.
    """
    logits = logits if logits.dtype.itemsize >= 4 else logits.float()
    own, other = original.unsqueeze(1), partner.unsqueeze(1)
    same = own == other
    hidden = torch.finfo(logits.dtype).min
    without_partner = logits.scatter(1, other, torch.where(same, logits.gather(1, other), hidden))
    without_original = logits.scatter(1, own, torch.where(same, logits.gather(1, own), hidden))
    first = F.cross_entropy(without_partner, original, reduction="none")
    second = F.cross_entropy(without_original, partner, reduction="none")
    return (lam * first + (1.0 - lam) * second).mean()


def nt_xent(
    first: Tensor,
    second: Tensor,
    temperature: float,
    *,
    all_first: Tensor | None = None,
    all_second: Tensor | None = None,
    offset: int = 0,
) -> Tensor:
    """SimCLR's loss: each view finds the other one among all views of all images but itself.

    Source: SimCLR, arXiv 2002.05709, equation 1.

    Args:
        first: (B,P) unit norm, projections of the first views.
        second: (B,P) unit norm, projections of the second views.
        temperature: Divides the similarities, above 0.
        all_first: (N,P), first views of all processes; None takes ``first``.
        all_second: (N,P), second views of all processes; None takes ``second``.
        offset: Position of this process's first image among the N.

    Returns:
        Scalar, mean over both views.
    """
    all_first = first if all_first is None else all_first
    all_second = second if all_second is None else all_second
    own = torch.arange(len(first), device=first.device) + offset
    losses = []
    for query, others, same in ((first, all_second, all_first), (second, all_first, all_second)):
        itself = F.one_hot(own, len(same)).bool()
        beside = (query @ same.t()).masked_fill(itself, -torch.inf)
        logits = torch.cat([query @ others.t(), beside], dim=1) / temperature
        losses.append(F.cross_entropy(logits, own))
    return torch.stack(losses).mean()


def mixed_regression(query: Tensor, key: Tensor, partner_key: Tensor, lam: Tensor) -> Tensor:
    """Regression to the keys of both sources: ``mean_i 2 - 2 (lam q.k_a + (1 - lam) q.k_b)``.

    At lam = 1 this is BYOL's loss (arXiv 2006.07733, equation 2). For the mix: i-Mix, arXiv
    2010.08887, section 3.2.

    Args:
        query: (B,P) unit norm, predictions of the mixed images.
        key: (B,P) unit norm, keys of the originals.
        partner_key: (B,P) unit norm, keys of the partners.
        lam: (B,) weight of the original in [0, 1].

    Returns:
        Scalar in [0, 4], mean over the batch.
    """
    similarity = lam * (query * key).sum(1) + (1.0 - lam) * (query * partner_key).sum(1)
    return (2.0 - 2.0 * similarity).mean()


def hard_negatives(
    query: Tensor,
    negatives: Tensor,
    *,
    hardest: int,
    pairs: Tensor,
    share: Tensor,
    query_share: Tensor,
) -> Tensor:
    """Make harder negatives from the hardest ones there are, in the space of projections.

    Of each query's N most similar negatives, two are mixed (``share``), or one and the query
    (``query_share``, below one half so that the negative dominates), and the result is put back to
    unit norm. Source: MoCHi, arXiv 2010.01028, equations 4 and 5.

    Args:
        query: (B,P) unit norm.
        negatives: (Q,P) unit norm.
        hardest: N, from 1 to Q.
        pairs: (B,S+T,2) int64 in [0, N): which of the N hardest; the second of the last T is not
            used.
        share: (B,S) in [0, 1], weight of the first negative.
        query_share: (B,T) in [0, 0.5), weight of the query.

    Returns:
        (B,S+T,P) unit norm, without gradient.
    """
    with torch.no_grad():
        near = (query @ negatives.t()).topk(hardest, dim=1).indices
        chosen = negatives[near.gather(1, pairs.flatten(1)).view(pairs.shape)]
        first, second = chosen.unbind(2)
        own = query.unsqueeze(1).expand(-1, query_share.shape[1], -1)
        cut = share.shape[1]
        between = torch.lerp(second[:, :cut], first[:, :cut], share.unsqueeze(2))
        towards = torch.lerp(first[:, cut:], own, query_share.unsqueeze(2))
        return F.normalize(torch.cat([between, towards], dim=1), dim=2)


def shared_content(weight: Tensor, index: Tensor) -> Tensor:
    """Return how much each mix has in common with the mix of its partner, in [0, 1].

    The mix of i holds i and p(i), that of p(i) holds p(i) and p(p(i)): what is common is the
    smaller share of p(i) in both and, where p(p(i)) = i, the smaller share of i in both.
    Source: SDMP, CVPR 2022, for any pairing instead of the reversed batch alone.

    Args:
        weight: (B,) share of the original in each mix, in [0, 1].
        index: (B,) int64, partner of each sample.

    Returns:
        (B,).
    """
    there = weight[index]
    common = torch.minimum(1.0 - weight, there)
    mutual = index[index] == torch.arange(len(index), device=index.device)
    return common + mutual * torch.minimum(weight, 1.0 - there)
