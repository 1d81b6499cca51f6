from __future__ import annotations

import torch
import torch.nn.functional as F

from samix import Evidence, MixPlan, blend, create_policy, mix_targets
from samix.mixing import Grid, box_in_box, box_mask


def shares(count: int, size: int = 4) -> torch.Tensor:
    values = torch.rand(count, 1, size, size).pow(4)
    return values / values.sum((2, 3), keepdim=True)


def plan_of(activation: torch.Tensor, seed: int = 0, **options: object) -> MixPlan:
    return create_policy("snapmix", **{"alpha": 1.0, **options}).plan(
        torch.rand(len(activation), 3, 16, 16),
        evidence=Evidence(activation=activation),
        generator=torch.Generator().manual_seed(seed),
    )


def box_of(inside: torch.Tensor) -> tuple[slice, slice]:
    rows, columns = inside.nonzero(as_tuple=True)
    return (
        slice(int(rows.min()), int(rows.max()) + 1),
        slice(int(columns.min()), int(columns.max()) + 1),
    )


def test_a_box_is_shown_resized_in_another_box() -> None:
    images = torch.rand(2, 3, 16, 16)
    place, source = torch.tensor([[2, 3, 10, 7]] * 2), torch.tensor([[4, 0, 8, 16]] * 2)
    mask = box_mask(place, (16, 16))
    lam = mask.mean((1, 2, 3))
    grid = box_in_box(place, source, (16, 16))
    mixed = blend(images, MixPlan(lam, torch.tensor([1, 0]), mask, lam, Grid(grid)))
    for i in range(2):
        taken = images[[1 - i], :, 4:8, 0:16]
        small = F.interpolate(taken, (8, 4), mode="bilinear")[0]
        assert torch.allclose(mixed[i, :, 2:10, 3:7], small, atol=1e-5)
        assert torch.equal(mixed[i, :, 10:], images[i, :, 10:])


def test_labels_are_the_shares_of_class_activation_in_slow_loops() -> None:
    """Image j has the value of each pixel's place, so that the box that is shown can be read."""
    activation = shares(6)
    wide = F.interpolate(activation, (16, 16), mode="bilinear")
    wide = wide / wide.sum((2, 3), keepdim=True)
    plan = plan_of(activation, 3)
    assert plan.partner_weight is not None
    assert isinstance(plan.source, Grid)
    for i in range(6):
        inside = plan.mask[i, 0] == 0
        if not inside.any():
            assert plan.weight[i] == 1
            assert plan.partner_weight[i] == 0
            continue
        rows, columns = box_of(inside)
        own = 1 - wide[i, 0, rows, columns].sum()
        assert torch.allclose(plan.weight[i], own, atol=1e-5)
        # what is read of the partner reaches from the first to the last pixel of its box
        seen = (plan.source.grid[i, rows, columns] + 1) * 8
        reach = [(seen[..., axis].min(), seen[..., axis].max()) for axis in (1, 0)]
        partner = wide[int(plan.index[i]), 0]
        low, high = torch.tensor(0.0), torch.tensor(1.0)
        inner = [slice(int(a), int(b.ceil())) for a, b in reach]
        low = partner[inner[0], inner[1]].sum()
        assert low - 1e-5 <= plan.partner_weight[i] <= high


def test_a_pair_of_boxes_of_one_size_and_place_is_cutmix_with_other_labels() -> None:
    even = torch.full((4, 1, 4, 4), 1 / 16)
    plan = plan_of(even, 1)
    assert torch.allclose(plan.weight, plan.area, atol=1e-5)
    soft = mix_targets(torch.arange(4), plan, 4)
    assert not torch.allclose(soft.sum(1), torch.ones(4), atol=0.01)


def test_both_shares_can_be_divided_by_their_sum() -> None:
    activation = shares(6)
    published, divided = plan_of(activation, 5), plan_of(activation, 5, normalise=True)
    assert published.partner_weight is not None
    assert divided.partner_weight is None
    wanted = published.weight / (published.weight + published.partner_weight)
    assert torch.allclose(divided.weight, wanted, atol=1e-6)
    assert torch.equal(divided.mask, published.mask)
    soft = mix_targets(torch.arange(6), divided, 6)
    assert torch.allclose(soft.sum(1), torch.ones(6), atol=1e-6)


def test_a_plan_can_be_relabelled() -> None:
    plan = plan_of(shares(4))
    changed = plan.relabel(plan.area)
    assert changed.partner_weight is None
    assert torch.allclose(changed.partner_share, 1 - plan.area)
