"""A backbone with a projector on its embedding, as self-supervised methods train it."""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .backbone import Tap, features_and_embedding, in_fast_format


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

    def forward(self, images: Tensor) -> Tensor:
        """Return the (B,P) output of the projector, not normalised."""
        return cast(Tensor, self.projector(self.backbone(in_fast_format(images))))

    def look(self, images: Tensor, tap: Tap) -> tuple[Tensor, Tensor]:
        """Return the (B,C,h,w) features at a tap and the (B,P) output, in one pass."""
        features, embedding = features_and_embedding(self.backbone, in_fast_format(images), tap)
        return features, cast(Tensor, self.projector(embedding))


def embedding_width(backbone: nn.Module, image_size: int) -> int:
    """Return D, the width of a backbone's embedding, measured on one empty image.

    Args:
        backbone: From (B,3,H,W) to (B,D).
        image_size: Height and width in pixels.

    Raises:
        ValueError: The output is no (B,D).
    """
    training = backbone.training
    weight = next(backbone.parameters(), torch.zeros(()))
    image = torch.zeros(1, 3, image_size, image_size, device=weight.device, dtype=weight.dtype)
    with torch.no_grad():
        embedding = backbone.eval()(image)
    backbone.train(training)
    if not isinstance(embedding, Tensor) or embedding.ndim != 2:
        raise ValueError(
            f"backbone: expected (B,D) embeddings, got {tuple(getattr(embedding, 'shape', ()))} "
            f"from {type(backbone).__name__}"
        )
    return embedding.shape[1]


def unit(projection: Tensor) -> Tensor:
    """Return rows of unit norm, in float32 or wider: (B,P) to (B,P)."""
    wide = projection if projection.dtype.itemsize >= 4 else projection.float()
    return F.normalize(wide, dim=1)
