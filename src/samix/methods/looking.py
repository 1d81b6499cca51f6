"""What the momentum encoder says of clean images, for policies that read it."""

from __future__ import annotations

from collections.abc import Collection

import torch
import torch.nn.functional as F
from torch import Tensor

from samix.mixing import Evidence, check_classes
from samix.networks import (
    MomentumEncoder,
    Tap,
    class_shares,
    classifier_weight,
    in_format,
    last_attention,
    watched_attention,
)

from .cost import scaled

_GRADIENT_SCALE = 1024.0  # keeps gradients within the range of float16


def look(
    average: MomentumEncoder,
    images: Tensor,
    target: Tensor | None,
    *,
    wanted: Collection[str],
    tap: Tap | None = None,
    scale: float = 1.0,
) -> Evidence:
    """Return what is wanted of the evidence, and no more.

    Args:
        average: The momentum encoder, from (B,3,H,W) to (B,K) logits.
        images: (B,3,H,W), normalised.
        target: (B,) int64 classes; may be None where nothing wanted depends on them.
        wanted: Fields of :class:`Evidence`.
        tap: Where features are read.
        scale: Side of the images in which features are looked for, as a share of their side.

    Raises:
        ValueError: Classes are needed and were not given.
    """
    features = gradient = activation = attention = None
    if "features" in wanted and tap is not None:
        features = average.features(scaled(images, scale), tap)
    if "gradient" in wanted:
        gradient = pixel_gradient(average, images, _classes(target, "gradient"))
    if "activation" in wanted:
        classes = _classes(target, "activation")
        check_classes(classes, len(classifier_weight(average.module)))
        with torch.no_grad():
            shown = in_format(images, average.memory_format)
            activation = class_shares(average.module, shown, classes)
    if "attention" in wanted:
        place = last_attention(average.module)
        with torch.no_grad(), watched_attention(place) as seen:
            average(images)
        attention = place.to_map(seen[-1])
    return Evidence(
        features=features, gradient=gradient, activation=activation, attention=attention
    )


def pixel_gradient(network: torch.nn.Module, images: Tensor, target: Tensor) -> Tensor:
    """Return the length of the gradient of the loss by each pixel, over the channels.

    ``|d cross_entropy(network(x), y) / dx|``. Source: Puzzle Mix, arXiv 2009.06962.

    Args:
        network: From (B,3,H,W) to (B,K) logits, without statistics of the batch.
        images: (B,3,H,W).
        target: (B,) int64 classes.

    Returns:
        (B,1,H,W) float32 of at least 0.
    """
    with torch.enable_grad():
        leaf = images.detach().requires_grad_(True)
        logits = network(leaf).float()
        check_classes(target, logits.shape[1])
        loss = F.cross_entropy(logits, target, reduction="sum")
        (gradient,) = torch.autograd.grad(loss * _GRADIENT_SCALE, leaf)
    length: Tensor = gradient.float().norm(dim=1, keepdim=True)
    return length / _GRADIENT_SCALE


def _classes(target: Tensor | None, what: str) -> Tensor:
    """Return the classes that something depends on.

    Raises:
        ValueError: There are none.
    """
    if target is None:
        raise ValueError(f"target: expected (B,) class numbers to find the {what}, got None")
    return target
