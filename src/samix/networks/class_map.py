"""Where a classifier sees a class: its last feature map and the weights of its last layer."""

from __future__ import annotations

from typing import Any, cast

import torch.nn.functional as F
from torch import Tensor, nn

from .backbone import FeatureClassifier
from .heads import classifier_of


def final_map(model: nn.Module, images: Tensor) -> Tensor:
    """Return the (B,C,h,w) last feature map of a classifier; the patches of a transformer as one.

    Args:
        model: A classifier from :func:`samix.networks.create_backbone`.
        images: (B,3,H,W).

    Raises:
        ValueError: The model has no such map.
    """
    if isinstance(model, FeatureClassifier):
        return cast(Tensor, model.body(images)[0])
    network = cast(Any, model)
    features: Tensor = network.forward_features(images)
    if features.ndim == 4:
        channels_last = getattr(model, "output_fmt", "NCHW") == "NHWC"
        return features.permute(0, 3, 1, 2) if channels_last else features
    grid = getattr(getattr(model, "patch_embed", None), "grid_size", None)
    prefix = int(getattr(model, "num_prefix_tokens", 0))
    if features.ndim != 3 or grid is None or features.shape[1] - prefix != grid[0] * grid[1]:
        raise ValueError(
            f"backbone: expected a last feature map (B,C,h,w) or patches of one grid, got "
            f"{tuple(features.shape)} from {type(model).__name__}; choose another backbone"
        )
    return features[:, prefix:].transpose(1, 2).reshape(len(features), -1, *grid)


def classifier_weight(model: nn.Module) -> Tensor:
    """Return the (K,C) weights of the last layer.

    Raises:
        ValueError: The last layer is not linear.
    """
    return classifier_of(model).weight


def class_shares(model: nn.Module, images: Tensor, target: Tensor) -> Tensor:
    """Return where a classifier sees the class of each image.

    ``(w_y . f - min) / sum`` over the places of the last feature map f, with the weights w_y of the
    image's own class. Exact where the classifier is linear on the mean of that map, as in a ResNet;
    elsewhere (a norm in between, a class token) an approximation. Source: SnapMix, arXiv
    2012.04846, on Zhou et al., arXiv 1512.04150.

    Args:
        model: A classifier from :func:`samix.networks.create_backbone`.
        images: (B,3,H,W).
        target: (B,) int64 classes.

    Returns:
        (B,1,h,w) float32 of at least 0, each map with sum 1; even where the map is flat.

    Raises:
        ValueError: The last feature map does not fit the classifier.
    """
    features, weight = final_map(model, images).float(), classifier_weight(model).float()
    if weight.shape[1] != features.shape[1]:
        raise ValueError(
            f"backbone: expected a classifier on the {features.shape[1]} channels of the last "
            f"feature map, got one on {weight.shape[1]} in {type(model).__name__}; choose another "
            "backbone, such as a ResNet"
        )
    activation = (features * F.embedding(target, weight)[:, :, None, None]).sum(1, keepdim=True)
    above = activation - activation.amin((2, 3), keepdim=True)
    total = above.sum((2, 3), keepdim=True)
    even = 1.0 / (above.shape[2] * above.shape[3])
    return (above / total.clamp_min(1e-12)).masked_fill(total <= 1e-12, even)
