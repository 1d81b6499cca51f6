"""Places inside a network where something is read or changed on its way.

The end of a stage, the attention of the last block, the last feature map, and the last layer.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import torch.nn.functional as F
from torch import Tensor, nn

from .backbone import FeatureClassifier, feature_info


def stage_module(model: nn.Module, stage: int) -> nn.Module:
    """Return the module that ends a stage.

    Args:
        model: A timm model.
        stage: Index into its ``feature_info``, negative from the end.

    Raises:
        ValueError: The model has no such stage.
    """
    if isinstance(model, FeatureClassifier):
        raise ValueError(
            "backbone: expected a timm model, whose stages are known, for a policy that mixes "
            "inside the network, got a module of one's own; use a policy that mixes images"
        )
    stages = feature_info(model)
    if not -len(stages) <= stage < len(stages):
        raise ValueError(
            f"stages: expected indices of the {len(stages)} stages of {type(model).__name__}, got "
            f"{stage}"
        )
    return model.get_submodule(stages[stage]["module"])


@contextmanager
def changed_at(model: nn.Module, stage: int, change: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """Let what comes out of a stage pass through a function while the context is open.

    Args:
        model: A timm model.
        stage: Index into its ``feature_info``, negative from the end.
        change: From features to features of the same shape: (B,C,h,w) maps, also of a network whose
            own are (B,h,w,C); or (B,N,C) tokens.
    """
    channels_last = getattr(model, "output_fmt", "NCHW") == "NHWC"

    def hook(module: nn.Module, inputs: Any, output: Any) -> Tensor:
        if not isinstance(output, Tensor):
            raise ValueError(
                f"stages: expected a stage of {type(model).__name__} that gives features, got "
                f"{type(output).__name__} at stage {stage}; choose another stage"
            )
        if channels_last and output.ndim == 4:
            return change(output.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        return change(output)

    with stage_module(model, stage).register_forward_hook(hook):
        yield


@dataclass(frozen=True)
class LastAttention:
    """Where the attention of the last block can be read.

    Attributes:
        module: The attention, which drops out what it has weighed by ``attn_drop``.
        prefix: Number of tokens before those of the patches.
        pooled: The classifier reads the mean of the patches, not the class token.
        grid: Rows and columns of patches.
    """

    module: nn.Module
    prefix: int
    pooled: bool
    grid: tuple[int, int]

    def to_map(self, weights: Tensor) -> Tensor:
        """Return how much is looked at each patch.

        That of the class token, averaged over the heads; of a network without one, that of the mean
        patch, which its classifier reads.

        Args:
            weights: (B,heads,N,N), rows sum to 1.

        Returns:
            (B,1,h,w) float32 of at least 0, each map with sum 1.
        """
        seen = weights.float().mean(1)
        rows = seen[:, self.prefix :].mean(1) if self.pooled else seen[:, 0]
        patches = rows[:, self.prefix :]
        shares = patches / patches.sum(1, keepdim=True).clamp_min(1e-12)
        return shares.view(-1, 1, *self.grid)


def last_attention(model: nn.Module) -> LastAttention:
    """Return where a model's attention to its patches can be read.

    Raises:
        ValueError: The model is no vision transformer in which every token attends to every other.
    """
    blocks = getattr(model, "blocks", None)
    grid = getattr(getattr(model, "patch_embed", None), "grid_size", None)
    module = None
    if isinstance(blocks, nn.Sequential | nn.ModuleList) and len(blocks):
        module = getattr(blocks[-1], "attn", None)
    if (
        grid is None
        or not hasattr(model, "num_prefix_tokens")
        or not (hasattr(module, "attn_drop") and hasattr(module, "fused_attn"))
    ):
        raise ValueError(
            "backbone: expected a vision transformer of one resolution, such as timm's ViT or "
            f"DeiT, whose attention can be read, got {type(model).__name__}; choose one, or a "
            "policy and label that read no attention"
        )
    prefix = int(cast("Any", model).num_prefix_tokens)
    pooled = prefix == 0 or getattr(model, "global_pool", "token") not in ("", "token")
    return LastAttention(cast("nn.Module", module), prefix, pooled, (int(grid[0]), int(grid[1])))


@contextmanager
def watched_attention(place: LastAttention) -> Iterator[list[Tensor]]:
    """Collect the attention of the passes that are made while the context is open.

    The block is computed without the fused kernel meanwhile, which keeps its weights to itself.

    Args:
        place: From :func:`last_attention`.

    Yields:
        A list that gains (B,heads,N,N) with every pass.
    """
    module, seen = cast("Any", place.module), []
    fused = module.fused_attn
    module.fused_attn = False
    try:
        with module.attn_drop.register_forward_pre_hook(
            lambda _, inputs: seen.append(inputs[0].detach())
        ):
            yield seen
    finally:
        module.fused_attn = fused


def final_map(model: nn.Module, images: Tensor) -> Tensor:
    """Return the (B,C,h,w) last feature map of a classifier; the patches of a transformer as one.

    Args:
        model: A classifier from :func:`samix.networks.create_backbone`.
        images: (B,3,H,W).

    Raises:
        ValueError: The model has no such map.
    """
    if isinstance(model, FeatureClassifier):
        return cast("Tensor", model.body(images)[0])
    network = cast("Any", model)
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


def classifier_of(model: nn.Module) -> nn.Linear:
    """Return the last layer of a classifier.

    Args:
        model: From :func:`samix.networks.create_backbone`.

    Raises:
        ValueError: The last layer is not linear.
    """
    own = isinstance(model, FeatureClassifier)
    last = model.head if own else cast("Any", model).get_classifier()
    if not isinstance(last, nn.Linear):
        raise ValueError(
            f"backbone: expected a linear classifier, got {type(last).__name__}; choose another "
            "backbone or num_classes of at least 1"
        )
    return last


@contextmanager
def watched_embedding(model: nn.Module) -> Iterator[list[Tensor]]:
    """Collect the (B,D) embeddings that go into the last layer while the context is open."""
    seen: list[Tensor] = []
    with classifier_of(model).register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0])):
        yield seen


def second_head(model: nn.Module) -> nn.Linear:
    """Return a copy of the last layer of a classifier, with the same weights to begin with."""
    return copy.deepcopy(classifier_of(model))
