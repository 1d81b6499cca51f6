"""Where a mix reads its images: what every source must do."""

from __future__ import annotations

import pytest
import torch

from samix import MixPlan, blend
from samix.mixing import (
    IN_PLACE,
    CellMoves,
    EarlierBatch,
    Grid,
    Mosaic,
    Source,
    box_in_box,
    choose_source,
    constant_mask,
)

SIZE = (8, 8)
INDEX = torch.tensor([1, 2, 0])


def sources() -> dict[str, Source]:
    box = torch.tensor([[0, 0, 4, 4]] * 3)
    grid = Grid(box_in_box(box, torch.tensor([[0, 0, 8, 8]] * 3), SIZE))
    return {
        "in place": IN_PLACE,
        "grid": grid,
        "moves": CellMoves(torch.stack([torch.randperm(4) for _ in range(6)]).view(3, 2, 2, 2)),
        "mosaic": Mosaic(torch.randint(3, (3, 2, 2))),
        "earlier": EarlierBatch(torch.rand(3, 3, *SIZE), torch.eye(3), grid),
    }


def plan_with(source: Source) -> MixPlan:
    lam = torch.full((3,), 0.25)
    return MixPlan(lam, INDEX, constant_mask(lam, SIZE), lam, source)


@pytest.mark.parametrize("name", sources())
def test_still_reads_in_place_and_a_choice_takes_whole_samples(name: str) -> None:
    source, images = sources()[name], torch.rand(3, 3, *SIZE)
    still, chosen = source.still(3), torch.tensor([True, False, True])
    others = source.batch(images)
    if name != "mosaic":
        assert torch.allclose(still.partner(others, INDEX), others[INDEX], atol=1e-6)
    else:
        assert torch.equal(still.partner(images, INDEX), images)
    assert torch.equal(still.original(images), images)
    mixed = blend(images, plan_with(choose_source(source, still, chosen)))
    moved, kept = blend(images, plan_with(source)), blend(images, plan_with(still))
    assert torch.allclose(mixed[chosen], kept[chosen])
    assert torch.allclose(mixed[~chosen], moved[~chosen])


@pytest.mark.parametrize("name", sources())
def test_a_source_moves_to_a_device_with_its_plan(name: str) -> None:
    plan = plan_with(sources()[name]).to("meta")
    assert type(plan.source) is type(sources()[name])
    for value in vars(plan.source).values():
        assert not isinstance(value, torch.Tensor) or value.device.type == "meta"


def test_in_place_is_chosen_as_the_other_kind() -> None:
    grid, chosen = sources()["grid"], torch.tensor([True, False, False])
    assert choose_source(IN_PLACE, IN_PLACE, chosen) is IN_PLACE
    assert isinstance(choose_source(IN_PLACE, grid, chosen), Grid)
    with pytest.raises(ValueError, match="in one way, got CellMoves and Grid"):
        choose_source(grid, sources()["moves"], chosen)


def test_first_samples_become_one_batch() -> None:
    fine = CellMoves(torch.randperm(9).view(1, 1, 3, 3).expand(1, 2, 3, 3))
    coarse = CellMoves(torch.randperm(4).view(1, 1, 2, 2).expand(1, 2, 2, 2))
    joined, images = CellMoves.first_of([fine, coarse]), torch.rand(2, 1, 12, 12)
    assert joined.moves.shape == (2, 2, 6, 6)
    assert torch.equal(joined.original(images)[:1], fine.original(images[:1]))
    assert torch.equal(joined.original(images)[1:], coarse.original(images[1:]))
