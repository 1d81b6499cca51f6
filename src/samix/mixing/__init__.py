"""Tensors to tensors: draws, masks, plans, blending. Imports nothing else of samix."""

from .alignment import aligned, alignment, sinkhorn
from .blend import (
    blend,
    check_classes,
    check_smoothing,
    mix_targets,
    mosaic_shares,
    other_shares,
    read_original,
    read_partner,
)
from .dense import mix_dense
from .draws import check_generator, draw_gammas, draw_index, draw_lam, draw_uniform, step_generator
from .energy import grid_energy, lowest_energy, unordered_places
from .evidence import Evidence
from .labels import Relabel, by_attention, by_content
from .masks import area_of, box_area, box_mask, constant_mask, cut_box, match_area
from .moves import box_in_box, cells_in_place, move_cells, read_mosaic
from .pairing import PAIRINGS, Pairing, check_pairing, draw_partners
from .plan import Boxed, MixPlan, choose, keep_clean
from .regions import block_cells, extreme_square, shifted_square
from .resizing import area_average, within_side
from .saliency import (
    as_shares,
    blur_saliency,
    feature_saliency,
    saliency_peak,
    saliency_ratio,
    spectral_residual,
)
from .shapes import cell_mask, keep_highest, low_frequency_field, spot_mask
from .transport import transport_cells
from .visibility import at_size, visible_share, visible_shares

__all__ = [
    "PAIRINGS",
    "Boxed",
    "Evidence",
    "MixPlan",
    "Pairing",
    "Relabel",
    "aligned",
    "alignment",
    "area_average",
    "area_of",
    "as_shares",
    "at_size",
    "blend",
    "block_cells",
    "blur_saliency",
    "box_area",
    "box_in_box",
    "box_mask",
    "by_attention",
    "by_content",
    "cell_mask",
    "cells_in_place",
    "check_classes",
    "check_generator",
    "check_pairing",
    "check_smoothing",
    "choose",
    "constant_mask",
    "cut_box",
    "draw_gammas",
    "draw_index",
    "draw_lam",
    "draw_partners",
    "draw_uniform",
    "extreme_square",
    "feature_saliency",
    "grid_energy",
    "keep_clean",
    "keep_highest",
    "low_frequency_field",
    "lowest_energy",
    "match_area",
    "mix_dense",
    "mix_targets",
    "mosaic_shares",
    "move_cells",
    "other_shares",
    "read_mosaic",
    "read_original",
    "read_partner",
    "saliency_peak",
    "saliency_ratio",
    "shifted_square",
    "sinkhorn",
    "spectral_residual",
    "spot_mask",
    "step_generator",
    "transport_cells",
    "unordered_places",
    "visible_share",
    "visible_shares",
    "within_side",
]
