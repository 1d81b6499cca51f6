from __future__ import annotations

from typing import Any

import pytest
import torch

from samix import blend, create_method, create_policy, mix_collate
from samix.policies import FeaturePolicy


def policy_of(name: str, **options: object) -> FeaturePolicy:
    policy = create_policy(name, **options)
    assert isinstance(policy, FeaturePolicy)
    return policy


def test_every_stage_is_taken_as_often() -> None:
    policy = policy_of("manifold-mixup", stages=(None, 0, 3))
    generator = torch.Generator().manual_seed(0)
    drawn = [policy.mix_inside(generator) for _ in range(300)]
    stages = [None if inside is None else inside.stage for inside in drawn]
    assert set(stages) == {None, 0, 3}
    assert min(stages.count(stage) for stage in set(stages)) > 70


@pytest.mark.parametrize("shape", [(4, 5, 3, 3), (4, 7, 5), (4, 6)])
def test_features_of_any_shape_are_mixed_as_mixup_mixes_images(shape: tuple[int, ...]) -> None:
    plan = policy_of("manifold-mixup").plan(torch.rand(4, 3, 8, 8))
    features = torch.rand(shape, requires_grad=True)
    mixed = policy_of("manifold-mixup").mix(features, plan)
    for i in range(4):
        partner = features[int(plan.index[i])]
        assert torch.allclose(mixed[i], plan.lam[i] * features[i] + (1 - plan.lam[i]) * partner)


def test_aligned_maps_are_mixed_like_with_like() -> None:
    """Two maps of the same vectors in another order: aligned, they are the same map."""
    policy = policy_of("alignmix", stages=(-1,))
    first = 3 * torch.randn(1, 6, 3, 3)
    second = first.flatten(2)[:, :, torch.randperm(9)].view_as(first)
    features = torch.cat([first, second])
    plan = policy.plan(torch.rand(2, 3, 8, 8), generator=torch.Generator().manual_seed(0))
    mixed = policy.mix(features, plan)
    # the pair 0, 1 keeps the layout of the first image, the pair 1, 0 that of its partner: the same
    assert torch.allclose(mixed[0], features[0], atol=1e-3)
    assert torch.allclose(mixed[1], features[0], atol=1e-3)
    plain = policy_of("manifold-mixup").mix(features, plan)
    assert (plain[0] - features[0]).abs().max() > 0.5


def test_aligned_maps_keep_their_precision_under_autocast() -> None:
    policy = policy_of("alignmix", stages=(-1,))
    features = torch.randn(4, 6, 3, 3)
    plan = policy.plan(torch.rand(4, 3, 8, 8))
    with torch.autocast("cpu", torch.bfloat16):
        mixed = policy.mix(features, plan)
    assert mixed.dtype == torch.float32
    assert torch.allclose(mixed, policy.mix(features, plan), atol=0.05)


def test_images_are_mixed_without_alignment() -> None:
    made = method(policy_of("alignmix", stages=(None,)), **NETWORKS[0][1]).eval()
    assert made.policy.mix_inside(torch.Generator()) is None
    images, target = torch.randn(4, 3, 32, 32), torch.arange(4)
    step = made(images, target)
    assert torch.equal(step.logits, made.encoder(blend(images, step.plan)))


def method(policy: Any, backbone: str = "resnet18", **model: Any) -> Any:
    torch.manual_seed(0)
    return create_method(
        "supervised", backbone=backbone, num_classes=4, stem="small", image_size=32,
        policy=policy, model_kwargs=model,
    )  # fmt: skip


NETWORKS: list[tuple[str, dict[str, Any]]] = [
    ("resnet18", {"layers": (1, 1, 1, 1), "channels": (8, 8, 8, 8)}),
    ("vit_tiny_patch16_224", {"embed_dim": 12, "depth": 3, "num_heads": 2}),
    ("swin_tiny_patch4_window7_224", {"embed_dim": 12, "depths": (1, 1), "num_heads": (2, 2)}),
    ("convnext_tiny", {"depths": (1, 1, 1, 1), "dims": (4, 8, 8, 16)}),
    ("mobilenetv3_small_050", {}),
]


@pytest.mark.parametrize(("name", "options"), NETWORKS, ids=[name for name, _ in NETWORKS])
def test_the_features_of_a_stage_are_mixed_in_the_network(name: str, options: Any) -> None:
    """At the last stage of a network the rest is done by hand; before, gradients tell."""
    made = method(policy_of("manifold-mixup", stages=(1,)), name, **options).eval()
    images, target = torch.randn(4, 3, 32, 32, requires_grad=True), torch.arange(4)
    step = made(images, target)
    step.loss.backward()
    clean = made.encoder(images)
    assert not torch.allclose(step.logits, clean, atol=1e-4)
    # the hook is gone
    assert torch.equal(made.encoder(images), clean)


def test_after_the_last_stage_a_resnet_is_pooling_and_a_linear_layer() -> None:
    for name in ("manifold-mixup", "alignmix"):
        policy = policy_of(name, stages=(-1,))
        made = method(policy, **NETWORKS[0][1]).eval()
        images, target = torch.randn(4, 3, 32, 32), torch.arange(4)
        step = made(images, target)
        features = policy.mix(made.encoder.forward_features(images), step.plan)
        assert torch.allclose(made.encoder.forward_head(features), step.logits, atol=1e-5)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="stages: expected indices of the 5 stages of ResNet"):
        method(policy_of("manifold-mixup", stages=(7,)), **NETWORKS[0][1])
    with pytest.raises(ValueError, match="stages: expected at least one index"):
        create_policy("manifold-mixup", stages=())
    with pytest.raises(ValueError, match="stages: expected at least one index"):
        create_policy("manifold-mixup", stages=("layer1",))
    with pytest.raises(ValueError, match="policy: 'manifold-mixup' mixes inside the network"):
        mix_collate("manifold-mixup", 4)
    with pytest.raises(ValueError, match="eps: expected a number above 0, got 0"):
        create_policy("alignmix", eps=0)
    with pytest.raises(ValueError, match="guard: expected None with policy 'alignmix'"):
        create_method(
            "supervised", backbone="resnet18", num_classes=4, policy="alignmix", guard=True
        )
    made = method(policy_of("alignmix", stages=(-1,)), *NETWORKS[1][:1], **NETWORKS[1][1])
    with pytest.raises(ValueError, match="policy: 'alignmix' expected feature maps"):
        made(torch.rand(2, 3, 32, 32), torch.tensor([0, 1]))


def test_a_network_of_ones_own_has_no_known_stages() -> None:
    class Body(torch.nn.Module):
        def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return images, images.mean((2, 3))

    with pytest.raises(ValueError, match="backbone: expected a timm model, whose stages are known"):
        create_method("supervised", backbone=Body(), num_classes=3, policy="manifold-mixup")
