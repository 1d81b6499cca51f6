from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from samix import blend, create_policy


def test_cutmix_spends_the_share_that_lam_says_where_the_box_is_not_clipped(
    generator: torch.Generator,
) -> None:
    plan = create_policy("cutmix").plan(torch.rand(4000, 1, 32, 32), generator=generator)
    # clipping at the border only ever keeps more of the original
    assert (plan.area - plan.lam).min() > -0.001 - 2 / 32
    inside = (plan.mask[:, 0, 0].min(1).values == 1) & (plan.mask[:, 0, -1].min(1).values == 1)
    inside &= (plan.mask[:, 0, :, 0].min(1).values == 1) & (
        plan.mask[:, 0, :, -1].min(1).values == 1
    )
    assert inside.sum() > 200
    assert (plan.area - plan.lam)[inside].abs().max() < 0.13


def test_the_switch_takes_both(generator: torch.Generator) -> None:
    images = torch.rand(2000, 1, 8, 8)
    plan = create_policy("mixup-cutmix", switch=0.25).plan(images, generator=generator)
    constant = plan.mask.flatten(1).std(1) == 0
    boxes = ((plan.mask == 0) | (plan.mask == 1)).flatten(1).all(1)
    assert (constant | boxes).all()
    # a box can be empty or whole, hence constant too
    assert (~boxes).float().mean().item() == pytest.approx(0.75, abs=0.04)
    for switch, form in ((0.0, constant), (1.0, boxes)):
        only = create_policy("mixup-cutmix", switch=switch).plan(images, generator=generator)
        values = only.mask.flatten(1)
        found = values.std(1) == 0 if switch == 0.0 else ((values == 0) | (values == 1)).all(1)
        assert found.all(), form


def test_resizemix_shows_the_whole_partner_small(generator: torch.Generator) -> None:
    ramp = torch.linspace(0, 1, 32).view(1, 1, 1, 32).expand(1, 1, 32, 32)
    images = torch.cat([ramp, ramp + 5.0]).contiguous()
    plan = create_policy("resizemix", scale=(0.5, 0.5)).plan(images, generator=generator)
    assert torch.allclose(plan.area, torch.full((2,), 0.75))
    mixed = blend(images, plan)
    for i in range(2):
        box = mixed[i, 0][plan.mask[i, 0] == 0].view(16, 16)
        small = F.interpolate(images[plan.index[[i]]], (16, 16), mode="bilinear")[0, 0]
        assert torch.allclose(box, small, atol=1e-4)


@pytest.mark.parametrize("scale", [(0.0, 0.5), (0.6, 0.5), (0.5, 1.2)])
def test_resizemix_checks_its_scale(scale: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="scale: expected 0 < low <= high <= 1"):
        create_policy("resizemix", scale=scale)


def test_p_0_on_a_hand_made_policy_is_none() -> None:
    images = torch.rand(5, 3, 8, 8)
    assert torch.equal(blend(images, create_policy("none").plan(images)), images)
