"""Where parameters live: backbones and their tap, the Mixer, the momentum encoder."""

from .backbone import (
    FeatureClassifier,
    Tap,
    create_backbone,
    feature_info,
    features_and_embedding,
    find_tap,
    in_fast_format,
    tap_features,
)
from .mixer import Mixer, MixerOptions, lam_polynomial, logit_with_mean, pair_attention
from .momentum import MomentumEncoder, momentum_decay, update_average
from .pretrained_mixer import PretrainedMixer, is_pretrained_mixer, pretrained_mixer, standardised
from .projected import Projected, embedding_width, unit
from .queue import Clusters, KeyQueue, spherical_k_means
from .stem import small_stem

__all__ = [
    "Clusters",
    "FeatureClassifier",
    "KeyQueue",
    "Mixer",
    "MixerOptions",
    "MomentumEncoder",
    "PretrainedMixer",
    "Projected",
    "Tap",
    "create_backbone",
    "embedding_width",
    "feature_info",
    "features_and_embedding",
    "find_tap",
    "in_fast_format",
    "is_pretrained_mixer",
    "lam_polynomial",
    "logit_with_mean",
    "momentum_decay",
    "pair_attention",
    "pretrained_mixer",
    "small_stem",
    "spherical_k_means",
    "standardised",
    "tap_features",
    "unit",
    "update_average",
]
