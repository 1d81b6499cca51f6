"""A backbone with a projector on its embedding, as self-supervised methods train it."""

from __future__ import annotations

from typing import cast

import torch.nn.functional as F
from torch import Tensor, nn

from .backbone import Tap, features_and_embedding, tap_features
from .memory_format import in_format, settle_format


class Projected(nn.Module):
    """Backbone and projector.

    Args:
        backbone: From (B,3,H,W) to (B,D) embeddings.
        projector: From (B,D) to (B,P).
    """

    def __init__(self, backbone: nn.Module, projector: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.projector = projector
        self.memory_format = settle_format(backbone)

    def forward(self, images: Tensor) -> Tensor:
        """Return the (B,P) output of the projector, not normalised."""
        images = in_format(images, self.memory_format)
        return cast(Tensor, self.projector(self.backbone(images)))

    def features(self, images: Tensor, tap: Tap) -> Tensor:
        """Return the (B,C,h,w) features at a tap; a timm model is run no further than there."""
        return tap_features(self.backbone, in_format(images, self.memory_format), tap)

    def look(self, images: Tensor, tap: Tap) -> tuple[Tensor, Tensor]:
        """Return the (B,C,h,w) features at a tap and the (B,P) output, in one pass."""
        images = in_format(images, self.memory_format)
        features, embedding = features_and_embedding(self.backbone, images, tap)
        return features, cast(Tensor, self.projector(embedding))


def embedding_width(backbone: nn.Module) -> int:
    """Return D, the width of the embedding of a backbone from :func:`create_backbone`.

    Args:
        backbone: A timm model or a :class:`FeatureClassifier`, without classifier.

    Raises:
        ValueError: The module does not say it.
    """
    for name in ("embedding_width", "head_hidden_size", "num_features"):
        width = getattr(backbone, name, None)
        if isinstance(width, int):
            return width
    raise ValueError(
        "backbone: expected a timm model or a module that returns a feature map and an embedding, "
        f"got {type(backbone).__name__}"
    )


def unit(projection: Tensor) -> Tensor:
    """Return rows of unit norm, in float32 or wider: (B,P) to (B,P)."""
    wide = projection if projection.dtype.itemsize >= 4 else projection.float()
    return F.normalize(wide, dim=1)
