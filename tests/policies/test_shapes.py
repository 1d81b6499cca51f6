from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import torch

from samix import POLICIES, MixPlan, create_policy
from samix.mixing import cell_mask, keep_highest, low_frequency_field, spot_mask
from samix.mixing.masks import _select, _sort


def plan_of(name: str, size: tuple[int, int], batch: int = 64, **options: object) -> MixPlan:
    images = torch.zeros(batch, 1, 1, 1).expand(-1, 1, *size)
    generator = torch.Generator().manual_seed(0)
    return create_policy(name, **options).plan(images, generator=generator)


def radial_power(mask: torch.Tensor, low: int, high: int) -> float:
    """Mean power of masks (B,1,N,N) over frequencies from low to high, in cycles an image."""
    spectrum = torch.fft.fft2(mask[:, 0] - mask[:, 0].mean((1, 2), keepdim=True)).abs().square()
    steps = torch.fft.fftfreq(mask.shape[-1]) * mask.shape[-1]
    radius = torch.hypot(steps[:, None], steps[None])
    return spectrum[:, (radius >= low) & (radius < high)].mean().item()


@pytest.mark.parametrize("size", [(64, 64), (33, 50), (5, 8), (1, 7)])
def test_fmix_shows_as_many_pixels_as_lam_says(size: tuple[int, int]) -> None:
    plan = plan_of("fmix", size)
    assert ((plan.mask == 0) | (plan.mask == 1)).all()
    pixels = size[0] * size[1]
    assert ((plan.area - plan.lam) * pixels).abs().max() <= 0.5 + 1e-2
    assert torch.equal(plan.weight, plan.area)


def test_fmix_masks_are_of_low_frequency() -> None:
    mask = plan_of("fmix", (64, 64)).mask
    bands = [radial_power(mask, *band) for band in ((1, 3), (3, 6), (6, 12), (12, 24))]
    assert all(later < earlier / 3 for earlier, later in pairwise(bands))
    # noise of the same areas is even over the frequencies
    noise = keep_highest(torch.rand(64, 1, 64, 64), [2048] * 64)
    assert radial_power(noise, 12, 24) > 0.5 * radial_power(noise, 1, 3)
    # a smaller decay gives more and smaller blobs: longer borders
    borders = [plan_of("fmix", (64, 64), decay=d).mask.diff(dim=3).abs().mean() for d in (1, 2, 4)]
    assert borders[0] > borders[1] > borders[2]


def test_fmix_blobs_are_the_highest_places_of_the_paper_s_grey_image() -> None:
    """The grey image in slow loops: a sum of waves, each with its noise over f^decay."""
    size, reach, decay = (9, 12), 2, 3.0
    noise = torch.randn(1, 2 * reach + 1, reach + 1, 2)
    wanted = np.zeros(size)
    for row in range(size[0]):
        for column in range(size[1]):
            for down in range(-reach, reach + 1):
                for across in range(reach + 1):
                    real, imaginary = noise[0, down + reach, across].tolist()
                    frequency = max(math.hypot(down / size[0], across / size[1]), 1 / max(size))
                    turn = 2 * math.pi * (down * row / size[0] + across * column / size[1])
                    wave = real * math.cos(turn) - imaginary * math.sin(turn)
                    # a real image has each wave twice, but those along the height alone
                    wanted[row, column] += (2 if across else 1) * wave / frequency**decay
    found = low_frequency_field(noise, size, decay=decay)[0, 0].numpy()
    assert np.allclose(found, wanted / (size[0] * size[1]), rtol=1e-4, atol=1e-3)


def test_the_frequencies_that_are_left_out_of_steep_spectra_do_not_matter() -> None:
    size, generator = (128, 128), torch.Generator().manual_seed(0)
    noise = torch.randn(8, 127, 64, 2, generator=generator)
    whole = low_frequency_field(noise, size, decay=3.0)
    cut = low_frequency_field(noise[:, 31:96, :33].contiguous(), size, decay=3.0)
    masks = [keep_highest(field, [8192] * 8) for field in (whole, cut)]
    assert (masks[0] != masks[1]).float().mean() < 0.005


def test_keep_highest_counts_exactly_also_among_equal_values() -> None:
    field = torch.tensor([0.0, 1.0, 1.0, 1.0, 2.0, 3.0]).expand(7, -1).reshape(7, 1, 2, 3)
    before = field.clone()
    mask = keep_highest(field, range(7))
    assert torch.equal(mask.sum((1, 2, 3)), torch.arange(7.0))
    assert torch.equal(mask[2].flatten(), torch.tensor([0.0, 0, 0, 0, 1, 1]))
    assert torch.equal(field, before)


def test_other_devices_keep_the_same_pixels() -> None:
    """They sort, which works on the CPU, too."""
    values = torch.randperm(600).float().view(4, 150)
    count = [0, 1, 77, 150]
    assert torch.equal(_sort(values, count), _select(values, count))
    ties = _sort(torch.zeros(4, 150), count)
    assert ties.sum(1).tolist() == count


def test_smoothmix_is_a_soft_spot() -> None:
    plan = plan_of("smoothmix", (48, 48))
    assert torch.equal(plan.weight, plan.area)
    assert torch.equal(plan.lam, plan.area)
    # the partner is seen whole at the centre, and no edge is sharp: a Gaussian's steepest slope
    assert plan.mask.amin((1, 2, 3)).max() < 0.01
    steepest = math.exp(-0.5) / (0.25 * 48)
    assert plan.mask.diff(dim=2).abs().max() <= steepest + 1e-4
    assert plan.mask.diff(dim=3).abs().max() <= steepest + 1e-4
    assert create_policy("cutmix").plan(torch.zeros(64, 1, 48, 48)).mask.diff(dim=2).max() == 1


def test_a_spot_has_the_values_of_a_gaussian() -> None:
    centre, sigma = torch.tensor([[0.25, 0.6]]), torch.tensor([3.0])
    mask = spot_mask(centre, sigma, (8, 10))
    for row in range(8):
        for column in range(10):
            square = (row + 0.5 - 2.0) ** 2 + (column + 0.5 - 6.0) ** 2
            assert mask[0, 0, row, column].item() == pytest.approx(
                1 - math.exp(-square / 18), abs=1e-6
            )


@pytest.mark.parametrize("name", ["gridmix", "maskmix"])
def test_cells_show_one_image_each(name: str) -> None:
    plan = plan_of(name, (24, 36), batch=400, cells=3)
    cells = plan.mask.view(400, 3, 8, 3, 12)
    first = cells[:, :, :1, :, :1]
    assert torch.equal(cells, first.expand_as(cells))
    kept = first.flatten(1).sum(1)
    assert torch.allclose(plan.weight, kept / 9, atol=1e-6)
    if name == "maskmix":
        assert torch.equal(kept, (plan.lam * 9).ceil())
    else:
        # independent cells: their number is binomial, right on average and in spread
        apart = kept - 9 * plan.lam
        assert apart.mean().abs() < 0.25
        wanted = (9 * plan.lam * (1 - plan.lam)).mean()
        assert apart.square().mean() == pytest.approx(wanted.item(), rel=0.2)
    # each place is as likely as any other
    assert (first.flatten(1).mean(0) - kept.mean() / 9).abs().max() < 0.08


def test_cells_that_do_not_divide_the_image_differ_by_a_pixel() -> None:
    cells = torch.arange(9.0).view(1, 1, 3, 3) / 8
    mask = cell_mask(cells, (10, 11))
    counts = [(mask == value).sum().item() for value in cells.flatten()]
    assert sum(counts) == 110
    assert set(counts) <= {3 * 3, 3 * 4, 4 * 3, 4 * 4}
    assert torch.equal(cell_mask(cells, (3, 3)), cells)


@pytest.mark.parametrize(
    ("name", "options", "error", "words"),
    [
        ("fmix", {"alpha": 0.0}, ValueError, "alpha: expected a number above 0"),
        ("fmix", {"decay": 0.0}, ValueError, "decay: expected a number above 0 and at most 10"),
        ("fmix", {"decay": "3"}, TypeError, "decay: expected a number, got '3'"),
        ("smoothmix", {"sigma": 0.3}, TypeError, "sigma: expected two numbers, low and high"),
        ("smoothmix", {"sigma": ("a", 1)}, TypeError, "sigma: expected a number, got 'a'"),
        ("smoothmix", {"sigma": (0.5, 0.2)}, ValueError, "sigma: expected 0 < low <= high <= 2"),
        ("gridmix", {"cells": 1}, ValueError, "cells: expected 2 to 64 cells along a side, got 1"),
        ("maskmix", {"cells": 4.0}, TypeError, "cells: expected a whole number, got 4.0"),
        ("maskmix", {"alpha": -1.0}, ValueError, "alpha: expected a number above 0"),
        ("saliencymix", {"alpha": 0.0}, ValueError, "alpha: expected a number above 0"),
        ("guidedmixup", {"alpha": 1.0}, ValueError, "alpha: unknown option of policy 'guidedmix"),
    ],
)
def test_options_are_checked(
    name: str, options: dict[str, object], error: type[Exception], words: str
) -> None:
    assert name in POLICIES
    with pytest.raises(error, match=words):
        create_policy(name, **options)


def test_numbers_of_numpy_are_numbers():
    images = torch.rand(4, 3, 8, 8)
    lams = [
        create_policy("mixup", alpha=alpha)
        .plan(images, generator=torch.Generator().manual_seed(0))
        .lam
        for alpha in (0.5, np.float32(0.5))
    ]
    assert torch.equal(*lams)
