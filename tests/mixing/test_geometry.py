from __future__ import annotations

import itertools

import pytest
import torch

from samix import MixPlan, blend
from samix.mixing import (
    IN_PLACE,
    CellMoves,
    cells_in_place,
    choose,
    keep_clean,
    move_cells,
    transport_cells,
)
from samix.mixing.geometry import finer_moves


def test_cells_are_moved_as_they_are() -> None:
    images = torch.rand(2, 3, 8, 12)
    source = torch.stack([torch.randperm(12).view(4, 3) for _ in range(2)])
    moved = move_cells(images, source)
    for n, i, j in itertools.product(range(2), range(4), range(3)):
        row, column = divmod(int(source[n, i, j]), 3)
        wanted = images[n, :, 2 * row : 2 * row + 2, 4 * column : 4 * column + 4]
        assert torch.equal(moved[n, :, 2 * i : 2 * i + 2, 4 * j : 4 * j + 4], wanted)


@pytest.mark.parametrize("size", [(7, 10), (8, 8), (5, 3)])
def test_cells_that_stay_give_the_image(size: tuple[int, int]) -> None:
    images = torch.rand(3, 2, *size, dtype=torch.bfloat16)
    assert torch.equal(move_cells(images, cells_in_place(3, (4, 3), images.device)), images)


def test_moves_on_a_finer_grid_move_the_same_pixels() -> None:
    images = torch.rand(2, 3, 24, 24)
    source = torch.stack([torch.randperm(6).view(2, 3) for _ in range(2)])
    finer = finer_moves(source, (4, 12))
    assert finer.shape == (2, 4, 12)
    assert move_cells(images, finer).equal(move_cells(images, source))
    with pytest.raises(ValueError, match=r"multiples of 2 x 3 cells, got 4 x 4"):
        finer_moves(source, (4, 4))


def test_a_grid_that_does_not_divide_the_image_reads_the_wanted_cells_alone() -> None:
    # every pixel says which cell it is of
    rows, columns = torch.arange(7) * 3 // 7, torch.arange(5) * 2 // 5
    image = (rows[:, None] * 2 + columns).float().expand(1, 1, 7, 5)
    source = torch.tensor([[[5, 4], [0, 1], [3, 2]]])
    wanted = source[0].float()[rows][:, columns]
    assert torch.equal(move_cells(image, source)[0, 0], wanted)


def test_transport_shows_more_of_what_is_salient_and_is_a_permutation() -> None:
    generator = torch.Generator().manual_seed(2)
    saliency = torch.rand(6, 5, 5, generator=generator).pow(4)
    saliency = saliency / saliency.sum((1, 2), keepdim=True)
    shown = torch.rand(6, 5, 5, generator=generator) < 0.4
    for cost in (1e-3, 0.05):
        source = transport_cells(saliency, shown, cost)
        assert torch.equal(source.flatten(1).sort(1).values, torch.arange(25).expand(6, -1))
        moved = saliency.flatten(1).gather(1, source.flatten(1))
        before, after = ((part * shown.flatten(1)).sum(1) for part in (saliency.flatten(1), moved))
        assert (after >= before - 1e-6).all()
        assert after.mean() > before.mean() + 0.1


def test_what_is_not_hidden_stays_in_place() -> None:
    saliency = torch.rand(2, 4, 4)
    saliency = saliency / saliency.sum((1, 2), keepdim=True)
    still = cells_in_place(2, (4, 4), saliency.device)
    for shown in (torch.ones(2, 4, 4, dtype=torch.bool), torch.zeros(2, 4, 4, dtype=torch.bool)):
        assert torch.equal(transport_cells(saliency, shown, 0.8), still)
    dear = torch.rand(2, 4, 4) < 0.5
    assert torch.equal(transport_cells(saliency, dear, 1e4), still)


def plan_with(moves: torch.Tensor | None) -> MixPlan:
    lam = torch.tensor([0.5, 0.25])
    return MixPlan(lam, torch.tensor([1, 0]), lam.view(-1, 1, 1, 1).expand(-1, 1, 4, 4), lam,
                   IN_PLACE if moves is None else CellMoves(moves))  # fmt: skip


def test_a_plan_moves_both_images_and_leaves_clean_samples_in_place() -> None:
    images = torch.rand(2, 3, 4, 4)
    moves = torch.stack([torch.randperm(4).view(2, 2) for _ in range(4)]).view(2, 2, 2, 2)
    plan = plan_with(moves)
    own, partner = move_cells(images, moves[:, 0]), move_cells(images[[1, 0]], moves[:, 1])
    share = plan.mask
    assert torch.allclose(blend(images, plan), share * own + (1 - share) * partner, atol=1e-6)
    clean = torch.tensor([True, False])
    assert torch.equal(blend(images, keep_clean(plan, clean))[0], images[0])
    for chosen in (choose(plan, plan_with(None), clean), choose(plan_with(None), plan, ~clean)):
        mixed = blend(images, chosen)
        assert torch.allclose(mixed[0], blend(images, plan_with(None))[0])
        assert torch.allclose(mixed[1], blend(images, plan)[1])
