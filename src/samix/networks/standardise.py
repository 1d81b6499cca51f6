"""Images standardised one by one, so that nothing depends on how they were normalised."""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn

_EPS = 1e-5


def standardised(images: Tensor) -> Tensor:
    """Return images with mean 0 and deviation 1 in each channel of each image.

    Args:
        images: (B,3,H,W) floating point.
    """
    mean = images.mean((2, 3), keepdim=True)
    deviation = (images - mean).square().mean((2, 3), keepdim=True).sqrt()
    return (images - mean) / deviation.clamp_min(_EPS)


class Standardised(nn.Module):
    """A network that looks at images standardised one by one.

    Args:
        network: From (B,3,H,W).
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """Return what the network says of the standardised images."""
        return cast(Tensor, self.network(standardised(images)))
