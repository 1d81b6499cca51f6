from __future__ import annotations

import pytest
import torch

import samix
from samix.mixing import IN_PLACE, Grid, MixPlan
from samix.mixing.saliency import label_noise, visible_share, visible_shares

SIZE = 16


def regions(*boxes: tuple[int, int, int, int] | None) -> torch.Tensor:
    """Return (B,1,16,16) with ones from top, left to bottom, right; None is a good part."""
    made = torch.zeros(len(boxes), 1, SIZE, SIZE)
    for number, box in enumerate(boxes):
        if box is not None:
            top, left, bottom, right = box
            made[number, 0, top:bottom, left:right] = 1.0
    return made


def plan_of(mask: torch.Tensor, grid: torch.Tensor | None = None) -> MixPlan:
    area = mask.mean((1, 2, 3))
    return MixPlan(
        area, torch.arange(len(mask)).roll(1), mask, area, IN_PLACE if grid is None else Grid(grid)
    )


@pytest.mark.parametrize(
    ("box", "share"), [((0, 0, 4, 4), 1.0), ((8, 8, 12, 12), 0.0), ((0, 6, 4, 10), 0.5)]
)
def test_the_share_of_a_box_that_a_half_mask_shows(box, share):
    mask = torch.zeros(1, 1, SIZE, SIZE)
    mask[..., :8] = 1.0
    assert visible_share(regions(box), mask).tolist() == [share]


def test_pixels_are_weighted_by_mask_and_region():
    region, mask = torch.rand(3, 1, 5, 7), torch.rand(3, 1, 5, 7)
    wanted = [
        sum(float(r) * float(m) for r, m in zip(a.flatten(), b.flatten(), strict=True))
        / sum(float(r) for r in a.flatten())
        for a, b in zip(region, mask, strict=True)
    ]
    assert visible_share(region, mask).tolist() == pytest.approx(wanted, abs=1e-6)


def test_an_empty_region_has_no_share_and_shapes_must_agree():
    mask = torch.ones(2, 1, SIZE, SIZE)
    share = visible_share(regions(None, (0, 0, 1, 1)), mask)
    assert share.isnan().tolist() == [True, False]
    with pytest.raises(ValueError, match=r"expected \(2, 1, 16, 16\)"):
        visible_share(torch.ones(2, 1, 8, 8), mask)


def test_mixup_shows_of_both_defects_what_lam_says():
    region = regions((0, 0, 4, 4), (9, 9, 11, 16), None)
    images = torch.rand(3, 3, SIZE, SIZE)
    plan = samix.create_policy("mixup").plan(images, generator=torch.Generator().manual_seed(3))
    shares = visible_shares(region, plan)
    for number, partner in enumerate(plan.index.tolist()):
        lam = float(plan.lam[number])
        wanted = [
            float("nan") if photo == 2 else weight  # the good part
            for photo, weight in ((number, lam), (partner, 1 - lam))
        ]
        assert shares[number].tolist() == pytest.approx(wanted, abs=1e-6, nan_ok=True)


def test_a_box_that_covers_the_defect_of_the_original_and_misses_that_of_the_partner():
    mask = torch.ones(2, 1, SIZE, SIZE)
    mask[0, :, 4:8, 4:8] = 0.0  # the box shows the partner
    shares = visible_shares(regions((5, 5, 7, 7), (0, 0, 2, 2)), plan_of(mask))
    assert shares[0].tolist() == [0.0, 0.0]
    assert shares[1].tolist() == [1.0, 0.0]


@pytest.mark.parametrize("box", [(0, 0, 16, 16), (4, 4, 12, 12), (8, 0, 16, 8)])
def test_a_partner_that_is_shrunk_to_half_its_side_keeps_a_quarter(box):
    """Also where the defect touches the border, which the grid goes on reading outside the box."""
    position = ((torch.arange(SIZE) + 0.5 - 4) / 8 * 2 - 1).clamp(-1, 1)
    grid = torch.stack(torch.meshgrid(position, position, indexing="xy"), dim=-1)
    mask = torch.ones(2, 1, SIZE, SIZE)
    mask[:, :, 4:12, 4:12] = 0.0
    plan = plan_of(mask, grid.expand(2, -1, -1, -1))
    share = float(visible_shares(regions(None, box), plan)[0, 1])
    assert share == pytest.approx(0.25, abs=0.02)


def test_resizemix_shows_the_whole_partner():
    region = regions((2, 2, 14, 14), (2, 2, 14, 14))
    policy = samix.create_policy("resizemix", scale=(0.5, 0.5))
    for seed in range(5):
        generator = torch.Generator().manual_seed(seed)
        plan = policy.plan(torch.rand(2, 3, SIZE, SIZE), generator=generator)
        assert visible_shares(region, plan)[:, 1].tolist() == pytest.approx([0.25] * 2, abs=0.03)


def test_a_magnified_partner_shows_at_most_all():
    grid = torch.zeros(2, SIZE, SIZE, 2)  # every pixel reads the centre
    plan = plan_of(torch.zeros(2, 1, SIZE, SIZE), grid)
    assert float(visible_shares(regions(None, (7, 7, 9, 9)), plan)[0, 1]) == 1.0


def test_noise_is_much_label_and_little_to_see():
    nan = float("nan")
    visible = torch.tensor([[0.05, 0.95], [0.05, 0.05], [0.11, 0.0], [nan, 0.05], [1.0, nan]])
    weight = torch.tensor([0.2, 0.19, 0.9, 0.5, 1.0])
    shares = torch.stack([weight, 1.0 - weight], dim=1)
    assert label_noise(visible, shares).tolist() == [
        [True, False],
        [False, True],
        [False, False],
        [False, True],
        [False, False],
    ]


def test_of_one_class_either_defect_will_do():
    nan = float("nan")
    visible = torch.tensor([[0.05, 0.5], [0.05, 0.05], [nan, 0.05]])
    weight, same = torch.tensor([0.6, 0.95, 0.95]), torch.tensor([True, True, True])
    shares = torch.stack([weight, 1.0 - weight], dim=1)
    assert label_noise(visible, shares, same).tolist() == [
        [False, False],
        [True, True],
        [False, True],
    ]
    assert label_noise(visible, shares).tolist()[0] == [True, False]
