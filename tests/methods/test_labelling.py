"""What a method wants of every plan: another label, pairs by class, an end of mixing."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from samix import POLICIES, SupervisedMethod, blend, create_method, mix_collate, mix_targets
from samix.mixing import by_attention, by_content, feature_saliency, step_generator
from samix.networks import last_attention, tap_features, watched_attention

RESNET: dict[str, Any] = {
    "backbone": "resnet18",
    "stem": "small",
    "model_kwargs": {"layers": (1, 1, 1, 1), "channels": (8, 8, 8, 8)},
}
VIT: dict[str, Any] = {
    "backbone": "vit_tiny_patch16_224",
    "stem": "small",
    "image_size": 32,
    "model_kwargs": {"embed_dim": 12, "depth": 2, "num_heads": 2},
}


TOKENS = ("transmix", "tokenmix", "smmix")


def make(policy: Any = "cutmix", network: dict[str, Any] = RESNET, **options: Any) -> Any:
    torch.manual_seed(0)
    made = create_method("supervised", policy=policy, num_classes=4, **network, **options)
    assert isinstance(made, SupervisedMethod)
    return made.eval()


def batch(size: int = 6) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(size, 3, 32, 32, generator=generator), torch.arange(size) % 4


def test_the_label_can_be_area_or_lam() -> None:
    for policy in ("cutmix", "fmix", "resizemix"):
        area, lam = (make(policy, label=label)(*batch()).plan for label in ("area", "lam"))
        assert torch.equal(area.weight, area.area)
        assert torch.equal(lam.weight, lam.lam)
        assert torch.equal(area.mask, lam.mask)


def test_the_label_can_be_how_much_is_seen_of_both() -> None:
    made, (images, target) = make(label="saliency", teacher_statistics="averaged"), batch()
    step = made(images, target)
    assert made.average is not None
    features = tap_features(made.average.module, images, made.tap)
    wanted = by_content(step.plan.relabel(step.plan.area), feature_saliency(features))
    assert torch.allclose(step.plan.weight, wanted.weight, atol=1e-5)
    assert not torch.allclose(step.plan.weight, step.plan.area, atol=1e-3)
    loss = F.cross_entropy(step.logits, mix_targets(target, step.plan, 4))
    assert step.loss.item() == pytest.approx(loss.item(), abs=1e-5)


def test_the_label_can_be_the_attention_to_the_mix() -> None:
    made, (images, target) = make(network=VIT, label="attention"), batch()
    step = made(images, target)
    place = last_attention(made.encoder)
    with watched_attention(place) as seen, torch.no_grad():
        logits = made.encoder(blend(images, step.plan))
    wanted = by_attention(step.plan, place.to_map(seen[0]))
    assert torch.allclose(step.plan.weight, wanted.weight, atol=1e-5)
    assert torch.allclose(logits, step.logits, atol=1e-5)
    loss = F.cross_entropy(logits, mix_targets(target, step.plan, 4))
    assert step.loss.item() == pytest.approx(loss.item(), abs=1e-5)
    step.loss.backward()


def test_attention_in_slow_loops() -> None:
    made, (images, target) = make("cutmix", VIT), batch(3)
    plan = made(images, target).plan
    attention = torch.rand(3, 1, 8, 8)
    found = by_attention(plan, attention, share=1.0)
    for i in range(3):
        own = other = 0.0
        for row in range(8):
            for column in range(8):
                patch = plan.mask[i, 0, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4].mean()
                own += (attention[i, 0, row, column] * patch).item()
                other += (attention[i, 0, row, column] * (1 - patch)).item()
        assert found.weight[i].item() == pytest.approx(own / (own + other), abs=1e-5)
    half = by_attention(plan, attention)
    assert torch.allclose(half.weight, (plan.area + found.weight) / 2, atol=1e-6)


def test_a_guards_repair_keeps_its_label() -> None:
    guard = {"visibility": False, "range": 0.001, "repair": ["mixup", "clean"]}
    made, (images, target) = make("cutmix", VIT, label="attention", guard=guard), batch()
    step = made(images, target)
    plan, repaired = step.plan, step.guard.repair > 0
    assert repaired.any()
    assert torch.allclose(plan.weight[repaired], plan.lam[repaired])


@pytest.mark.parametrize("label", ["area", "lam", "saliency", "attention"])
def test_an_unmixed_sample_keeps_its_label(label: str) -> None:
    made = make("cutmix", VIT, label=label, p=0.0)
    step = made(*batch())
    assert torch.allclose(step.plan.weight, torch.ones(6), atol=1e-6)


def test_labels_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="label: expected one of area, lam, saliency, attention"):
        make(label="area2")
    with pytest.raises(ValueError, match="label: expected None with policy 'manifold-mixup'"):
        make("manifold-mixup", label="area")
    with pytest.raises(ValueError, match="backbone: expected a vision transformer of one resol"):
        make(label="attention")
    with pytest.raises(ValueError, match="momentum_average: expected None or True with label"):
        make(label="saliency", momentum_average=False)


def test_the_decoupled_loss_is_added() -> None:
    images, target = batch()
    plain, both = make(), make(decoupled=0.3)
    first, second = plain(images, target), both(images, target)
    apart = second.terms["decoupled"]
    assert apart > 0
    assert second.loss.item() == pytest.approx((first.loss + 0.3 * apart).item(), abs=1e-5)
    with pytest.raises(ValueError, match="decoupled: expected at least 0, got -1"):
        make(decoupled=-1.0)


def test_pairs_by_class() -> None:
    images, target = batch(8)
    for policy in ("cutmix", "samix", "snapmix", "alignmix"):
        same = make(policy, pairing="same")(images, target).plan
        assert torch.equal(target[same.index], target)
        other = make(policy, pairing="different")(images, target).plan
        assert (target[other.index] != target).all()
    # classes 0 and 1 are there twice, 2 and 3 once
    images, target = batch(6)
    plan = make("mixup", pairing="same")(images, target).plan
    alone = torch.tensor([False, False, True, True, False, False])
    assert torch.equal(plan.weight == 1, alone)
    with pytest.raises(ValueError, match=r"target: expected .* partners of pairing 'same'"):
        make(pairing="same").plan(images)
    with pytest.raises(ValueError, match="pairing: expected one of any, same"):
        make(pairing="rare")
    with pytest.raises(ValueError, match="pairing: expected one of any, same"):
        mix_collate("cutmix", 4, pairing="rare")  # type: ignore[arg-type]
    samples = [(image, int(number)) for image, number in zip(images, target, strict=True)]
    _, soft = mix_collate("mixup", 4, pairing="same")(samples)
    assert torch.allclose(soft, F.one_hot(target, 4).float())


@pytest.mark.parametrize("policy", [p for p in POLICIES if p not in ("none", *TOKENS)])
def test_after_the_last_mixed_batch_training_is_plain(policy: str) -> None:
    images, target = batch()
    made, other = make(policy, mix_batches=2), make(policy)
    for step in range(4):
        mine, theirs = made(images, target), other(images, target)
        if step < 2:
            assert torch.equal(mine.loss, theirs.loss)
            assert mine.plan is not None
            continue
        wanted = F.cross_entropy(made.encoder(images), target)
        assert mine.plan is None
        assert mine.loss.item() == pytest.approx(wanted.item(), abs=1e-6)
        assert set(mine.terms) == {"encoder"}
    mine.loss.backward()
    if made.policy.traits.learned:  # a gradient of 0, for distributed training
        gradients = [parameter.grad for parameter in made.policy.parameters()]
        assert all(g is not None and (g == 0).all() for g in gradients)
    with pytest.raises(
        ValueError, match="mix_batches: expected at least 0, or None for all, got -1"
    ):
        make(policy, mix_batches=-1)


def test_a_resumed_run_stops_mixing_where_it_would_have() -> None:
    images, target = batch()
    made = make(mix_batches=2)
    made(images, target)
    resumed = make(mix_batches=2)
    resumed.load_state_dict(copy.deepcopy(made.state_dict()))
    assert resumed(images, target).plan is not None
    assert resumed(images, target).plan is None


def test_a_plan_on_its_own_is_that_of_a_step() -> None:
    made, (images, target) = make(label="saliency", pairing="balanced"), batch()
    plan = made.plan(images, target, generator=step_generator(0, 0))
    step = made(images, target)
    assert torch.equal(step.plan.weight, plan.weight)
    assert torch.equal(step.plan.index, plan.index)
