"""What a mask owes beside its effect on a network: the wanted area, and structure."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

_FLAT = 1e-8  # variance over the pixels of a mask that counts as none


def area_loss(mask: Tensor, lam: Tensor, margin: float = 0.1) -> Tensor:
    """Keep each mask's area near its lam, and reward structure within the mask.

    ``mean_i max(|area_i - lam_i| - margin, 0) - 2 mean_i Var_pixels(mask_i)``, per sample.
    Deviation from the public implementation, which compares the mean of the batch with one lam.

    Args:
        mask: (B,1,H,W) in [0, 1].
        lam: (B,) wanted area in [0, 1].
        margin: Distance of area and lam that costs nothing, in [0, 1].

    Returns:
        Scalar.
    """
    variance, area = torch.var_mean(mask.flatten(1), 1, correction=0)
    excess = ((area - lam).abs() - margin).clamp_min(0.0)
    return excess.mean() - 2.0 * variance.mean()


def within_mask_deviation(mask: Tensor) -> Tensor:
    """Return the standard deviation over a mask's pixels, mean over the batch, a scalar."""
    return mask.flatten(1).std(1, correction=0).mean()


def area_lam_correlation(mask: Tensor, lam: Tensor) -> Tensor:
    """Return Pearson's correlation of area and lam over the batch, a scalar; 0 where undefined."""
    both = torch.stack([mask.flatten(1).mean(1), lam])
    return F.normalize(both - both.mean(1, keepdim=True), dim=1, eps=1e-6).prod(0).sum()


def exchange_correlation(mask: Tensor, exchanged: Tensor) -> Tensor:
    """Return whether exchanging the images exchanges the mask, a scalar in [-1, 1].

    Pearson's correlation, over the pixels of each mask and all masks of a batch, of ``mask(a, b)``
    with ``1 - mask(b, a)``: 1 where the Mixer knows which image is which, 0 where it does not care,
    and also where masks are flat.

    Args:
        mask: (B,1,H,W) of the pairs.
        exchanged: (B,1,H,W) of the same pairs with original and partner exchanged, and 1 - lam.
    """
    first, second = _centred(mask), -_centred(exchanged)
    scale = (first.square().sum() * second.square().sum()).sqrt()
    return (first * second).sum() / scale.clamp_min(_FLAT * mask.numel())


def partner_change(mask: Tensor, other: Tensor) -> Tensor:
    """Return how much another partner changes a mask, a scalar of at least 0.

    ``mean Var(mask - other) / (mean Var(mask) + mean Var(other))`` over pixels: 0 where the partner
    does not matter, 1 where both masks have nothing in common; 0 also for flat masks.

    Args:
        mask: (B,1,H,W) of the pairs.
        other: (B,1,H,W) of the same originals and lam, with other partners.
    """
    first, second = _centred(mask), _centred(other)
    total = first.square().sum() + second.square().sum()
    return (first - second).square().sum() / total.clamp_min(_FLAT * mask.numel())


def _centred(mask: Tensor) -> Tensor:
    """Return each mask less its area, (B,H*W)."""
    flat = mask.flatten(1)
    return flat - flat.mean(1, keepdim=True)


def attention_entropy(attention: Tensor) -> Tensor:
    """Return the mean entropy of attention rows as a share of its maximum, a scalar in [0, 1].

    1 is uniform attention (the mask cannot have structure), 0 looks at one place.

    Args:
        attention: (B,N,M), rows sum to 1, M at least 2.
    """
    entropy = -(attention * attention.clamp_min(1e-12).log()).sum(-1).mean()
    return entropy / math.log(max(attention.shape[-1], 2))
