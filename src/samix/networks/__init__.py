"""Where parameters live: backbones and their tap, the Mixer, the momentum encoder."""

from .area import logit_with_mean
from .attention import LastAttention, last_attention, watched_attention
from .backbone import (
    FeatureClassifier,
    Tap,
    create_backbone,
    feature_info,
    features_and_embedding,
    features_and_logits,
    find_tap,
    tap_features,
    up_to_tap,
)
from .built_in import (
    DEFAULT_MIXER,
    built_in_mixers,
    is_pretrained_mixer,
    is_repository,
    open_mixer,
)
from .class_map import class_shares, classifier_weight, final_map
from .compatibility import TOLERANCE
from .freezing import pretrained_mixer
from .heads import classifier_of, second_head, watched_embedding
from .memory_format import fast_format, in_format, settle_format
from .mixer import Mixer, MixerOptions, lam_polynomial, pair_attention
from .mixer_card import card_facts
from .mixer_file import read_configuration
from .momentum import (
    MomentumEncoder,
    Statistics,
    check_statistics,
    momentum_decay,
    update_average,
)
from .pretrained_mixer import PretrainedMixer
from .projected import Projected, embedding_width, unit
from .queue import Clusters, KeyQueue, spherical_k_means
from .seam import changed_at, stage_module
from .standardise import Standardised, standardised
from .stem import small_stem

__all__ = [
    "DEFAULT_MIXER",
    "TOLERANCE",
    "Clusters",
    "FeatureClassifier",
    "KeyQueue",
    "LastAttention",
    "Mixer",
    "MixerOptions",
    "MomentumEncoder",
    "PretrainedMixer",
    "Projected",
    "Standardised",
    "Statistics",
    "Tap",
    "built_in_mixers",
    "card_facts",
    "changed_at",
    "check_statistics",
    "class_shares",
    "classifier_of",
    "classifier_weight",
    "create_backbone",
    "embedding_width",
    "fast_format",
    "feature_info",
    "features_and_embedding",
    "features_and_logits",
    "final_map",
    "find_tap",
    "in_format",
    "is_pretrained_mixer",
    "is_repository",
    "lam_polynomial",
    "last_attention",
    "logit_with_mean",
    "momentum_decay",
    "open_mixer",
    "pair_attention",
    "pretrained_mixer",
    "read_configuration",
    "second_head",
    "settle_format",
    "small_stem",
    "spherical_k_means",
    "stage_module",
    "standardised",
    "tap_features",
    "unit",
    "up_to_tap",
    "update_average",
    "watched_attention",
    "watched_embedding",
]
