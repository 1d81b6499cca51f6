"""What a mask owes beside its effect on a network: the wanted area, and structure."""

from __future__ import annotations

import math

from torch import Tensor


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
    flat = mask.flatten(1)
    excess = ((flat.mean(1) - lam).abs() - margin).clamp_min(0.0)
    return excess.mean() - 2.0 * flat.var(1, correction=0).mean()


def within_mask_deviation(mask: Tensor) -> Tensor:
    """Return the standard deviation over a mask's pixels, mean over the batch, a scalar."""
    return mask.flatten(1).std(1, correction=0).mean()


def area_lam_correlation(mask: Tensor, lam: Tensor) -> Tensor:
    """Return Pearson's correlation of area and lam over the batch, a scalar; 0 where undefined."""
    area = mask.flatten(1).mean(1)
    area, lam = area - area.mean(), lam - lam.mean()
    scale = (area.square().sum() * lam.square().sum()).sqrt()
    return (area * lam).sum() / scale.clamp_min(1e-12)


def attention_entropy(attention: Tensor) -> Tensor:
    """Return the mean entropy of attention rows as a share of its maximum, a scalar in [0, 1].

    1 is uniform attention (the mask cannot have structure), 0 looks at one place.

    Args:
        attention: (B,N,M), rows sum to 1, M at least 2.
    """
    entropy = -(attention * attention.clamp_min(1e-12).log()).sum(-1).mean()
    return entropy / math.log(max(attention.shape[-1], 2))
