from __future__ import annotations

from typing import Any

import pytest
import timm
import torch
from torch import Tensor, nn

from samix import create_method, small_stem
from samix.networks import create_backbone, features_and_logits, find_tap, tap_features

TINY: dict[str, dict[str, Any]] = {
    "resnet18": {"channels": (8, 8, 16, 16)},
    "convnext_atto": {"depths": (1, 1, 1, 1), "dims": (8, 8, 16, 16)},
    "vit_tiny_patch16_224": {"embed_dim": 24, "depth": 4, "num_heads": 2},
    "swin_tiny_patch4_window7_224": {"embed_dim": 12, "depths": (1, 1, 2, 1)},
    "mobilenetv3_small_100": {},
    "deit_tiny_patch16_224": {"embed_dim": 24, "depth": 4, "num_heads": 2},
}


@pytest.mark.parametrize("stem", [None, "small"])
@pytest.mark.parametrize("name", TINY)
def test_any_backbone_trains_with_samix_and_comes_back_as_a_timm_model(
    name: str, stem: Any
) -> None:
    size = 32 if stem else 64
    method = create_method(
        "supervised",
        backbone=name,
        num_classes=3,
        policy="samix",
        stem=stem,
        image_size=size,
        model_kwargs=TINY[name],
    )
    optimizer = torch.optim.SGD(method.parameter_groups(lr=0.01), momentum=0.9)
    images, target = torch.randn(4, 3, size, size), torch.tensor([0, 1, 2, 0])
    before = {key: value.clone() for key, value in method.encoder.state_dict().items()}
    for _ in range(2):
        step = method(images, target)
        step.loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        method.update_momentum()
    assert torch.isfinite(step.loss)
    assert step.logits is not None
    assert step.logits.shape == (4, 3)
    assert any(not torch.equal(v, before[k]) for k, v in method.encoder.state_dict().items())

    plain = timm.create_model(name, num_classes=3, **TINY[name])
    if stem:
        small_stem(plain, image_size=size)
    elif hasattr(plain, "set_input_size"):
        plain.set_input_size(img_size=(size, size))
    exported = method.export()
    assert not any("samix" in type(module).__module__ for module in exported.modules())
    plain.load_state_dict(exported.state_dict())
    assert torch.allclose(plain.eval()(images), exported(images), atol=1e-5)


@pytest.mark.parametrize(
    ("name", "size", "stem", "index", "shape"),
    [
        ("resnet18", 32, "small", 3, (256, 8, 8)),
        ("resnet18", 224, None, 3, (256, 14, 14)),
        ("convnext_atto", 64, None, 2, (160, 4, 4)),
        ("vit_tiny_patch16_224", 32, "small", 5, (192, 8, 8)),
        ("swin_tiny_patch4_window7_224", 32, "small", 2, (384, 4, 4)),
        ("mobilenetv3_small_100", 64, None, 3, (48, 4, 4)),
    ],
)
def test_the_tap_is_found(
    name: str, size: int, stem: Any, index: int, shape: tuple[int, ...]
) -> None:
    model = create_backbone(name, num_classes=2, stem=stem, image_size=size).eval()
    tap = find_tap(model)
    assert (tap.index, tap.channels) == (index, shape[0])
    with torch.no_grad():
        assert tap_features(model, torch.zeros(1, 3, size, size), tap).shape[1:] == shape


def test_the_tap_can_be_given_and_stops_there() -> None:
    model = create_backbone("resnet18", num_classes=2).eval()
    assert find_tap(model, -1).index == 4
    ran: list[str] = []
    for name in ("layer2", "layer3"):
        model.get_submodule(name).register_forward_hook(
            lambda *_, name=name: ran.append(name)  # type: ignore[misc]
        )
    assert tap_features(model, torch.zeros(1, 3, 32, 32), find_tap(model, 2)).shape[1] == 128
    assert ran == ["layer2"]
    with pytest.raises(ValueError, match="tap: expected an index into the 5 stages"):
        find_tap(model, 5)


class Own(nn.Module):
    """A network of a user's own: a feature map and an embedding."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 12, 3, 4, 1)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        features = self.convolution(images).relu()
        return features, features.mean((2, 3))


def test_a_module_of_ones_own() -> None:
    own = Own()
    method = create_method("supervised", backbone=own, num_classes=4, policy="samix")
    step = method(torch.randn(3, 3, 16, 16), torch.tensor([0, 1, 3]))
    step.loss.backward()
    assert own.convolution.weight.grad is not None
    assert method.export()(torch.randn(2, 3, 16, 16)).shape == (2, 4)
    with pytest.raises(ValueError, match="tap: expected None for a module"):
        find_tap(method.encoder, 1)


def test_a_timm_model_is_used_as_it_is() -> None:
    model = timm.create_model("resnet18", num_classes=5)
    method = create_method("supervised", backbone=model, policy="cutmix")
    assert method.encoder is model
    with pytest.raises(ValueError, match="num_classes: expected 5 as the model has, got 7"):
        create_method("supervised", backbone=model, num_classes=7, policy="cutmix")


@pytest.mark.parametrize(
    ("backbone", "options", "message"),
    [
        ("resnet19", {}, "expected the name of a timm model, got 'resnet19'; the nearest is"),
        ("resnet18", {"stem": "tiny"}, "stem: expected 'small' or None, got 'tiny'"),
        (nn.Identity(), {}, "backbone: expected a module that returns a .* feature map"),
        (Own(), {"pretrained": True}, "pretrained, model_kwargs: expected only with the name"),
    ],
)
def test_wrong_backbones(backbone: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises((ValueError, RuntimeError), match=message):
        create_backbone(backbone, num_classes=2, **options)


def test_small_stem_says_what_it_does_not_know() -> None:
    with pytest.raises(ValueError, match="stem: 'small' is known for"):
        small_stem(nn.Sequential(nn.Linear(2, 2)))


def test_logits_come_from_the_last_block_wherever_features_are_read():
    """Hiera of timm would stop at the tap and call what it has there the final features."""
    small = {"embed_dim": 16, "num_heads": 1, "stages": (1, 1, 1, 1), "img_size": 64}
    model = timm.create_model("hiera_tiny_224", num_classes=3, **small).eval()
    images = torch.randn(2, 3, 64, 64)
    for index in range(3):
        features, logits = features_and_logits(model, images, find_tap(model, index))
        assert features.ndim == 4
        torch.testing.assert_close(logits, model(images))
