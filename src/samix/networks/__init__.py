"""Where parameters live: backbones and their tap, the Mixer, the momentum encoder.

What imports timm, torchvision or huggingface_hub is imported when it is asked for: a hand-made
policy needs none of them.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .backbone import (
    FeatureClassifier,
    Projected,
    Standardised,
    Tap,
    create_backbone,
    embedding_width,
    fast_format,
    feature_info,
    features_and_embedding,
    features_and_logits,
    find_tap,
    in_format,
    layer_scales,
    settle_format,
    settle_weights,
    small_stem,
    standardised,
    tap_features,
    unit,
    up_to_tap,
)
from .hooks import (
    LastAttention,
    changed_at,
    class_shares,
    classifier_of,
    classifier_weight,
    final_map,
    last_attention,
    second_head,
    stage_module,
    watched_attention,
    watched_embedding,
)
from .mixer import Mixer, MixerOptions, lam_polynomial, logit_with_mean, pair_attention
from .mixer_card import (
    TOLERANCE,
    card_facts,
    is_pretrained_mixer,
    is_repository,
    read_configuration,
)
from .momentum import MomentumEncoder, Statistics, check_statistics, momentum_decay, update_average
from .queue import Clusters, KeyQueue, spherical_k_means

if TYPE_CHECKING:
    from .frozen_mixer import (
        DEFAULT_MIXER,
        PretrainedMixer,
        built_in_mixers,
        open_mixer,
        pretrained_mixer,
    )
    from .weights import (
        DAMAGED,
        EMBEDDED,
        SUFFIXES,
        LoadedWeights,
        backbone_of,
        classifier_names,
        find_weights,
        is_embedded,
        load_weights,
        put_weights,
        read_weights,
        trained_start,
        weights_at_hand,
    )

__all__ = [
    "DAMAGED",
    "DEFAULT_MIXER",
    "EMBEDDED",
    "SUFFIXES",
    "TOLERANCE",
    "Clusters",
    "FeatureClassifier",
    "KeyQueue",
    "LastAttention",
    "LoadedWeights",
    "Mixer",
    "MixerOptions",
    "MomentumEncoder",
    "PretrainedMixer",
    "Projected",
    "Standardised",
    "Statistics",
    "Tap",
    "backbone_of",
    "built_in_mixers",
    "card_facts",
    "changed_at",
    "check_statistics",
    "class_shares",
    "classifier_names",
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
    "find_weights",
    "in_format",
    "is_embedded",
    "is_pretrained_mixer",
    "is_repository",
    "lam_polynomial",
    "last_attention",
    "layer_scales",
    "load_weights",
    "logit_with_mean",
    "momentum_decay",
    "open_mixer",
    "pair_attention",
    "pretrained_mixer",
    "put_weights",
    "read_configuration",
    "read_weights",
    "second_head",
    "settle_format",
    "settle_weights",
    "small_stem",
    "spherical_k_means",
    "stage_module",
    "standardised",
    "tap_features",
    "trained_start",
    "unit",
    "up_to_tap",
    "update_average",
    "watched_attention",
    "watched_embedding",
    "weights_at_hand",
]

_LATE = ("frozen_mixer", "weights")


def __getattr__(name: str) -> Any:
    """Import a name that needs other packages when it is asked for."""
    if name in __all__:
        for part in _LATE:
            module = import_module(f".{part}", __name__)
            if hasattr(module, name):
                globals()[name] = value = getattr(module, name)
                return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
