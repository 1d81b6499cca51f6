"""Where parameters live: backbones and their tap, the Mixer, the momentum encoder."""

from .backbone import (
    FeatureClassifier,
    Tap,
    create_backbone,
    feature_info,
    find_tap,
    in_fast_format,
    tap_features,
)
from .mixer import Mixer, MixerOptions, lam_polynomial, logit_with_mean, pair_attention
from .momentum import MomentumEncoder, momentum_decay, update_average
from .stem import small_stem

__all__ = [
    "FeatureClassifier",
    "Mixer",
    "MixerOptions",
    "MomentumEncoder",
    "Tap",
    "create_backbone",
    "feature_info",
    "find_tap",
    "in_fast_format",
    "lam_polynomial",
    "logit_with_mean",
    "momentum_decay",
    "pair_attention",
    "small_stem",
    "tap_features",
    "update_average",
]
