"""The memory format in which a network runs: the fast one where that is known to be safe.

Convolutions on the CPU run fastest in channels-last, also with weights in torch's default format.
With some narrow layers torch 2.15.0 dies in that format, with others it does not; which format a
network gets is decided once, when something that runs it is made.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

LEAST_CHANNELS = 16
"""Input channels per group from which any convolution is known to be safe in channels-last."""
_STEM_CHANNELS = 3


def fast_format(network: nn.Module) -> torch.memory_format:
    """Return the memory format in which a network runs fast and safely on the CPU.

    Channels-last where no convolution has 2 to 15 input channels per group, but for a stem that
    reads three with a kernel larger than one pixel; torch's default format elsewhere, and where it
    is not known what a module computes with narrow weights.

    Args:
        network: Any module; nothing in it is changed or run.
    """
    safe = all(_is_safe(module) for module in network.modules())
    return torch.channels_last if safe else torch.contiguous_format


def settle_format(network: nn.Module) -> torch.memory_format:
    """Return :func:`fast_format`, and bring weights on the CPU out of an unsafe channels-last.

    Weights in channels-last would take the network's convolutions there, whatever the format of the
    images. They are changed in place; their values stay.
    """
    chosen = fast_format(network)
    if chosen is torch.contiguous_format:
        for parameter in network.parameters():
            if parameter.device.type == "cpu":
                parameter.data = parameter.data.contiguous()
    return chosen


def in_format(images: Tensor, memory_format: torch.memory_format) -> Tensor:
    """Return images in a memory format on the CPU, as they are on another device.

    What the fast format crashes is torch on the CPU alone: elsewhere the format is the user's
    choice. The device is that of the images, since a network may be moved at any time.

    Args:
        images: (B,C,H,W).
        memory_format: Of the network that is to see them, from :func:`fast_format`.
    """
    if images.device.type != "cpu":
        return images
    return images.contiguous(memory_format=memory_format)


def _is_safe(module: nn.Module) -> bool:
    """Say whether what a module computes with its own weights is safe in channels-last."""
    if isinstance(module, nn.ConvTranspose2d):
        return False
    if not isinstance(module, nn.Conv2d):
        own = module.parameters(recurse=False)
        return all(weights.shape[1] >= LEAST_CHANNELS for weights in own if weights.ndim == 4)
    channels = module.in_channels // module.groups
    depthwise = channels == 1 and module.groups > 1
    stem = channels == _STEM_CHANNELS and module.groups == 1 and min(module.kernel_size) > 1
    return channels >= LEAST_CHANNELS or depthwise or stem
