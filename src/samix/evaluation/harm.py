"""What mixing does to defects: how much of one stays visible, and where the label lies about it."""

from __future__ import annotations

import torch
from torch import Tensor

from samix.mixing import visible_share, visible_shares

__all__ = ["LEAST_VISIBLE", "LEAST_WEIGHT", "label_noise", "visible_share", "visible_shares"]

LEAST_WEIGHT = 0.2
"""Share of the label from which on a class must be seen."""
LEAST_VISIBLE = 0.1
"""Share of a defect below which it counts as not seen."""


def label_noise(visible: Tensor, shares: Tensor, same_class: Tensor | None = None) -> Tensor:
    """Say for both photos of each pair whether the label promises a defect that is not seen.

    It does where the class has a share of the label of at least 0.2 and less than 0.1 of its defect
    is visible. Where both photos are of one class, that class has the whole label, and is seen
    where either defect is.

    Args:
        visible: (B,2) from :func:`visible_shares`; NaN is never noise.
        shares: (B,2) in [0, 1], shares of original and partner that the label uses.
        same_class: (B,) bool; None takes two classes everywhere.

    Returns:
        (B,2) bool, original and partner.
    """
    seen = visible
    if same_class is not None:
        both = same_class.unsqueeze(1)
        best = visible.nan_to_num(nan=-1.0).amax(1, keepdim=True).expand_as(visible)
        shares = torch.where(both, torch.ones_like(shares), shares)
        seen = torch.where(both & ~visible.isnan(), best, visible)
    return (shares >= LEAST_WEIGHT) & (seen < LEAST_VISIBLE)
