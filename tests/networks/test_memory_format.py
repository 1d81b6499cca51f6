"""Which memory format is chosen: channels-last only where it is known to be safe.

What the other format does to torch is not tried: a test says what was chosen, and that it is used.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import timm
import torch
from torch import Tensor, nn

import samix
from samix.networks import create_backbone, fast_format, in_format, settle_format
from samix.training import TrainConfig
from samix.training.building import create_run_method
from samix.training.prepare import resolve

LAST, DEFAULT = torch.channels_last, torch.contiguous_format
WIDE = {"channels": (16, 16, 16, 16), "layers": (1, 1, 1, 1), "stem_width": 16}
NARROW = {**WIDE, "channels": (8, 8, 8, 8), "stem_width": 8}


def resnet(*, num_classes: int = 4, **own: object) -> nn.Module:
    make = own or WIDE
    return create_backbone(
        "resnet18", num_classes=num_classes, stem="small", image_size=16, model_kwargs=make
    )


@pytest.mark.parametrize("channels", [2, 4, 8, 15])
@pytest.mark.parametrize("kernel", [1, 3])
@pytest.mark.parametrize("stride", [1, 2])
def test_a_narrow_convolution_keeps_a_network_out_of_channels_last(
    channels: int, kernel: int, stride: int
) -> None:
    narrow = nn.Conv2d(channels, 32, kernel, stride=stride)
    assert fast_format(nn.Sequential(nn.Conv2d(3, 32, 3), narrow)) is DEFAULT
    grouped = nn.Conv2d(4 * channels, 32, kernel, stride=stride, groups=4)
    assert fast_format(nn.Sequential(nn.Conv2d(3, 4 * channels, 3), grouped)) is DEFAULT


def test_wide_convolutions_and_a_stem_of_three_are_safe() -> None:
    assert fast_format(nn.Sequential(nn.Conv2d(3, 16, 7, stride=2), nn.Conv2d(16, 64, 1))) is LAST
    assert fast_format(nn.Linear(4, 4)) is LAST
    assert fast_format(nn.Conv2d(12, 12, 3, stride=2, groups=12)) is LAST
    assert fast_format(nn.Conv2d(3, 16, 1, stride=2)) is DEFAULT
    assert fast_format(nn.Conv2d(1, 16, 3)) is DEFAULT
    grouped = nn.Conv2d(12, 32, 3, groups=4)  # three channels per group, but no stem
    assert fast_format(grouped) is DEFAULT


def test_what_a_module_does_with_weights_of_its_own_is_not_known() -> None:
    network = resnet()
    assert fast_format(network) is LAST
    network.extra = nn.Module()
    network.extra.kernel = nn.Parameter(torch.zeros(32, 8, 3, 3))
    assert fast_format(network) is DEFAULT
    assert fast_format(nn.ConvTranspose2d(16, 16, 2)) is DEFAULT
    network.extra.kernel = nn.Parameter(torch.zeros(32, 16, 3, 3))
    assert fast_format(network) is LAST


class Own(nn.Module):
    """A network of one's own with a layer of so many channels."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, width, 3, padding=1)
        self.second = nn.Conv2d(width, 16, 3, stride=2, padding=1)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        features = self.second(self.first(images).relu())
        return features, features.mean((2, 3))


@contextmanager
def watched(*networks: nn.Module) -> Iterator[list[bool]]:
    """Whether each convolution that ran had images and weights in torch's default format."""
    seen: list[bool] = []

    def look(module: nn.Module, given: tuple[Tensor, ...]) -> None:
        weight = module.weight
        assert isinstance(weight, Tensor)
        seen.append(given[0].is_contiguous() and weight.is_contiguous())

    modules = [module for network in networks for module in network.modules()]
    handles = [m.register_forward_pre_hook(look) for m in modules if isinstance(m, nn.Conv2d)]
    yield seen
    for handle in handles:
        handle.remove()


def last(images: Tensor) -> Tensor:
    return images.contiguous(memory_format=torch.channels_last)


def step(method: nn.Module) -> None:
    """One step on images that are in channels-last."""
    views = last(torch.randn(4, 3, 16, 16)), last(torch.randn(4, 3, 16, 16))
    inputs = (views[0], torch.arange(4)) if hasattr(method, "channels_last") else (views,)
    method(*inputs).loss.backward()


@pytest.mark.parametrize(
    "policy",
    ["none", "mixup", "samix", "manifold-mixup", "puzzlemix", "snapmix", "recursivemix", "samix-p"],
)
def test_supervised_training_keeps_to_the_format_of_its_network(policy: str) -> None:
    for kwargs, chosen in ((NARROW, DEFAULT), (WIDE, LAST)):
        network = resnet(**kwargs).to(memory_format=torch.channels_last)
        method = samix.create_method("supervised", backbone=network, policy=policy)
        own = [network] if method.average is None else [network, method.average]
        with watched(*own) as contiguous:
            step(method)
        assert method.channels_last is (chosen is LAST)
        assert len(contiguous) >= len(own)
        assert all(contiguous) if chosen is DEFAULT else not any(contiguous)


@pytest.mark.parametrize("name", ["moco", "simclr", "byol", "mocov3"])
@pytest.mark.parametrize("policy", ["mixup", "samix"])
def test_self_supervised_training_keeps_to_the_format_of_its_network(
    name: str, policy: str
) -> None:
    for kwargs, chosen in ((NARROW, DEFAULT), (WIDE, LAST)):
        network = resnet(num_classes=0, **kwargs).to(memory_format=torch.channels_last)
        own = {"queue_size": 8} if name == "moco" else {}
        method = samix.create_method(name, backbone=network, policy=policy, **own)
        with watched(method.network, *[method.average][: method.average is not None]) as contiguous:
            step(method)
        assert method.network.channels_last is (chosen is LAST)
        assert contiguous
        assert all(contiguous) if chosen is DEFAULT else not any(contiguous)


def test_a_network_of_ones_own_is_judged_too() -> None:
    for width, chosen in ((8, DEFAULT), (16, LAST)):
        method = samix.create_method(
            "supervised", backbone=Own(width), num_classes=4, image_size=16, policy="samix"
        )
        with watched(method) as contiguous:
            step(method)
        assert method.channels_last is (chosen is LAST)
        assert all(contiguous) is (chosen is DEFAULT)


def test_settling_changes_the_order_in_memory_alone_and_only_where_it_is_needed() -> None:
    narrow = resnet(**NARROW).to(memory_format=torch.channels_last)
    before = {name: value.clone() for name, value in narrow.state_dict().items()}
    parameters = list(narrow.parameters())
    assert not settle_format(narrow)
    assert all(parameter.is_contiguous() for parameter in narrow.parameters())
    assert all(one is other for one, other in zip(parameters, narrow.parameters(), strict=True))
    assert all(torch.equal(value, before[name]) for name, value in narrow.state_dict().items())
    wide = resnet(**WIDE).to(memory_format=torch.channels_last)
    assert settle_format(wide)
    assert wide.layer1[0].conv1.weight.is_contiguous(memory_format=torch.channels_last)  # type: ignore[union-attr,index]


def test_images_of_another_device_stay_as_they_are() -> None:
    images = torch.empty(2, 3, 4, 4, device="meta")
    assert in_format(images, True) is images
    assert in_format(last(images), False).is_contiguous(memory_format=torch.channels_last)
    assert in_format(torch.zeros(2, 3, 4, 4), True).is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(
    ("name", "chosen"),
    [
        ("resnet18", LAST),
        ("resnet50", LAST),
        ("tf_efficientnet_lite0", LAST),
        ("mobilenetv2_100", LAST),
        ("convnext_atto", LAST),
        ("vit_tiny_patch16_224", LAST),
        ("swin_tiny_patch4_window7_224", LAST),
        ("densenet121", LAST),
        ("resnext50_32x4d", DEFAULT),  # four channels per group
        ("mnasnet_small", DEFAULT),
        ("efficientnet_b0", DEFAULT),  # squeezed to four
        ("mobilenetv3_small_050", DEFAULT),
        ("gernet_s", DEFAULT),  # a stem of 13
        ("repvgg_a0", DEFAULT),  # a stem with a kernel of one pixel
    ],
)
def test_the_format_of_timm_families(name: str, chosen: torch.memory_format) -> None:
    with torch.device("meta"):
        assert fast_format(timm.create_model(name)) is chosen


@pytest.mark.parametrize("policy", ["samix", "samix-p"])
@pytest.mark.parametrize(("shape", "chosen"), [(WIDE, LAST), (NARROW, DEFAULT)])
def test_a_run_on_the_cpu_has_its_weights_in_the_format_of_its_images(
    shape, chosen, policy
) -> None:
    """Whatever the encoder within a policy needs."""
    config = resolve(
        TrainConfig(
            data="demo", policy=policy, device="cpu", backbone="resnet18", stem="small",
            image_size=32, model_kwargs=shape,
        )
    )  # fmt: skip
    method = create_run_method(config, ("good", "bad"))
    assert method.channels_last is (chosen is LAST)
    networks = [method.encoder, *[method.average][: method.average is not None]]
    modules = [module for network in networks for module in network.modules()]
    convolutions = [module for module in modules if isinstance(module, nn.Conv2d)]
    assert convolutions
    assert all(one.weight.is_contiguous(memory_format=chosen) for one in convolutions)
    method(torch.randn(8, 3, 32, 32), torch.arange(8) % 2).loss.backward()
    wide = [one for one in convolutions if one.weight.grad is not None]
    assert wide
    assert all(one.weight.grad.is_contiguous(memory_format=chosen) for one in wide)


def test_a_method_can_be_saved_as_a_whole() -> None:
    """torch.save takes a protocol that cannot hold a memory format."""
    method = samix.create_method("supervised", backbone="resnet10t", num_classes=4, policy="samix")
    stored = io.BytesIO()
    torch.save(method, stored)
    stored.seek(0)
    again = torch.load(stored, weights_only=False)
    batch = torch.randn(4, 3, 32, 32), torch.arange(4)
    assert torch.equal(again(*batch).loss, method(*batch).loss)
