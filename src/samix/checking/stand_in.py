"""Stand-ins for what a network would know of the images, made of the pixels alone."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from samix.errors import InputError
from samix.mixing import Evidence, spectral_residual

CHANNELS = 16
"""Channels of the features."""
_SPOTS = 5  # a side
_SIDE = 8  # places along a side of features and maps


def stand_in_features(images: Tensor) -> Tensor:
    """Return (B,16,8,8) responses of fixed random filters, for images (B,C,H,W)."""
    generator = torch.Generator().manual_seed(0)
    filters = torch.randn(CHANNELS, images.shape[1], 3, 3, generator=generator)
    return F.adaptive_avg_pool2d(F.conv2d(images.float(), filters, padding=1).relu(), _SIDE)


def stand_in_evidence(images: Tensor, needs: Sequence[str]) -> Evidence | None:
    """Return evidence that looks like that of a network, the same for the same images.

    Args:
        images: (B,C,H,W).
        needs: Fields of :class:`samix.Evidence`.

    Raises:
        InputError: There is no stand-in for one of them.
    """
    if not needs:
        return None
    for need in needs:
        if need not in _MAKERS:
            raise InputError(
                f"a policy that needs '{need}' can only be checked inside a training step: there "
                "is no stand-in for it"
            )
    with torch.no_grad():
        seen = _with_content(images)
        return Evidence(**{need: _MAKERS[need](seen) for need in needs})


def _with_content(images: Tensor) -> Tensor:
    """Return images of which those of one colour have soft spots, always the same ones.

    A policy that mixes by content would otherwise find none to go by.
    """
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(len(images), 1, _SPOTS, _SPOTS, generator=generator).pow(4)
    spots = F.interpolate(coarse, images.shape[2:], mode="bilinear").expand_as(images)
    flat = (images == images[:, :, :1, :1]).flatten(1).all(1).view(-1, 1, 1, 1)
    return torch.where(flat, spots.to(images), images)


def _shares(images: Tensor) -> Tensor:
    """Return (B,1,h,w) shares of the content, each map with sum 1."""
    saliency = F.adaptive_avg_pool2d(spectral_residual(images), _SIDE)
    return saliency / saliency.sum((2, 3), keepdim=True)


def _gradient(images: Tensor) -> Tensor:
    """Return (B,1,H,W) that is large where content lies, as the gradient of a loss is."""
    return F.interpolate(spectral_residual(images), images.shape[2:], mode="bilinear")


_MAKERS = {
    "features": stand_in_features,
    "saliency": spectral_residual,
    "gradient": _gradient,
    "activation": _shares,
    "attention": _shares,
}
