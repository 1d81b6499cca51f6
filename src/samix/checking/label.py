"""What the labels of trials say, beside what their pixels show: plain functions of tensors."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .trials import Trial

_SAME = 1e-6


def found_smoothing(rows: Sequence[Tensor], said: float | None) -> float:
    """Return the label smoothing that was added to soft targets.

    Smoothing by s leaves s / K in the classes that were not mixed, the same number in every row.

    Args:
        rows: Soft targets (B,K) of several calls.
        said: What the transform says that it adds; None where it says nothing.
    """
    if said is not None:
        return float(said)
    together = torch.cat([row.float() for row in rows])
    classes = together.shape[1]
    if classes < 4:  # all classes may be mixed: nothing is left to see it in
        return 0.0
    least = together.min(dim=1).values
    if least.min() <= _SAME or least.max() - least.min() > _SAME:
        return 0.0
    smoothing = float(least.mean()) * classes
    return smoothing if smoothing < 1.0 else 0.0


def without_smoothing(soft: Tensor, smoothing: float) -> Tensor:
    """Return soft targets (B,K) as they were before label smoothing."""
    return (soft.float() - smoothing / soft.shape[1]) / (1.0 - smoothing)


def rows_of(target: Tensor, num_classes: int) -> Tensor:
    """Return classes (B,), or rows (B,K), as rows (B,K) float32."""
    if target.ndim == 2:
        return target.float()
    return torch.nn.functional.one_hot(target, num_classes).float()


def promised(trial: Trial) -> Tensor:
    """Return (B,K) what the label should say by the pixels: the sum of share times label."""
    return trial.shares @ rows_of(trial.target, trial.soft.shape[1])


def wrong_partners(trial: Trial, soft: Tensor, least: float) -> Tensor:
    """Return (B,) where the label names a class that no pixel shows, and leaves out a shown one.

    Args:
        trial: The trial.
        soft: (B,K) its target without smoothing.
        least: Share from which on a photo counts as shown, or a class as named.
    """
    wanted = promised(trial)
    unnamed = ((wanted > least) & (soft < least)).any(1)
    unseen = ((soft > least) & (wanted < least)).any(1)
    return unnamed & unseen


def swapped(trial: Trial, soft: Tensor, tolerance: float) -> Tensor:
    """Return (B,) where the shares of the two classes fit when they are exchanged.

    Args:
        trial: The trial.
        soft: (B,K) its target without smoothing.
        tolerance: Difference up to which shares are the same.
    """
    wanted = promised(trial)
    if soft.shape[1] < 2:
        return torch.zeros(len(soft), dtype=torch.bool)
    value, place = wanted.topk(2, dim=1)
    exchanged = wanted.scatter(1, place, value.flip(1))
    apart = (value[:, 0] - value[:, 1]) > 2 * tolerance
    return apart & ((exchanged - soft).abs().amax(1) <= tolerance)


def cut_at_border(trial: Trial) -> Tensor:
    """Return (B,) where a mix is made of whole pixels and the partner touches the border.

    Such a mix may be of a box that was clipped there.
    """
    own = torch.diagonal(trial.weights, dim1=0, dim2=1).permute(2, 0, 1)
    whole = ((own < 1e-3) | (own > 1 - 1e-3)).flatten(1).all(1)
    pasted = own < 0.5
    sides = [pasted[:, 0], pasted[:, -1], pasted[:, :, 0], pasted[:, :, -1]]
    return whole & torch.stack([side.any(1) for side in sides]).any(0)
