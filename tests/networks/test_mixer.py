from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from samix import Mixer, MixerOptions
from samix.networks import lam_polynomial, logit_with_mean, pair_attention


def pair(batch: int = 16, channels: int = 8, size: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    first, second = torch.randn(2, batch, channels, size, size)
    return first, second


def test_starts_as_mixup() -> None:
    mixer, lam = Mixer(8), torch.linspace(0.1, 0.9, 16)
    mask = mixer(*pair(), lam, (16, 16))
    assert mask.shape == (16, 1, 16, 16)
    assert torch.allclose(mask.mean((1, 2, 3)), lam, atol=0.02)
    assert mask.flatten(1).std(1).max() < 0.1


@pytest.mark.parametrize("scale", [0.1, 1.0, 10.0, 100.0])
def test_logit_with_mean(scale: float) -> None:
    logit = scale * torch.randn(5, 1, 64)
    mean = torch.tensor([0.08, 0.3, 0.5, 0.7, 0.92]).view(-1, 1, 1)
    shifted = logit_with_mean(logit, mean)
    # sharp masks move in steps of a pixel
    assert torch.allclose(shifted.sigmoid().mean(2, keepdim=True), mean, atol=1e-3 + scale / 5e3)
    assert torch.allclose((shifted - logit).std(2), torch.zeros(5, 1), atol=1e-3)


def test_logit_with_mean_has_the_gradient_of_the_implicit_function() -> None:
    logit = torch.randn(2, 1, 6, dtype=torch.float64, requires_grad=True)
    mean = torch.tensor([0.3, 0.6], dtype=torch.float64).view(-1, 1, 1)
    assert torch.autograd.gradcheck(
        lambda x: logit_with_mean(x, mean).sigmoid(), (logit,), atol=1e-4
    )
    area = logit_with_mean(logit, mean).sigmoid().mean()
    (gradient,) = torch.autograd.grad(area, logit)
    assert gradient.abs().max() < 1e-4  # the area is given, no logit moves it


@pytest.mark.parametrize(("upsample", "distance"), [("nearest", 0.01), ("bilinear", 0.12)])
def test_sharp_masks_keep_their_area(upsample: Any, distance: float) -> None:
    """Where the Mixer is sure, the variance reward cannot push the area away from lam.

    Bilinear upsampling of very sharp logits moves the borders a little.
    """
    mixer, lam = Mixer(8, MixerOptions(upsample=upsample)), torch.linspace(0.1, 0.9, 16)
    mixer.value[-1].weight.data.mul_(100)
    mask = mixer(*pair(), lam, (16, 16))
    assert mask.flatten(1).std(1).mean() > 0.2
    assert (mask.mean((1, 2, 3)) - lam).abs().mean() < distance


def test_the_papers_form_starts_flat_and_forgets_lam() -> None:
    """What the start as mixup is for: this form is an option, not the default."""
    mixer = Mixer(8, MixerOptions(start="paper"))
    assert any(isinstance(module, nn.BatchNorm1d) for module in mixer.modules())
    mask = mixer(*pair(), torch.linspace(0.1, 0.9, 16), (16, 16))
    assert torch.allclose(mask, torch.full_like(mask, 0.5), atol=0.05)


def test_no_batch_statistics() -> None:
    for module in Mixer(8).modules():
        assert not isinstance(module, nn.modules.batchnorm._BatchNorm)
    mixer, (first, second), lam = Mixer(8), pair(), torch.rand(16)
    whole = mixer(first, second, lam, (8, 8))
    assert torch.allclose(whole[:3], mixer(first[:3], second[:3], lam[:3], (8, 8)), atol=1e-6)


def test_the_value_changes_with_lam() -> None:
    mixer, (first, second) = Mixer(8), pair()
    low, high = (
        mixer.attend(first, second, torch.full((16, 1, 1, 1), lam))[1] for lam in (0.2, 0.8)
    )
    assert (low - high).abs().mean() > 0.05 * low.abs().mean()
    plain = Mixer(8, MixerOptions(lam_embedding=False))
    low, high = (
        plain.attend(first, second, torch.full((16, 1, 1, 1), lam))[1] for lam in (0.2, 0.8)
    )
    assert torch.equal(low, high)


def test_constant_below_the_margin() -> None:
    mixer = Mixer(8, MixerOptions(lam_margin=0.08))
    lam = torch.tensor([0.0, 0.05, 0.08, 0.5, 0.92, 0.95, 1.0])
    mask = mixer(*pair(7), lam, (8, 8))
    spread = mask.flatten(1).amax(1) - mask.flatten(1).amin(1)
    assert torch.equal(spread == 0, torch.tensor([True, True, True, False, True, True, True]))
    assert torch.equal(mask[[0, 1, 2, 4, 5, 6], 0, 0, 0], lam[[0, 1, 2, 4, 5, 6]])


def test_attention_in_slow_loops() -> None:
    query, key = torch.randn(2, 2, 3, 5, dtype=torch.float64)
    ours = pair_attention(query, key).double()
    for b in range(2):
        for n in range(5):
            scores = np.array([float(query[b, :, n] @ key[b, :, m]) / 3**0.5 for m in range(5)])
            wanted = np.exp(scores) / np.exp(scores).sum()
            assert np.allclose(ours[b, n].numpy(), wanted, atol=1e-6)


def test_mask_in_slow_loops() -> None:
    """The whole Mixer for one pair, written out pixel by pixel without upsampling."""
    mixer = Mixer(3, MixerOptions(value="linear", lam_margin=0.0))
    (first, second), lam = pair(1, 3, 2), 0.3
    mask = mixer(first, second, torch.tensor([lam]), (2, 2)).detach().numpy()[0, 0]
    k = 0.25
    r = (4 / 3 * lam**3 - 2 * lam**2 + (k + 1) * lam) / (k + 1 / 3)

    def prepared(features: torch.Tensor, scale: float) -> np.ndarray:
        flat = features[0].numpy().reshape(3, 4)
        return scale * (flat - flat.mean()) / np.sqrt(flat.var() + 1e-5)

    a, b = prepared(first, 1 + r), prepared(second, 2 - r)

    def convolve(layer: nn.Module, column: np.ndarray) -> np.ndarray:
        weight, bias = layer.weight.detach().numpy()[:, :, 0], layer.bias.detach().numpy()  # type: ignore[operator,union-attr]
        return weight @ column + bias

    query = [convolve(mixer.query, np.concatenate([a[:, n], b[:, n]])) for n in range(4)]
    key = [convolve(mixer.key, np.concatenate([b[:, n], a[:, n]])) for n in range(4)]
    value = [convolve(mixer.value[0], b[:, n])[0] for n in range(4)]
    logits = []
    for n in range(4):
        weights = np.exp([query[n] @ key[m] for m in range(4)])  # d = 1
        logits.append(float(weights / weights.sum() @ np.array(value)))
    shifts = np.linspace(-20, 20, 400_001)
    areas = np.mean([1 - 1 / (1 + np.exp(-(logit + shifts))) for logit in logits], axis=0)
    shift = shifts[np.abs(areas - lam).argmin()]
    wanted = [1 - 1 / (1 + np.exp(-(logit + shift))) for logit in logits]
    assert np.allclose(mask.reshape(-1), wanted, atol=1e-4)


def test_polynomial_of_lam() -> None:
    ends = torch.tensor([0.0, 0.5, 1.0])
    for k in (0.25, 1.0, 4.0):
        assert torch.allclose(lam_polynomial(ends, k), ends, atol=1e-6)
        rising = lam_polynomial(torch.linspace(0, 1, 50), k).diff()
        assert rising.min() > -1e-6
    lam = torch.rand(5)
    assert torch.equal(lam_polynomial(lam, None), lam)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_low_precision_features_give_nearly_the_same_float32_mask(dtype: torch.dtype) -> None:
    mixer, (first, second), lam = Mixer(8), pair(), torch.rand(16)
    mixer.value[-1].weight.data.mul_(10)
    wanted = mixer(first, second, lam, (16, 16))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mask = mixer(first.to(dtype), second.to(dtype), lam, (16, 16))
    assert mask.dtype == torch.float32
    difference = (mask - wanted).abs()
    assert difference.mean() < 1e-2
    assert difference.flatten().quantile(0.99) < 0.1


def test_compiles_without_a_break() -> None:
    mixer, (first, second), lam = Mixer(8), pair(), torch.rand(16)
    compiled = torch.compile(mixer, fullgraph=True, backend="aot_eager")
    wanted = mixer(first, second, lam, (16, 16))
    assert torch.allclose(compiled(first, second, lam, (16, 16)), wanted, atol=1e-6)


@pytest.mark.parametrize("value", ["nonlinear", "linear"])
def test_gradcheck(value: Any) -> None:
    mixer = Mixer(3, MixerOptions(value=value, lam_margin=0.0)).double()
    first, second = torch.randn(2, 2, 3, 2, 2, dtype=torch.float64).requires_grad_(True)
    lam = torch.tensor([0.3, 0.7], dtype=torch.float64)
    weights = tuple(mixer.parameters())

    def mask(first: torch.Tensor, second: torch.Tensor, *_: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = mixer(first, second, lam, (3, 3))
        return result

    assert mask(first, second).dtype == torch.float64
    assert torch.autograd.gradcheck(mask, (first, second, *weights))


@pytest.mark.parametrize(
    ("option", "value"), [("start", "none"), ("value", "cubic"), ("upsample", "bicubic")]
)
def test_options_are_checked(option: str, value: str) -> None:
    with pytest.raises(ValueError, match=f"{option}: expected one of"):
        MixerOptions(**{option: value})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="lam_margin: expected"):
        MixerOptions(lam_margin=0.5)
    with pytest.raises(ValueError, match="lam_curve: expected a number above -1/3"):
        MixerOptions(lam_curve=-1 / 3)
