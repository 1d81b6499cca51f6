"""Blending sample by sample gives what blending the whole batch gives."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

import samix
from samix import MixPlan, blend
from samix.mixing import (
    IN_PLACE,
    Boxed,
    EarlierBatch,
    Grid,
    box_area,
    box_in_box,
    box_mask,
    choose,
    constant_mask,
    keep_clean,
)
from samix.mixing.blend import blend_each

SIZE = (12, 10)
BOX = torch.tensor([[0, 0, 5, 7], [3, 2, 12, 10], [4, 4, 4, 9]])
INDEX = torch.tensor([2, 0, 1])


def at_once(images: Tensor, plan: MixPlan) -> Tensor:
    return torch.lerp(plan.source.partner(images, plan.index), images, plan.mask.to(images.dtype))


def boxes(grid: bool = False) -> MixPlan:
    area = box_area(BOX, SIZE)
    source = torch.tensor([[0, 0, *SIZE]] * 3)
    read = Grid(box_in_box(BOX, source, SIZE)) if grid else IN_PLACE
    return MixPlan.of_boxes(area, INDEX, Boxed(BOX, SIZE), area, source=read)


def plans() -> dict[str, MixPlan]:
    lam = torch.tensor([0.3, 1.0, 0.0])
    field = torch.rand(3, 1, *SIZE)
    earlier = EarlierBatch(torch.rand(4, 3, *SIZE), torch.rand(4, 2))
    return {
        "constant": MixPlan(lam, INDEX, constant_mask(lam, SIZE), lam),
        "any": MixPlan(lam, INDEX, field, lam),
        "box": boxes(),
        "resized": boxes(grid=True),
        "resized everywhere": replace(boxes(grid=True), mask=field),
        "earlier": replace(boxes(), index=INDEX + 1, source=earlier),
        "clean": keep_clean(boxes(), torch.tensor([True, False, False])),
    }


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", plans())
def test_one_by_one_is_as_at_once(name: str, dtype: torch.dtype) -> None:
    plan, images = plans()[name], torch.rand(3, 3, *SIZE).to(dtype)
    others = plan.source.batch(images)
    for memory in (torch.contiguous_format, torch.channels_last):
        laid = images.contiguous(memory_format=memory)
        before = laid.clone()
        found = blend_each(laid, others, plan, resample="bilinear")
        partner = plan.source.partner(others, plan.index)
        wanted = torch.lerp(partner, laid, plan.mask.to(dtype))
        close = 1e-6 if dtype.itemsize >= 4 else 1e-2
        assert found.dtype == dtype
        assert torch.allclose(found, wanted, atol=close)
        assert torch.equal(laid, before)
        assert found.is_contiguous(memory_format=memory)


def test_large_images_go_that_way_and_a_gradient_still_flows() -> None:
    images = torch.rand(2, 3, 128, 128)
    lam = torch.tensor([0.3, 0.6])
    plan = MixPlan(lam, torch.tensor([1, 0]), torch.rand(2, 1, 128, 128), lam)
    wanted = at_once(images, plan)
    assert torch.allclose(blend(images, plan), wanted, atol=1e-6)
    mask = plan.mask.clone().requires_grad_(True)
    mixed = blend(images, replace(plan, mask=mask))
    assert torch.allclose(mixed, wanted, atol=1e-6)
    mixed.sum().backward()
    assert mask.grad is not None
    assert torch.allclose(mask.grad, (images - images[[1, 0]]).sum(1, keepdim=True), atol=1e-5)
    leaf = images.clone().requires_grad_(True)
    blend(leaf, plan).sum().backward()
    assert leaf.grad is not None
    with torch.no_grad():
        assert torch.allclose(blend(leaf, plan), wanted, atol=1e-6)


def test_corners_hold_for_their_own_mask_alone() -> None:
    plan, images = boxes(), torch.rand(3, 3, *SIZE)
    assert plan.boxed is not None
    other = replace(plan, mask=torch.rand(3, 1, *SIZE))
    assert other.boxed is None
    assert torch.allclose(
        blend_each(images, images, other, resample="bilinear"), at_once(images, other), atol=1e-6
    )
    moved = plan.detach().to("cpu")
    assert moved.boxed is not None
    assert torch.equal(moved.boxed.box, BOX)
    clean = keep_clean(plan, torch.tensor([True, False, False]))
    assert clean.boxed is not None
    assert torch.equal(box_mask(clean.boxed.box, SIZE), clean.mask)
    assert choose(plan, other, torch.tensor([True, False, False])).boxed is None
    assert plan.relabel(plan.lam).boxed is not None


def test_boxes_stay_boxes_where_some_become_mixup_of_the_whole_image() -> None:
    plan, share = boxes(grid=True), torch.tensor([0.3, 1.0, 0.6])
    whole = torch.tensor([[0, 0, *SIZE]] * 3)
    even = MixPlan.of_boxes(share, INDEX, Boxed(whole, SIZE, share), share)
    assert torch.equal(even.mask, constant_mask(share, SIZE))
    images = torch.rand(3, 3, *SIZE)
    for taken in ([True, False, True], [False, True, False], [True, True, True]):
        mixed = choose(plan, even, torch.tensor(taken))
        assert mixed.boxed is not None
        for number, new in enumerate(taken):
            one = even if new else plan
            assert torch.equal(mixed.mask[number], one.mask[number])
            assert mixed.weight[number] == one.weight[number]
        wanted = at_once(images, mixed)
        assert torch.allclose(
            blend_each(images, images, mixed, resample="bilinear"), wanted, atol=1e-6
        )
        assert torch.equal(at_once(images, mixed.detach()), wanted)
        back = choose(mixed, plan, torch.tensor(taken))
        assert torch.equal(back.mask, plan.mask)
    assert choose(plan, even, torch.zeros(3, dtype=torch.bool)) is plan


def test_the_area_of_a_box_is_that_of_its_mask() -> None:
    assert torch.allclose(box_area(BOX, SIZE), box_mask(BOX, SIZE).mean((1, 2, 3)))
    upside_down = torch.tensor([[5, 5, 3, 9]])
    assert box_area(upside_down, SIZE).item() == 1.0


def test_an_earlier_batch_of_another_form_is_refused() -> None:
    earlier = EarlierBatch(torch.rand(4, 1, *SIZE), torch.rand(4, 2))
    plan = replace(boxes(), source=earlier)
    with pytest.raises(ValueError, match=r"images: expected \(1, 12, 10\) each, as the batch bef"):
        blend(torch.rand(3, 3, *SIZE), plan)


@pytest.mark.parametrize("size", [SIZE, (96, 80)])
@pytest.mark.parametrize("name", ["mixup", "cutmix", "mixup-cutmix", "resizemix", "fmix", "none"])
def test_whole_numbers_are_mixed_to_the_nearest(name: str, size: tuple[int, int]) -> None:
    images = torch.randint(0, 256, (6, 3, *size), dtype=torch.uint8)
    before = images.clone()
    plan = samix.create_policy(name).plan(images, generator=torch.Generator().manual_seed(1))
    found = blend(images, plan)
    assert found.dtype == torch.uint8
    assert torch.equal(images, before)
    exact = blend(images.double(), plan)
    assert (found.double() - exact).abs().max() <= 0.5 + 1e-3
    assert torch.equal(blend(images.half(), plan).isnan().any(), torch.tensor(False))


def test_a_mask_of_boxes_is_made_when_it_is_asked_for() -> None:
    plan = boxes()
    small = torch.rand(3, 3, *SIZE).bfloat16()
    assert plan.size == SIZE
    blend(small, plan)  # which selects bits
    blend_each(small, small, plan, resample="bilinear")
    assert "mask" not in vars(plan)
    assert plan.mask is plan.mask
    assert torch.equal(plan.mask, box_mask(BOX, SIZE))
    assert replace(plan, index=INDEX.flip(0)).boxed is plan.boxed
    with pytest.raises(AttributeError, match="no attribute 'masks'"):
        _ = plan.masks  # type: ignore[attr-defined]
