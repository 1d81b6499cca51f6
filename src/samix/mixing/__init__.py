"""Tensors to tensors: draws, masks, plans, blending. Imports nothing else of samix."""

from .blend import blend, mix_targets
from .draws import check_generator, draw_index, draw_lam, draw_uniform, step_generator
from .evidence import Evidence
from .masks import area_of, box_mask, constant_mask, cut_box, match_area
from .plan import MixPlan, choose, keep_clean
from .saliency import (
    as_shares,
    blur_saliency,
    class_activation,
    feature_saliency,
    saliency_peak,
    saliency_ratio,
    spectral_residual,
)
from .shapes import cell_mask, keep_highest, low_frequency_field, spot_mask
from .visibility import at_size, visible_share, visible_shares

__all__ = [
    "Evidence",
    "MixPlan",
    "area_of",
    "as_shares",
    "at_size",
    "blend",
    "blur_saliency",
    "box_mask",
    "cell_mask",
    "check_generator",
    "choose",
    "class_activation",
    "constant_mask",
    "cut_box",
    "draw_index",
    "draw_lam",
    "draw_uniform",
    "feature_saliency",
    "keep_clean",
    "keep_highest",
    "low_frequency_field",
    "match_area",
    "mix_targets",
    "saliency_peak",
    "saliency_ratio",
    "spectral_residual",
    "spot_mask",
    "step_generator",
    "visible_share",
    "visible_shares",
]
