"""Every policy trains a classifier: what it needs to know, the method finds out."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from samix import POLICIES, SupervisedMethod, create_method

VIT: dict[str, Any] = {
    "backbone": "vit_tiny_patch16_224",
    "num_classes": 4,
    "stem": "small",
    "image_size": 32,
    "model_kwargs": {"embed_dim": 12, "depth": 3, "num_heads": 2},
}
TOKENS = ("transmix", "tokenmix", "smmix")
SMALL: dict[str, Any] = {
    "backbone": "resnet18",
    "num_classes": 4,
    "stem": "small",
    "model_kwargs": {"layers": (1, 1, 1, 1), "channels": (8, 8, 8, 8)},
}


def make(policy: Any, **options: Any) -> SupervisedMethod:
    torch.manual_seed(0)
    network = VIT if policy in TOKENS else SMALL
    return create_method("supervised", policy=policy, **{**network, **options})


def batch(size: int = 6) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(size, 3, 32, 32, generator=generator)
    return images, torch.arange(size) % 4


@pytest.mark.parametrize("policy", POLICIES)
def test_a_step_of_every_policy(policy: str) -> None:
    method = make(policy)
    images, target = batch()
    before = images.clone()
    step = method(images, target)
    step.loss.backward()
    method.update_momentum()
    assert torch.isfinite(step.loss)
    assert torch.equal(images, before)
    assert step.plan is not None
    assert not step.plan.mask.requires_grad
    assert step.logits is not None
    assert step.logits.shape == (6, 4)
    moved = {
        name.partition(".")[0]
        for name, parameter in method.named_parameters()
        if parameter.grad is not None and parameter.grad.abs().max() > 0
    }
    assert moved == ({"encoder", "policy"} if method.policy.traits.learned else {"encoder"})
    assert (method.average is not None) == bool(method.policy.traits.needs)


@pytest.mark.parametrize("policy", TOKENS)
def test_a_token_policy_is_refused_on_a_convolutional_network(policy: str) -> None:
    with pytest.raises(ValueError, match=r"backbone: expected a vision transformer.*, got ResNet"):
        make(policy, **SMALL)


@pytest.mark.parametrize("policy", [p for p in POLICIES if p not in ("alignmix", "samix-p")])
def test_a_step_of_every_policy_on_a_transformer(policy: str) -> None:
    method = make(policy, **VIT)
    step = method(*batch())
    step.loss.backward()
    assert torch.isfinite(step.loss)


@pytest.mark.parametrize("policy", POLICIES)
def test_wrong_batches_are_refused_with_a_sentence(policy: str) -> None:
    method = make(policy)
    images, target = batch()
    with pytest.raises(ValueError, match=r"images: expected a batch .*, got \(3, 32, 32\)"):
        method(images[0], target[:1])
    with pytest.raises(TypeError, match=r"images: expected normalised images of floating point"):
        method((images * 50).to(torch.uint8), target)
    for wrong in (7, -1):
        outside = target.clone()
        outside[2] = wrong
        with pytest.raises(ValueError, match=rf"target: expected .* \[0, 4\), got {wrong};"):
            method(images, outside)


@pytest.mark.parametrize("policy", POLICIES)
def test_pairs_of_a_class_with_every_policy(policy: str) -> None:
    if make(policy).policy.traits.sources != "pair":
        with pytest.raises(ValueError, match="pairing: expected the default with policy"):
            make(policy, pairing="same")
        return
    images, target = batch(8)
    plan = make(policy, pairing="same")(images, target).plan
    assert plan is not None
    assert torch.equal(target[plan.index], target)
