"""Loss functions: plain functions of tensors. Imports nothing else of samix."""

from .candidates import (
    Candidates,
    batch_candidates,
    class_candidates,
    cluster_candidates,
    pair_candidates,
    queue_candidates,
    similarities,
)
from .contrastive import hard_negatives, mixed_regression, nt_xent, separate_loss, shared_content
from .mask import (
    area_lam_correlation,
    area_loss,
    attention_entropy,
    exchange_correlation,
    partner_change,
    within_mask_deviation,
)
from .mixup import (
    decoupled_loss,
    eta_balanced_loss,
    global_loss,
    local_loss,
    mix_likeness,
    soft_cross_entropy,
)

__all__ = [
    "Candidates",
    "area_lam_correlation",
    "area_loss",
    "attention_entropy",
    "batch_candidates",
    "class_candidates",
    "cluster_candidates",
    "decoupled_loss",
    "eta_balanced_loss",
    "exchange_correlation",
    "global_loss",
    "hard_negatives",
    "local_loss",
    "mix_likeness",
    "mixed_regression",
    "nt_xent",
    "pair_candidates",
    "partner_change",
    "queue_candidates",
    "separate_loss",
    "shared_content",
    "similarities",
    "soft_cross_entropy",
    "within_mask_deviation",
]
