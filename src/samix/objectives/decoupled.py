"""The decoupled mixup loss: each of two mixed classes against all but the other one."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


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
