"""The spectral residual against its formula, written out over the whole spectrum."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from samix.mixing import saliency_peak, spectral_residual


def mean3(values: Tensor, border: str) -> Tensor:
    return F.avg_pool2d(F.pad(values, (1, 1, 1, 1), mode=border), 3, 1)


def taper(length: int) -> Tensor:
    faded = []
    for place in range(length):
        from_end = min(place + 0.5, length - place - 0.5) / (0.1 * length)
        faded.append(0.5 - 0.5 * math.cos(math.pi * min(from_end, 1.0)))
    return torch.tensor(faded, dtype=torch.float64)


def whole_spectrum(images: Tensor) -> Tensor:
    """|ifft(exp(log A - mean3(log A) + i P))|^2 in double precision."""
    grey = images.double().mean(1, keepdim=True)
    grey = grey - grey.mean((2, 3), keepdim=True)
    spectrum = torch.fft.fft2(grey * taper(grey.shape[2])[:, None] * taper(grey.shape[3]))
    size_of = spectrum.abs()
    amplitude = (size_of + 0.01 * size_of.mean((2, 3), keepdim=True)).log()
    residual = amplitude - mean3(amplitude, "circular")
    back = torch.fft.ifft2(torch.polar(residual.exp(), spectrum.angle())).abs().square()
    smooth = mean3(mean3(back, "replicate"), "replicate").square()
    return smooth / smooth.sum((2, 3), keepdim=True)


@pytest.mark.parametrize("size", [(32, 32), (33, 31), (16, 48), (21, 40), (64, 64)])
def test_half_of_the_spectrum_is_enough(size: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(3)
    images = torch.rand(3, 3, *size, generator=generator)
    images[:, :, : size[0] // 2] *= torch.tensor([1.0, 0.4, 2.0]).view(3, 1, 1, 1)
    wanted = whole_spectrum(images)
    for memory in (torch.contiguous_format, torch.channels_last):
        found = spectral_residual(images.contiguous(memory_format=memory))
        assert found.shape == (3, 1, *size)
        assert torch.allclose(found.double(), wanted, atol=2e-4 * float(wanted.max()))
    single = spectral_residual(images.mean(1, keepdim=True))
    assert torch.allclose(single, found, atol=2e-4 * float(wanted.max()))


def test_the_images_are_not_changed_and_a_blank_one_is_salient_nowhere() -> None:
    images = torch.rand(2, 1, 40, 40)
    images[1] = 0.0
    before = images.clone()
    saliency = spectral_residual(images)
    assert torch.equal(images, before)
    assert torch.allclose(saliency[1], torch.full((1, 40, 40), 1 / 1600))


def test_large_images_are_looked_at_with_at_most_64_px() -> None:
    images = torch.zeros(1, 3, 200, 100)
    images[:, :, 120:130, 30:40] = 1.0
    saliency = spectral_residual(images)
    assert saliency.shape == (1, 1, 64, 32)
    place = saliency_peak(saliency)[0]
    assert abs(float(place[0]) - 0.625) < 0.05
    assert abs(float(place[1]) - 0.35) < 0.05


@pytest.mark.parametrize("size", [(1, 1), (1, 5), (8, 1), (2, 2), (3, 2)])
def test_tiny_images_are_no_error(size: tuple[int, int]) -> None:
    saliency = spectral_residual(torch.rand(2, 3, *size))
    assert saliency.shape == (2, 1, *size)
    assert torch.allclose(saliency.sum((1, 2, 3)), torch.ones(2))
