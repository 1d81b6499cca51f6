"""The shift of a mask's logits that gives it a wanted area."""

from __future__ import annotations

import math

import torch
from torch import Tensor

_LEAST = 1e-3  # bounds the wanted mean; below lam_margin a mask is constant anyway
_ROUNDS = 5  # of Newton's method; two are enough for logits within +-10
_CLOSE = 1e-6  # a mean this near to the wanted one is not moved any more
_LEAST_SLOPE = 1e-6  # of the mean over the shift, where all sigmoids are near 0 or 1


def logit_with_mean(logit: Tensor, mean: Tensor) -> Tensor:
    """Shift logits so that their sigmoids have a wanted mean over the last dimension.

    ``logit + c`` with ``mean(sigmoid(logit + c)) = mean``: c by Newton's method without gradient,
    from where it would be for normally distributed logits, and by halving a bracket where a step
    would leave it; then one more step, which carries the gradient of the implicit function.
    Changing the sign of the logits and ``mean`` to ``1 - mean`` changes the sign of c in every
    round, also before it has converged.

    Args:
        logit: (B,1,N).
        mean: (B,1,1) in [0, 1]; values nearer to an end than 0.001 count as that.
    """
    mean = mean.clamp(_LEAST, 1.0 - _LEAST)
    with torch.no_grad():
        shift = _find_shift(logit, mean)
    share = torch.sigmoid(logit + shift)
    found = share.mean(dim=-1, keepdim=True)
    slope = (found - share.square().mean(dim=-1, keepdim=True)).detach().clamp_min(_LEAST_SLOPE)
    step = (found - mean) / slope
    # where a mask is as sharp as a step, the last move would leave the place that was found
    return logit + shift - step + (step - step.clamp(-1.0, 1.0)).detach()


def _find_shift(logit: Tensor, mean: Tensor) -> Tensor:
    """Return the shift (B,1,1) that gives the sigmoids of logits a mean."""
    wanted = torch.logit(mean)
    # at the ends of this bracket every sigmoid is at most, or at least, the wanted mean
    low = wanted - logit.amax(dim=-1, keepdim=True)
    high = wanted - logit.amin(dim=-1, keepdim=True)
    variance, centre = torch.var_mean(logit, dim=-1, correction=0, keepdim=True)
    shift = wanted * (1.0 + math.pi / 8.0 * variance).sqrt() - centre
    for _ in range(_ROUNDS):
        share = torch.sigmoid(logit + shift)
        found = share.mean(dim=-1, keepdim=True)
        slope = found - share.square().mean(dim=-1, keepdim=True)
        apart = found - mean
        low = torch.where(apart < 0.0, shift, low)
        high = torch.where(apart > 0.0, shift, high)
        moved = shift - apart / slope.clamp_min(_LEAST_SLOPE)
        inside = (moved >= low) & (moved <= high)
        moved = torch.where(inside, moved, 0.5 * (low + high))
        shift = torch.where(apart.abs() < _CLOSE, shift, moved)
    return shift
