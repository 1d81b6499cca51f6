from __future__ import annotations

from itertools import combinations

import pytest
import torch

from samix.checking.results import counts
from samix.checking.statements import found_smoothing, without_smoothing
from samix.checking.trials import flat_photos, source_colours, trace_sources


def test_no_line_between_two_colours_meets_that_between_two_others():
    colours = source_colours(8).double()
    steps = torch.linspace(0, 1, 101, dtype=torch.float64)[:, None]
    lines = {
        (a, b): colours[a] * steps + colours[b] * (1 - steps) for a, b in combinations(range(8), 2)
    }
    for first, other in combinations(lines, 2):
        if not set(first) & set(other):
            assert torch.cdist(lines[first], lines[other]).min() > 0.12


@pytest.mark.parametrize("channels", [3, 4, 7])
def test_pixels_are_traced_to_their_two_photos(channels, generator):
    colours = source_colours(8, channels)
    photos = flat_photos(colours, (6, 5))
    for first, other in combinations(range(8), 2):
        mask = torch.rand(1, 1, 6, 5, generator=generator)
        mask[0, 0, 0, :2] = torch.tensor([0.0, 1.0])
        mixed = mask * photos[[first]] + (1 - mask) * photos[[other]]
        weights, distance = trace_sources(mixed, colours)
        wanted = torch.zeros(1, 8, 6, 5)
        wanted[0, first], wanted[0, other] = mask[0, 0], 1 - mask[0, 0]
        assert torch.allclose(weights, wanted, atol=1e-4)
        assert distance.max() < 1e-5


def test_what_is_no_mix_of_two_is_far_from_all():
    colours = source_colours(8)
    three = colours[:3].mean(0)
    _, distance = trace_sources(flat_photos(three[None], (2, 2)), colours)
    assert distance.min() > 0.09
    broken = flat_photos(colours, (2, 2))
    broken[0, 0, 0, 0] = torch.nan
    assert trace_sources(broken, colours)[1][0, 0, 0].isnan()


def test_bounds():
    with pytest.raises(ValueError, match="1 to 8 photos, got 9"):
        source_colours(9)
    with pytest.raises(ValueError, match="at least 3 channels, got 1"):
        source_colours(2, 1)


def test_smoothing_is_found_only_where_it_is_the_same_in_every_row():
    rows = torch.eye(5)[torch.tensor([0, 3, 1])]
    smooth = rows * 0.8 + 0.2 / 5
    assert found_smoothing([smooth], None) == pytest.approx(0.2)
    assert torch.allclose(without_smoothing(smooth, 0.2), rows, atol=1e-6)
    assert found_smoothing([rows], None) == 0.0
    uneven = smooth.clone()
    uneven[0] = torch.tensor([0.5, 0.2, 0.1, 0.1, 0.1])
    assert found_smoothing([uneven], None) == 0.0
    # of three classes all may be mixed
    assert found_smoothing([torch.full((2, 3), 1 / 3)], None) == 0.0
    assert found_smoothing([rows], 0.3) == 0.3


def test_shares_are_counted_in_tenths():
    assert counts([0.0, 0.05, 0.1, 0.55, 0.999, 1.0]) == (2, 1, 0, 0, 0, 1, 0, 0, 0, 2)
