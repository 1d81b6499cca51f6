"""Tensors to tensors: draws, masks, plans, blending. Imports nothing else of samix."""

from .blend import blend, mix_targets
from .draws import check_generator, draw_index, draw_lam, draw_uniform, step_generator
from .masks import area_of, box_mask, constant_mask, cut_box, match_area
from .plan import MixPlan, keep_clean

__all__ = [
    "MixPlan",
    "area_of",
    "blend",
    "box_mask",
    "check_generator",
    "constant_mask",
    "cut_box",
    "draw_index",
    "draw_lam",
    "draw_uniform",
    "keep_clean",
    "match_area",
    "mix_targets",
    "step_generator",
]
