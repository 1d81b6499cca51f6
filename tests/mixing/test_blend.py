from __future__ import annotations

import pytest
import torch
from torch import Tensor

from samix.mixing import IN_PLACE, Grid, MixPlan, blend, constant_mask, keep_clean, mix_targets


def make_plan(batch: int = 4, size: int = 6, dtype: torch.dtype = torch.float32) -> MixPlan:
    lam = torch.linspace(0.1, 0.9, batch, dtype=dtype)
    mask = torch.rand(batch, 1, size, size, dtype=dtype)
    return MixPlan(lam, torch.arange(batch).roll(1), mask, lam)


def test_blend_in_slow_loops() -> None:
    plan, images = make_plan(), torch.rand(4, 3, 6, 6)
    mixed = blend(images, plan)
    for i in range(4):
        for y in range(6):
            for x in range(6):
                share = plan.mask[i, 0, y, x]
                expected = share * images[i, :, y, x] + (1 - share) * images[plan.index[i], :, y, x]
                assert torch.allclose(mixed[i, :, y, x], expected, atol=1e-6)


def test_a_constant_mask_is_mixup() -> None:
    images, lam, index = torch.rand(5, 3, 4, 4), torch.rand(5), torch.arange(5).roll(2)
    mixed = blend(images, MixPlan(lam, index, constant_mask(lam, (4, 4)), lam))
    share = lam.view(-1, 1, 1, 1)
    assert torch.allclose(mixed, share * images + (1 - share) * images[index], atol=1e-6)


def test_blend_gradcheck() -> None:
    images = torch.rand(3, 2, 3, 3, dtype=torch.float64, requires_grad=True)
    mask = torch.rand(3, 1, 3, 3, dtype=torch.float64, requires_grad=True)
    lam, index = torch.rand(3, dtype=torch.float64), torch.tensor([1, 2, 0])
    assert torch.autograd.gradcheck(
        lambda x, s: blend(x, MixPlan(lam, index, s, lam)), (images, mask)
    )


def test_a_grid_moves_the_partner_and_can_be_replayed_on_a_segmentation_map() -> None:
    images = torch.arange(2 * 16.0).view(2, 1, 4, 4)
    rows, columns = torch.meshgrid(
        torch.linspace(0.75, -0.75, 4), torch.linspace(-0.75, 0.75, 4), indexing="ij"
    )
    upside_down = torch.stack([columns, rows], dim=-1).expand(2, -1, -1, -1)
    lam = torch.zeros(2)
    plan = MixPlan(lam, torch.tensor([1, 0]), constant_mask(lam, (4, 4)), lam, Grid(upside_down))
    assert torch.allclose(blend(images, plan), images[[1, 0]].flip(2), atol=1e-5)
    assert torch.equal(blend(images, plan, resample="nearest"), images[[1, 0]].flip(2))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_low_precision_images_keep_their_dtype_and_targets_stay_exact(dtype: torch.dtype) -> None:
    plan = make_plan()
    assert blend(torch.rand(4, 3, 6, 6, dtype=dtype), plan).dtype == dtype
    soft = mix_targets(torch.tensor([0, 1, 300, 511]), plan, 512)
    assert soft.dtype == torch.float32
    assert soft[0, 511].item() == pytest.approx(0.9)


@pytest.mark.parametrize(
    ("images", "error", "message"),
    [
        (torch.zeros(4, 3, 6, 6, dtype=torch.int32), TypeError, "images: expected floating point"),
        (torch.zeros(3, 3, 6, 6), ValueError, r"images: expected \(4,C,H,W\)"),
        (torch.zeros(4, 6, 6), ValueError, r"images: expected \(4,C,H,W\)"),
        (torch.zeros(4, 3, 5, 6), ValueError, r"images: expected \(6, 6\) pixels"),
    ],
)
def test_blend_says_what_is_wrong(images: Tensor, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        blend(images, make_plan())


def test_mix_targets_of_every_form() -> None:
    plan = make_plan(3)
    hard = torch.tensor([0, 2, 1])
    soft = torch.tensor([[0.5, 0.5, 0.0], [0.0, 0.0, 1.0], [0.2, 0.3, 0.5]])
    several = torch.tensor([[1, 1, 0], [0, 1, 0], [0, 0, 0]])
    for target, rows in (
        (hard, torch.eye(3)[hard]),
        (soft, soft),
        (several, several.float()),
    ):
        mixed = mix_targets(target, plan, 3)
        for i in range(3):
            expected = plan.weight[i] * rows[i] + (1 - plan.weight[i]) * rows[plan.index[i]]
            assert torch.allclose(mixed[i], expected)


def test_label_smoothing_keeps_the_rows_at_one() -> None:
    mixed = mix_targets(torch.tensor([0, 1, 2, 3]), make_plan(), 4, label_smoothing=0.2)
    assert torch.allclose(mixed.sum(1), torch.ones(4))
    assert mixed.min().item() == pytest.approx(0.05)


@pytest.mark.parametrize(
    ("target", "classes", "error", "message"),
    [
        (torch.tensor([0, 1, 2, 3]), None, ValueError, "num_classes: expected a number"),
        (torch.tensor([0, 1, 2, 9]), 4, ValueError, r"target: expected classes in \[0, 4\), got 9"),
        (torch.tensor([0, -1, 2, 3]), 4, ValueError, r"expected classes in \[0, 4\), got -1"),
        (torch.rand(4), 4, TypeError, "target: expected integers"),
        (torch.rand(4, 3), 4, ValueError, "num_classes: expected 3"),
        (torch.tensor([0, 1]), 4, ValueError, "target: expected 4 samples"),
        (torch.zeros(4, 2, 2), 4, ValueError, r"target: expected \(B,\) or \(B,K\)"),
    ],
)
def test_mix_targets_says_what_is_wrong(
    target: Tensor, classes: int | None, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        mix_targets(target, make_plan(), classes)


def test_label_smoothing_has_a_range() -> None:
    with pytest.raises(ValueError, match="label_smoothing"):
        mix_targets(torch.tensor([0, 1, 2, 3]), make_plan(), 4, label_smoothing=1.0)


def test_keep_clean_leaves_samples_unmixed_and_the_plan_untouched() -> None:
    plan, images = make_plan(), torch.rand(4, 3, 6, 6)
    clean = torch.tensor([True, False, True, False])
    changed = keep_clean(plan, clean)
    mixed = blend(images, changed)
    assert torch.equal(mixed[clean], images[clean])
    assert torch.equal(mixed[~clean], blend(images, plan)[~clean])
    assert torch.equal(changed.weight[clean], torch.ones(2))
    assert plan.lam[0].item() == pytest.approx(0.1)


def test_a_plan_can_be_detached_and_moved() -> None:
    plan = make_plan()
    plan.mask.requires_grad_(True)
    assert not plan.detach().mask.requires_grad
    moved = plan.to("meta")
    assert {moved.lam.device.type, moved.mask.device.type, moved.index.device.type} == {"meta"}
    assert moved.source is IN_PLACE


def test_a_plan_checks_its_parts() -> None:
    lam, mask = torch.rand(2), torch.rand(2, 1, 4, 4)
    with pytest.raises(TypeError, match="index: expected int64"):
        MixPlan(lam, torch.tensor([1.0, 0.0]), mask, lam)
    with pytest.raises(ValueError, match=r"MixPlan.mask: expected 4 dimension"):
        MixPlan(lam, torch.tensor([1, 0]), mask[:1], lam)


def test_partners_of_another_dtype_are_refused_at_every_size() -> None:
    for size in (16, 128):
        images = torch.rand(2, 3, size, size)
        lam = torch.tensor([0.5, 0.5])
        plan = MixPlan(lam, torch.tensor([1, 0]), constant_mask(lam, (size, size)), lam)
        with pytest.raises(TypeError, match=r"partner_images: expected torch.float32 as images"):
            blend(images, plan, partner_images=images.bfloat16())
