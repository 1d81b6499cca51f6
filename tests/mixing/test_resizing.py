"""Smaller maps: area averages in any way of working them out."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from samix import MixPlan
from samix.mixing import Boxed, area_average, at_size, box_mask, constant_mask

SIZE = (24, 20)


@pytest.mark.parametrize("size", [(24, 20), (12, 10), (8, 5), (6, 20), (7, 9), (48, 40), (1, 1)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_area_average_is_that_of_torch(size: tuple[int, int], dtype: torch.dtype) -> None:
    values = torch.rand(2, 3, *SIZE).to(dtype)
    for memory in (torch.contiguous_format, torch.channels_last):
        found = area_average(values.contiguous(memory_format=memory), size)
        assert found.dtype == torch.float32
        wanted = F.interpolate(values.float(), size, mode="area")
        assert torch.allclose(found, wanted, atol=1e-6)


def plan_with(mask: Tensor, boxed: Boxed | None = None) -> MixPlan:
    lam = mask.mean((1, 2, 3))
    return MixPlan(lam, torch.tensor([1, 2, 0]), mask, lam, boxed=boxed)


@pytest.mark.parametrize("inside", [None, torch.tensor([0.0, 0.3, 1.0])])
def test_boxes_are_shrunk_without_their_mask(inside: Tensor | None) -> None:
    box = torch.tensor([[0, 0, 5, 7], [3, 2, 24, 20], [9, 4, 4, 9]])  # the last is empty
    boxed = Boxed(box, SIZE, inside)
    assert torch.equal(boxed.mask, box_mask(box, SIZE, inside))
    if inside is not None:
        assert boxed.mask[1, 0, 10, 10] == inside[1]
        assert boxed.mask[1, 0, 0, 0] == 1.0
    for size in ((12, 10), (6, 4), (8, 5)):
        found = at_size(plan_with(boxed.mask, boxed), size).mask
        wanted = F.interpolate(boxed.mask, size, mode="area")
        assert torch.allclose(found, wanted, atol=1e-6)
    uneven = at_size(plan_with(boxed.mask, boxed), (7, 9)).mask
    assert torch.allclose(uneven.mean((1, 2, 3)), boxed.mask.mean((1, 2, 3)), atol=1e-6)


def test_a_mask_that_is_the_same_everywhere_takes_no_memory_at_any_size() -> None:
    lam = torch.tensor([0.2, 0.5, 1.0])
    small = at_size(plan_with(constant_mask(lam, SIZE)), (7, 9)).mask
    assert torch.equal(small, constant_mask(lam, (7, 9)))
    assert small.stride()[2:] == (0, 0)
