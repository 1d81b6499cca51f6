from __future__ import annotations

from typing import Any

import pytest
import timm
import torch
from torch import nn

from samix.networks import class_shares, classifier_weight, create_backbone, final_map

TINY: list[tuple[str, dict[str, Any]]] = [
    ("resnet18", {"layers": (1, 1, 1, 1), "channels": (8, 8, 8, 8)}),
    ("vit_tiny_patch16_224", {"embed_dim": 12, "depth": 2, "num_heads": 2}),
    ("swin_tiny_patch4_window7_224", {"embed_dim": 12, "depths": (1, 1), "num_heads": (2, 2)}),
    ("convnext_tiny", {"depths": (1, 1, 1, 1), "dims": (4, 8, 8, 16)}),
]


def make(name: str, options: dict[str, Any]) -> nn.Module:
    return create_backbone(
        name, num_classes=3, stem="small", image_size=32, model_kwargs=options
    ).eval()


@pytest.mark.parametrize(("name", "options"), TINY, ids=[name for name, _ in TINY])
def test_where_any_network_sees_a_class(name: str, options: dict[str, Any]) -> None:
    model, images = make(name, options), torch.randn(2, 3, 32, 32)
    features = final_map(model, images)
    assert features.shape[1] == classifier_weight(model).shape[1]
    shares = class_shares(model, images, torch.tensor([0, 2]))
    assert shares.shape == (2, 1, *features.shape[2:])
    assert shares.min() >= 0
    assert torch.allclose(shares.sum((1, 2, 3)), torch.ones(2), atol=1e-5)


def test_in_a_resnet_the_activation_is_what_the_logit_is_the_mean_of() -> None:
    model, images = make(*TINY[0]), torch.randn(2, 3, 32, 32)
    head = model.get_classifier()  # type: ignore[operator]
    activation = torch.einsum("bchw,kc->bkhw", final_map(model, images), head.weight)
    assert torch.allclose(activation.mean((2, 3)) + head.bias, model(images), atol=1e-5)
    above = activation[torch.arange(2), torch.tensor([1, 0])]
    above = above - above.amin((1, 2), keepdim=True)
    wanted = above / above.sum((1, 2), keepdim=True)
    shares = class_shares(model, images, torch.tensor([1, 0]))
    assert torch.allclose(shares[:, 0], wanted, atol=1e-5)


def test_a_module_of_ones_own() -> None:
    class Body(nn.Module):
        def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return images, images.mean((2, 3))

    model = create_backbone(Body(), num_classes=2)
    images = torch.randn(2, 3, 4, 4)
    assert torch.equal(final_map(model, images), images)
    assert class_shares(model, images, torch.tensor([0, 1])).shape == (2, 1, 4, 4)


def test_a_classifier_that_does_not_fit_the_map_is_refused() -> None:
    model = timm.create_model("mobilenetv3_small_050", num_classes=3)
    with pytest.raises(ValueError, match=r"backbone: expected a classifier on the .* channels"):
        class_shares(model.eval(), torch.randn(1, 3, 64, 64), torch.tensor([0]))
    with pytest.raises(ValueError, match="backbone: expected a linear classifier, got Identity"):
        classifier_weight(timm.create_model("resnet10t", num_classes=0))
