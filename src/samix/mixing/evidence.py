"""Evidence: what is known about the images of a batch beyond their pixels."""

from __future__ import annotations

from dataclasses import dataclass, fields

from torch import Tensor


@dataclass(frozen=True)
class Evidence:
    """What a method knows about the images of a batch beyond their pixels.

    Attributes:
        features: (B,C,h,w) feature map of the momentum encoder at its tap.
        partner_features: The same of the batch that partners are taken from, where that is another
            view of the images; None takes ``features``.
        partner_images: (B,3,H,W) that other view itself, for policies that look at pixels.
        saliency: (B,1,H',W') share of its image's content that lies in each place, 0 or more, of
            any size; see :mod:`samix.mixing.saliency`.
        partner_saliency: The same of the other view; None takes ``saliency``.
        gradient: (B,1,H,W) length of the gradient of the classification loss by each pixel, over
            the channels.
        activation: (B,1,h,w) share of what speaks for the image's own class that lies in each
            place, 0 or more, each map with sum 1.
        attention: (B,1,h,w) share of the attention that a transformer pays to each patch, 0 or
            more, each map with sum 1.
    """

    features: Tensor | None = None
    partner_features: Tensor | None = None
    partner_images: Tensor | None = None
    saliency: Tensor | None = None
    partner_saliency: Tensor | None = None
    gradient: Tensor | None = None
    activation: Tensor | None = None
    attention: Tensor | None = None

    def head(self, count: int) -> Evidence:
        """Return what is known about the first ``count`` images."""
        return self.rows(slice(count))

    def rows(self, chosen: slice | Tensor) -> Evidence:
        """Return what is known about some images, by their positions."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return Evidence(**{k: None if v is None else v[chosen] for k, v in values.items()})
