from __future__ import annotations

import math

import pytest
import torch

from samix.mixing import area_of, box_mask, constant_mask, cut_box, match_area


def test_constant_mask_takes_no_memory() -> None:
    lam = torch.tensor([0.25, 1.0])
    mask = constant_mask(lam, (4, 6))
    assert mask.shape == (2, 1, 4, 6)
    assert torch.equal(area_of(mask), lam)
    assert mask.untyped_storage().data_ptr() == lam.untyped_storage().data_ptr()


def test_box_mask_in_slow_loops(generator: torch.Generator) -> None:
    height, width = 7, 5
    corners = torch.rand(30, 2, 2, generator=generator) * torch.tensor([height + 1, width + 1])
    corners = corners.long().sort(dim=1).values
    box = torch.cat([corners[:, 0], corners[:, 1]], dim=1)
    mask = box_mask(box, (height, width))
    for sample, (top, left, bottom, right) in enumerate(box.tolist()):
        for y in range(height):
            for x in range(width):
                inside = top <= y < bottom and left <= x < right
                assert mask[sample, 0, y, x].item() == (0.0 if inside else 1.0)


def test_cut_box_is_the_paper_formula(generator: torch.Generator) -> None:
    lam = torch.rand(200, generator=generator)
    centre = torch.rand(200, 2, generator=generator)
    boxes = cut_box(lam, centre, (32, 24)).tolist()
    for (top, left, bottom, right), share, (row, column) in zip(
        boxes, lam.tolist(), centre.tolist(), strict=True
    ):
        side = math.sqrt(1 - share)
        for first, last, length, middle in (
            (top, bottom, 32, int(row * 32)),
            (left, right, 24, int(column * 24)),
        ):
            half = int(side * length / 2 + 1e-4)
            assert abs(first - max(middle - half, 0)) <= 1
            assert abs(last - min(middle + half, length)) <= 1


def test_cut_box_keeps_everything_at_lam_1_and_cuts_almost_everything_at_lam_0() -> None:
    centre = torch.tensor([[0.5, 0.5]])
    assert area_of(box_mask(cut_box(torch.ones(1), centre, (8, 8)), (8, 8))).item() == 1.0
    assert area_of(box_mask(cut_box(torch.zeros(1), centre, (8, 8)), (8, 8))).item() == 0.0


def test_match_area_reaches_the_area_and_keeps_the_order(generator: torch.Generator) -> None:
    mask = torch.rand(6, 1, 8, 8, generator=generator)
    wanted = torch.tensor([0.02, 0.2, 0.5, 0.7, 0.9, 0.98])
    matched = match_area(mask, wanted)
    assert torch.allclose(area_of(matched), wanted, atol=1e-5)
    assert torch.equal(mask.flatten(1).argsort(1), matched.flatten(1).argsort(1))


@pytest.mark.parametrize("area", [0.0, 1.0])
def test_match_area_at_the_ends(area: float) -> None:
    matched = match_area(torch.rand(2, 1, 4, 4), torch.full((2,), area))
    assert torch.allclose(matched, torch.full_like(matched, area), atol=1e-6)


def test_match_area_passes_gradcheck_free_of_jumps() -> None:
    mask = torch.rand(2, 1, 3, 3, dtype=torch.float64, requires_grad=True)
    matched = match_area(mask, torch.tensor([0.3, 0.6], dtype=torch.float64))
    (gradient,) = torch.autograd.grad(matched.sum(), mask)
    assert torch.isfinite(gradient).all()
    assert gradient.abs().max() > 0
