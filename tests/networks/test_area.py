from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from samix.networks import logit_with_mean

MEANS = torch.tensor([0.02, 0.08, 0.3, 0.5, 0.7, 0.92, 0.98]).view(-1, 1, 1)


def logits(kind: str, scale: float, size: int = 24) -> torch.Tensor:
    """Maps of 8 x 8 brought to a size in pixels: even, of two values, or a few high places."""
    torch.manual_seed(0)
    maps = scale * torch.randn(7, 1, 8, 8)
    if kind == "two":
        maps = scale * maps.sign()
    if kind == "few":
        maps = scale * (torch.rand(7, 1, 8, 8) < 0.06).float() + 0.1 * torch.randn(7, 1, 8, 8)
    return F.interpolate(maps, (size, size), mode="bilinear").flatten(2)


@pytest.mark.parametrize("kind", ["even", "two", "few"])
@pytest.mark.parametrize(("scale", "most"), [(0.1, 1e-6), (3.0, 1e-6), (10.0, 1e-5)])
def test_the_mean_is_the_wanted_one(kind: str, scale: float, most: float) -> None:
    logit = logits(kind, scale)
    shifted = logit_with_mean(logit, MEANS)
    assert (shifted.sigmoid().mean(2, keepdim=True) - MEANS).abs().max() < most
    assert (shifted - logit).std(2).max() < 1e-4  # nothing but a shift


@pytest.mark.parametrize("scale", [0.1, 3.0, 8.0])
def test_other_signs_change_the_sign_of_the_shift(scale: float) -> None:
    logit = logits("even", scale)
    own, other = logit_with_mean(logit, MEANS), logit_with_mean(-logit, 1.0 - MEANS)
    assert torch.allclose(own.sigmoid() + other.sigmoid(), torch.ones_like(logit), atol=1e-5)


def test_flat_logits_and_means_at_the_ends() -> None:
    flat = torch.zeros(3, 1, 9)
    mean = torch.tensor([0.0, 0.4, 1.0]).view(-1, 1, 1)
    wanted = torch.tensor([0.001, 0.4, 0.999]).view(-1, 1, 1).expand(3, 1, 9)
    assert torch.allclose(logit_with_mean(flat, mean).sigmoid(), wanted, atol=1e-5)


def test_the_gradient_is_that_of_the_implicit_function() -> None:
    logit = torch.randn(2, 1, 6, dtype=torch.float64, requires_grad=True)
    mean = torch.tensor([0.3, 0.6], dtype=torch.float64).view(-1, 1, 1)
    assert torch.autograd.gradcheck(
        lambda x: logit_with_mean(x, mean).sigmoid(), (logit,), atol=1e-4
    )
    area = logit_with_mean(logit, mean).sigmoid().mean()
    (gradient,) = torch.autograd.grad(area, logit)
    assert gradient.abs().max() < 1e-4  # the area is given, no logit moves it
