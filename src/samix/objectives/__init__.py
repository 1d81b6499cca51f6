"""Loss functions: plain functions of tensors. Imports nothing else of samix."""

from .eta_balanced import eta_balanced_loss, global_loss, local_loss
from .mask import area_lam_correlation, area_loss, attention_entropy, within_mask_deviation
from .supervised import soft_cross_entropy

__all__ = [
    "area_lam_correlation",
    "area_loss",
    "attention_entropy",
    "eta_balanced_loss",
    "global_loss",
    "local_loss",
    "soft_cross_entropy",
    "within_mask_deviation",
]
