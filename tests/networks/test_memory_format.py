"""Which memory format is chosen: channels-last only where it is known to be safe.

What the other format does to torch is not tried: a test says what was chosen, and that it is used.
"""

from __future__ import annotations

import pytest
import torch
from torch import nn

from samix.networks import create_backbone, fast_format

SAFE, UNSAFE = torch.channels_last, torch.contiguous_format
WIDE = {"channels": (16, 16, 16, 16), "layers": (1, 1, 1, 1), "stem_width": 16}


def resnet(**own: object) -> nn.Module:
    return create_backbone(
        "resnet18", num_classes=4, stem="small", image_size=16, model_kwargs=own or WIDE
    )


@pytest.mark.parametrize("channels", [2, 4, 8, 15])
@pytest.mark.parametrize("kernel", [1, 3])
@pytest.mark.parametrize("stride", [1, 2])
def test_a_narrow_convolution_keeps_a_network_out_of_channels_last(
    channels: int, kernel: int, stride: int
) -> None:
    narrow = nn.Conv2d(channels, 32, kernel, stride=stride)
    assert fast_format(nn.Sequential(nn.Conv2d(3, 32, 3), narrow)) is UNSAFE
    grouped = nn.Conv2d(4 * channels, 32, kernel, stride=stride, groups=4)
    assert fast_format(nn.Sequential(nn.Conv2d(3, 4 * channels, 3), grouped)) is UNSAFE


def test_wide_convolutions_and_a_stem_of_three_are_safe() -> None:
    assert fast_format(nn.Sequential(nn.Conv2d(3, 16, 7, stride=2), nn.Conv2d(16, 64, 1))) is SAFE
    assert fast_format(nn.Linear(4, 4)) is SAFE
    grouped = nn.Conv2d(12, 32, 3, groups=4)  # three channels per group, but no stem
    assert fast_format(grouped) is UNSAFE


def test_what_a_module_does_with_weights_of_its_own_is_not_known() -> None:
    network = resnet()
    assert fast_format(network) is SAFE
    network.extra = nn.Module()
    network.extra.kernel = nn.Parameter(torch.zeros(32, 8, 3, 3))
    assert fast_format(network) is UNSAFE
