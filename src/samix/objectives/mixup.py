"""The objective of a mix: local smoothness subject to global discrimination.

One set of functions for every scenario. What changes from supervised to self-supervised learning is
only what the candidates are: classes with the logits of a classifier, or instances with the
similarities to keys.

Source: SAMix, arXiv 2111.15454, section 3.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def local_loss(logits: Tensor, original: Tensor, partner: Tensor, lam: Tensor) -> Tensor:
    """Smoothness between the two mixed candidates alone.

    ``mean_i -lam log p(a | {a,b}) - (1 - lam) log p(b | {a,b})`` with a softmax over just the two
    candidates; 0 for a pair of one class.

    Args:
        logits: (B,K) logits over the candidates.
        original: (B,) int64, candidate of the original.
        partner: (B,) int64, candidate of the partner.
        lam: (B,) weight of the original in [0, 1].

    Returns:
        Scalar, mean over the batch.
    """
    return _mean_cost(_among_two(_pick(logits, original, partner), original, partner), _shares(lam))


def global_loss(logits: Tensor, original: Tensor, partner: Tensor, lam: Tensor) -> Tensor:
    """Discrimination of the two mixed candidates from all others: the mixup cross-entropy.

    ``mean_i -lam log p(a) - (1 - lam) log p(b)`` with a softmax over all candidates. In
    self-supervised learning this is the mixed InfoNCE.

    Args:
        logits: (B,K) logits over the candidates.
        original: (B,) int64, candidate of the original.
        partner: (B,) int64, candidate of the partner.
        lam: (B,) weight of the original in [0, 1].

    Returns:
        Scalar, mean over the batch.
    """
    log_p = _pick(F.log_softmax(logits, dim=1), original, partner)
    return _mean_cost(log_p, _shares(lam))


def eta_balanced_loss(
    logits: Tensor, original: Tensor, partner: Tensor, lam: Tensor, eta: float = 0.5
) -> Tensor:
    """The eta-balanced mixup loss, ``local + eta * global``, by which a Mixer learns.

    Deviation from the public implementation, whose supervised eta multiplies terms that are zero
    already: here both terms are as in the paper.

    Args:
        logits: (B,K) logits over the candidates.
        original: (B,) int64, candidate of the original.
        partner: (B,) int64, candidate of the partner.
        lam: (B,) weight of the original in [0, 1].
        eta: Weight of the global term, 0 or more.

    Returns:
        Scalar, mean over the batch.
    """
    log_p = _pick(_log_softmax(logits), original, partner)
    local = _among_two(log_p, original, partner)
    return _mean_cost(local.add(log_p, alpha=eta), _shares(lam))


def _log_softmax(logits: Tensor) -> Tensor:
    """Return log p over all (B,K) candidates, in float32 or wider."""
    return F.log_softmax(logits if logits.dtype.itemsize >= 4 else logits.float(), dim=1)


def _among_two(picked: Tensor, original: Tensor, partner: Tensor) -> Tensor:
    """Return log p of (B,2) logits among themselves; 0 for a pair of one class.

    What both have in common, as the sum over all candidates, leaves it as it is.
    """
    return F.log_softmax(picked, dim=1).masked_fill((original == partner).unsqueeze(1), 0.0)


def _mean_cost(log_p: Tensor, shares: Tensor) -> Tensor:
    """Return ``mean_i -sum_k share_ik log p_ik`` of (B,K) shares and log p."""
    return (shares * log_p).sum() / -len(log_p)


def _pick(values: Tensor, original: Tensor, partner: Tensor) -> Tensor:
    """Return the (B,2) entries of (B,K) values at both candidates, in float32 or wider."""
    picked = values.gather(1, torch.stack([original, partner], dim=1))
    return picked if picked.dtype.itemsize >= 4 else picked.float()


def _shares(lam: Tensor) -> Tensor:
    return torch.stack([lam, 1.0 - lam], dim=1)


def soft_cross_entropy(logits: Tensor, soft_target: Tensor) -> Tensor:
    """Cross-entropy with soft targets: ``mean_i -sum_k target_ik log p_ik``.

    On mixed one-hot targets this is the global term of the mix. A one-hot target gives
    ``torch.nn.functional.cross_entropy``.

    Args:
        logits: (B,K) of any floating-point dtype.
        soft_target: (B,K) float32, rows sum to 1.

    Returns:
        Scalar.

    Raises:
        ValueError: The shapes differ, or there is one class alone.
    """
    if logits.shape != soft_target.shape or logits.shape[1:2] == (1,):
        raise ValueError(
            f"soft_target: expected (B,K) as the logits have, K at least 2, got "
            f"{tuple(soft_target.shape)} and logits {tuple(logits.shape)}; for one output take a "
            "binary loss, for class numbers torch.nn.functional.cross_entropy"
        )
    if logits.dtype != soft_target.dtype:
        logits = logits.to(torch.promote_types(logits.dtype, soft_target.dtype))
    return _mean_cost(F.log_softmax(logits, dim=1), soft_target)


def decoupled_loss(logits: Tensor, original: Tensor, partner: Tensor, weight: Tensor) -> Tensor:
    """Confidence in both classes of a mix, without the competition of one with the other.

    ``mean_i -log p(a | all but b) - log p(b | all but a)`` whatever the shares, so that what is
    shown little is learned from, too; 0 for pairs of one class and for what is not mixed. It is
    added to the cross-entropy of the mix, times 0.1 or so. Source: Decoupled mixup, arXiv
    2203.10761, from memory: of the paper's text only the abstract was at hand. Deviation: unmixed
    samples count as 0.

    Args:
        logits: (B,K) of the mixed images, K at least 2.
        original: (B,) int64, class of each original.
        partner: (B,) int64, class of each partner.
        weight: (B,) share of the original in the label, in [0, 1].

    Returns:
        Scalar, mean over the batch.
    """
    logits = logits if logits.dtype.itemsize >= 4 else logits.float()
    hidden = torch.finfo(logits.dtype).min
    own, other = original.unsqueeze(1), partner.unsqueeze(1)
    without_partner = logits.scatter(1, other, hidden)
    without_original = logits.scatter(1, own, hidden)
    first = F.cross_entropy(without_partner, original, reduction="none")
    second = F.cross_entropy(without_original, partner, reduction="none")
    nothing = (original == partner) | (weight <= 0.0) | (weight >= 1.0)
    return torch.where(nothing, torch.zeros_like(first), first + second).mean()


def mix_likeness(mixed: Tensor, clean: Tensor, index: Tensor, lam: Tensor) -> Tensor:
    """Return how like its sources a mix is: ``mean_i lam cos(z, z_a) + (1 - lam) cos(z, z_b)``.

    Source: Adversarial AutoMixup, arXiv 2312.11954.

    Args:
        mixed: (B,K) logits of the mixes.
        clean: (B,K) logits of the unmixed images.
        index: (B,) int64, partner of each sample.
        lam: (B,) in [0, 1].

    Returns:
        Scalar in [-1, 1].
    """
    own = F.cosine_similarity(mixed.float(), clean.float(), dim=1)
    other = F.cosine_similarity(mixed.float(), clean[index].float(), dim=1)
    return (lam * own + (1.0 - lam) * other).mean()
