"""Aligning the places of two feature maps, so that like is mixed with like."""

from __future__ import annotations

import torch
from torch import Tensor


def sinkhorn(cost: Tensor, eps: float, steps: int) -> Tensor:
    """Return how much of each place goes to each other place, at low cost and evenly.

    The entropic transport of even masses, ``argmin <P, cost> - eps H(P)``, by Sinkhorn's updates of
    the logarithms. Source: Cuturi, NeurIPS 2013, as in AlignMixup, arXiv 2103.15375.

    Args:
        cost: (B,N,M).
        eps: Weight of the entropy, above 0; smaller ones assign more sharply.
        steps: Number of updates of both sides.

    Returns:
        (B,N,M) of at least 0; columns sum to 1 / M, rows nearly to 1 / N.
    """
    logit = -cost / eps
    even = -torch.tensor(logit.shape[1:], device=cost.device, dtype=cost.dtype).log()
    column = torch.zeros_like(logit[:, :1])
    row = torch.zeros_like(logit[:, :, :1])
    for _ in range(steps):
        row = even[0] - (logit + column).logsumexp(2, keepdim=True)
        column = even[1] - (logit + row).logsumexp(1, keepdim=True)
    return (logit + row + column).exp()


@torch.no_grad()
def alignment(features: Tensor, partner: Tensor, *, eps: float, steps: int) -> Tensor:
    """Return which places of one feature map are like which of another.

    The transport of :func:`sinkhorn` with the squared distance of the vectors as cost.

    Args:
        features: (B,C,h,w).
        partner: (B,C,h,w).
        eps: Weight of the entropy, above 0.
        steps: Number of updates.

    Returns:
        (B,N,N) float32 with N = h * w, without gradient: row i says of what mixture of the
        partner's places the place i of the first map is like; rows sum nearly to 1 / N.
    """
    first, second = (part.float().flatten(2).transpose(1, 2) for part in (features, partner))
    return sinkhorn(torch.cdist(first, second).square(), eps, steps)


def aligned(values: Tensor, weight: Tensor) -> Tensor:
    """Return a map that shows in each place a mixture of the places of another map.

    Args:
        values: (B,C,h,w), the other map.
        weight: (B,N,N) of at least 0 with N = h * w; each row is divided by its sum.

    Returns:
        (B,C,h,w).
    """
    share = weight / weight.sum(2, keepdim=True).clamp_min(torch.finfo(weight.dtype).tiny)
    return torch.bmm(values.flatten(2), share.to(values.dtype).transpose(1, 2)).view(values.shape)
