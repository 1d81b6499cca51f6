"""The loss of a classifier on mixed targets."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def soft_cross_entropy(logits: Tensor, soft_target: Tensor) -> Tensor:
    """Cross-entropy with soft targets: ``mean_i -sum_k target_ik log p_ik``.

    On mixed one-hot targets this is the global term of the mix. A one-hot target gives
    ``torch.nn.functional.cross_entropy``.

    Args:
        logits: (B,K) of any floating-point dtype.
        soft_target: (B,K) float32, rows sum to 1.

    Returns:
        Scalar.
    """
    wide = torch.promote_types(logits.dtype, soft_target.dtype)
    return -(soft_target * F.log_softmax(logits.to(wide), dim=1)).sum(1).mean()
