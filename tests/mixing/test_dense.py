from __future__ import annotations

import pytest
import torch

import samix
from samix.mixing import at_size


def maps(batch: int = 5, size: tuple[int, int] = (12, 10), classes: int = 4) -> torch.Tensor:
    generator = torch.Generator().manual_seed(2)
    return torch.randint(classes, (batch, *size), generator=generator)


def plan_of(name: str, images: torch.Tensor, **options: object) -> samix.MixPlan:
    policy = samix.create_policy(name, **options)
    return policy.plan(images, generator=torch.Generator().manual_seed(0))


def images_of(target: torch.Tensor, classes: int = 4) -> torch.Tensor:
    """Images whose channels are the classes: they must come out as the maps do."""
    return torch.nn.functional.one_hot(target, classes).permute(0, 3, 1, 2).float()


@pytest.mark.parametrize("name", ["none", "mixup", "cutmix", "resizemix", "fmix", "smoothmix"])
def test_maps_are_mixed_as_the_images_that_they_belong_to(name):
    target = maps()
    plan = plan_of(name, torch.rand(5, 3, 12, 10))
    rows = samix.mix_dense(target, plan, 4)
    assert rows.dtype == torch.float32
    assert torch.allclose(rows, samix.blend(images_of(target), plan))
    assert torch.allclose(rows.sum(1), torch.ones(5, 12, 10), atol=1e-6)
    assert torch.allclose(samix.mix_dense(images_of(target), plan), rows)


def test_a_box_shows_the_classes_of_the_partner():
    target = maps()
    plan = plan_of("cutmix", torch.rand(5, 3, 12, 10))
    rows, inside = samix.mix_dense(target, plan, 4), plan.mask[:, 0] == 0
    assert inside.any()
    assert torch.equal(rows.argmax(1)[inside], target[plan.index][inside])
    assert torch.equal(rows.argmax(1)[~inside], target[~inside])


def test_pixels_to_be_ignored_teach_nothing():
    target = maps()
    target[:, :3] = 255
    plan = plan_of("mixup", torch.rand(5, 3, 12, 10))
    rows = samix.mix_dense(target, plan, 4, ignore=255)
    assert rows[:, :, :3].abs().sum() == 0
    # ignored in one of the two photos: the other keeps its share
    target[0, 5] = 255
    partner = int(plan.index[0])
    rows = samix.mix_dense(target, plan, 4, ignore=255)
    share = 1 - plan.lam[0]
    wanted = share * torch.nn.functional.one_hot(target[partner, 5], 4).T
    assert torch.allclose(rows[0, :, 5], wanted)
    logits = torch.randn(5, 4, 12, 10)
    loss = -(rows * logits.log_softmax(1)).sum(1)
    assert loss[:, :3].abs().sum() == 0


def test_an_ignored_class_may_be_one_of_the_classes():
    target = maps()
    rows = samix.mix_dense(target, plan_of("none", torch.rand(5, 3, 12, 10)), 4, ignore=0)
    assert rows[:, 0].sum() == 0
    assert torch.equal(rows.sum(1), (target != 0).float())


def test_a_plan_for_maps_of_another_size():
    plan = plan_of("cutmix", torch.rand(5, 3, 24, 20))
    with pytest.raises(ValueError, match=r"expected \(24, 20\) pixels.*at_size\(plan, size\)"):
        samix.mix_dense(maps(), plan, 4)
    rows = samix.mix_dense(maps(), at_size(plan, (12, 10)), 4)
    assert torch.allclose(rows.sum(1), torch.ones(5, 12, 10), atol=1e-6)


def test_bad_input():
    plan, target = plan_of("mixup", torch.rand(5, 3, 12, 10)), maps()
    for wrong, error, words in (
        (target[:4], ValueError, r"expected maps \(5,H,W\)"),
        (target[0], ValueError, r"expected maps \(5,H,W\)"),
        (target.float(), TypeError, "expected integers in"),
        (target + 1, ValueError, r"in \[0, 4\), got 4; name the class"),
        (target - 1, ValueError, "got -1"),
    ):
        with pytest.raises(error, match=words):
            samix.mix_dense(wrong, plan, 4)
    with pytest.raises(ValueError, match="expected a number for integer targets"):
        samix.mix_dense(target, plan)
    with pytest.raises(ValueError, match="expected 4 as the target has channels, got 3"):
        samix.mix_dense(images_of(target), plan, 3)


def test_gradient_and_compile():
    plan, target = plan_of("mixup", torch.rand(5, 3, 12, 10)), maps()
    rows = images_of(target).requires_grad_(True)
    samix.mix_dense(rows, plan).sum().backward()
    assert rows.grad is not None
    compiled = torch.compile(
        lambda maps: samix.mix_dense(maps, plan), fullgraph=True, backend="aot_eager"
    )
    assert torch.allclose(compiled(images_of(target)), samix.mix_dense(target, plan, 4))
