from __future__ import annotations

import pytest
import torch

from samix.pages.pictures import ORIGINAL, enlarged


@pytest.mark.parametrize(("side", "wanted"), [(16, 192), (32, 192), (100, 200), (224, 224)])
def test_small_pictures_are_enlarged_by_whole_pixels(side, wanted):
    image = torch.rand(1, side, side)
    large = enlarged(image)
    factor = wanted // side
    assert large.shape == (1, wanted, wanted)
    assert (large[:, ::factor, ::factor] == image).all()


def test_very_large_pictures_are_shrunk_and_keep_their_proportions():
    assert enlarged(torch.rand(3, 600, 300)).shape == (3, 256, 128)


def test_the_line_runs_around_the_region_and_not_over_it():
    image, region = torch.zeros(3, 64, 64), torch.zeros(1, 64, 64)
    region[:, 20:30, 20:40] = 0.4  # half of the strongest counts
    region[:, 22, 22] = 0.8
    large = enlarged(image, [(region, ORIGINAL)])
    drawn = large.sum(0) > 0
    assert torch.allclose(large[:, drawn].T, torch.tensor(ORIGINAL).expand(int(drawn.sum()), 3))
    factor = large.shape[1] // 64
    assert not drawn[20 * factor : 30 * factor, 20 * factor : 40 * factor].any()
    rows, columns = drawn.any(1).nonzero(), drawn.any(0).nonzero()
    assert int(rows.min()) in range(20 * factor - 4, 20 * factor)
    assert int(columns.max()) in range(40 * factor, 40 * factor + 4)


def test_an_empty_region_has_no_line():
    image = torch.rand(3, 64, 64)
    assert (enlarged(image, [(torch.zeros(1, 64, 64), ORIGINAL)]) == enlarged(image)).all()
