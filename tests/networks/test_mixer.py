from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from samix import Mixer, MixerOptions
from samix.networks import lam_polynomial, pair_attention


def pair(batch: int = 16, channels: int = 8, size: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    first, second = torch.randn(2, batch, channels, size, size)
    return first, second


def test_starts_as_mixup() -> None:
    mixer, lam = Mixer(8), torch.linspace(0.1, 0.9, 16)
    mask = mixer(*pair(), lam, (16, 16))
    assert mask.shape == (16, 1, 16, 16)
    assert torch.allclose(mask.mean((1, 2, 3)), lam, atol=0.02)
    assert mask.flatten(1).std(1).max() < 0.1


@pytest.mark.parametrize("scale", [0.1, 1.0, 3.0, 10.0, 30.0])
@pytest.mark.parametrize("upsample", ["nearest", "bilinear"])
def test_the_area_is_lam_at_the_size_of_the_image(upsample: Any, scale: float) -> None:
    """Also where the Mixer is sure, whatever the upsampling makes of its map."""
    mixer = Mixer(8, MixerOptions(upsample=upsample, lam_margin=0.0))
    mixer.value[-1].weight.data.mul_(10 * scale)
    lam = torch.linspace(0.02, 0.98, 64)
    mask = mixer(*pair(64), lam, (33, 47))
    apart = (mask.mean((1, 2, 3)) - lam).abs()
    assert apart.mean() < 1e-3
    if scale <= 3.0:
        assert apart.max() < 1e-4
    if scale >= 10.0:
        assert mask.flatten(1).std(1).mean() > 0.2


FORMS = {
    "saliency": MixerOptions(),
    "attention": MixerOptions(form="attention"),
    "automix": MixerOptions(form="attention", value="linear", lam_curve=None, upsample="nearest"),
    "no lam embedding": MixerOptions(lam_embedding=False),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("scale", [1.0, 100.0])
def test_exchanging_the_images_exchanges_the_mask(
    form: str, dtype: torch.dtype, scale: float
) -> None:
    """mask(a, b, lam) + mask(b, a, 1 - lam) = 1: a mix does not depend on who is the original."""
    mixer = Mixer(8, FORMS[form])
    mixer.value[-1].weight.data.mul_(scale)
    first, second = (features.to(dtype) for features in pair(32))
    lam = torch.linspace(0.0, 1.0, 32)
    mask = mixer(first, second, lam, (32, 24))
    assert mask.flatten(1).std(1).max() > 0.01
    assert (mask + mixer(second, first, 1.0 - lam, (32, 24)) - 1.0).abs().max() < 1e-5
    # within a batch, where each image is an original and a partner, and with itself
    index = torch.arange(32).roll(1)
    both = mixer(first, first[index], lam, (16, 16))
    back = mixer(first[index], first, 1.0 - lam, (16, 16))
    assert (both + back - 1.0).abs().max() < 1e-5
    alone = mixer(first, first, torch.full((32,), 0.5), (16, 16))
    assert torch.allclose(alone, torch.full_like(alone, 0.5), atol=1e-5)


@pytest.mark.parametrize("form", FORMS)
def test_partners_by_their_places_have_the_same_masks_and_gradients(form: str) -> None:
    """Each image is then looked at once, however many pairs it is in."""
    mixer, features = Mixer(8, FORMS[form]), torch.randn(6, 8, 4, 4)
    own, other = torch.tensor([[0, 1, 2, 3, 4, 5, 0, 1], [1, 2, 3, 4, 5, 0, 3, 3]])
    lam, found = torch.linspace(0.2, 0.8, 8), []
    for ask, first, second in (
        (mixer, features[own], features[other]),
        (mixer.masks_among, features, torch.cat([own, other])),
    ):
        mask = ask(first, second, lam, (16, 12))
        mask[:, :, :4].square().sum().backward()
        grads = [p.grad.clone() for p in mixer.parameters() if p.grad is not None]
        found.append((mask, *grads))
        mixer.zero_grad()
    for one, same in zip(*found, strict=True):
        assert torch.allclose(one, same, atol=1e-5, rtol=1e-4)


def test_the_papers_form_does_not_know_who_is_who() -> None:
    mixer = Mixer(8, MixerOptions(start="paper")).eval()
    mixer.value[-1].weight.data.mul_(1000)
    first, second = pair(32)
    lam = torch.full((32,), 0.5)
    mask, back = mixer(first, second, lam, (8, 8)), mixer(second, first, lam, (8, 8))
    assert (mask + back - 1.0).abs().max() > 0.01


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


@pytest.mark.parametrize("form", ["saliency", "attention"])
def test_the_structure_changes_with_lam(form: Any) -> None:
    """Not only the area: with the lam embedding the logits differ by more than a shift."""
    first, second = pair()
    found = []
    for embedding in (True, False):
        torch.manual_seed(0)
        mixer = Mixer(8, MixerOptions(form=form, lam_embedding=embedding))
        low, high = (
            torch.logit(mixer(first, second, torch.full((16,), lam), (4, 4))) for lam in (0.2, 0.8)
        )
        found.append((low - high).flatten(1).std(1).max().item())
    assert found[0] > 0.01
    assert found[1] < 1e-3


def test_attention_is_there_where_the_form_has_one() -> None:
    first, second = pair()
    lam = torch.rand(16)
    assert Mixer(8).attention(first, second, lam) is None
    attention = Mixer(8, MixerOptions(form="attention")).attention(first, second, lam)
    assert attention is not None
    assert attention.shape == (16, 16, 16)
    assert torch.allclose(attention.sum(2), torch.ones(16, 16), atol=1e-5)


def test_the_saliency_form_has_a_fifth_of_the_weights() -> None:
    count = [
        sum(p.numel() for p in Mixer(64, MixerOptions(form=form)).parameters())
        for form in ("saliency", "attention")
    ]
    assert count[0] * 4.5 < count[1]


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


def prepared(features: torch.Tensor, scale: float) -> np.ndarray:
    """Features (1,3,2,2) normalised per sample and times a gain, (3,4)."""
    flat = features[0].numpy().reshape(3, 4)
    return scale * (flat - flat.mean()) / np.sqrt(flat.var() + 1e-5)


def convolve(layer: nn.Module, column: np.ndarray) -> np.ndarray:
    weight = layer.weight.detach().numpy()[:, :, 0]  # type: ignore[operator,union-attr]
    bias = 0.0 if layer.bias is None else layer.bias.detach().numpy()  # type: ignore[union-attr]
    return weight @ column + bias


def with_area(logits: list[float], lam: float) -> np.ndarray:
    """Sigmoids of logits with the shift, of very many, that gives them the wanted mean."""
    shifts = np.linspace(-20, 20, 400_001)
    areas = np.mean([1 / (1 + np.exp(-(logit + shifts))) for logit in logits], axis=0)
    shift = shifts[np.abs(areas - lam).argmin()]
    return np.array([1 / (1 + np.exp(-(logit + shift))) for logit in logits])


def gains(lam: float, k: float = 0.25) -> tuple[float, float]:
    r = (4 / 3 * lam**3 - 2 * lam**2 + (k + 1) * lam) / (k + 1 / 3)
    return 1 + r, 2 - r


def test_saliency_mask_in_slow_loops() -> None:
    """The whole Mixer for one pair, written out pixel by pixel without upsampling."""
    mixer = Mixer(3, MixerOptions(lam_margin=0.0))
    mixer.value[-1].weight.data.mul_(10)
    (first, second), lam = pair(1, 3, 2), 0.3
    mask = mixer(first, second, torch.tensor([lam]), (2, 2)).detach().numpy()[0, 0]
    own, other = gains(lam)

    def worth(column: np.ndarray) -> float:
        hidden = convolve(mixer.value[0], column)
        return float(convolve(mixer.value[2], np.where(hidden > 0, hidden, np.expm1(hidden)))[0])

    a, b = prepared(first, own), prepared(second, other)
    logits = [worth(a[:, n]) - worth(b[:, n]) for n in range(4)]
    logits = [8 * np.tanh(logit / 8) for logit in logits]
    assert np.allclose(mask.reshape(-1), with_area(logits, lam), atol=1e-4)


def test_attention_mask_in_slow_loops() -> None:
    """The same with attention both ways."""
    mixer = Mixer(3, MixerOptions(form="attention", value="linear", lam_margin=0.0))
    mixer.value[-1].weight.data.mul_(10)
    (first, second), lam = pair(1, 3, 2), 0.3
    mask = mixer(first, second, torch.tensor([lam]), (2, 2)).detach().numpy()[0, 0]
    own, other = gains(lam)
    a, b = prepared(first, own), prepared(second, other)

    def transported(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        query = [convolve(mixer.query, np.concatenate([x[:, n], y[:, n]])) for n in range(4)]
        key = [convolve(mixer.key, np.concatenate([y[:, n], x[:, n]])) for n in range(4)]
        value = [convolve(mixer.value[0], y[:, n])[0] for n in range(4)]
        rows = []
        for n in range(4):
            weights = np.exp([query[n] @ key[m] for m in range(4)])  # d = 1
            rows.append(float(weights / weights.sum() @ np.array(value)))
        return np.array(rows)

    logits = 8 * np.tanh((transported(b, a) - transported(a, b)) / 8)
    assert np.allclose(mask.reshape(-1), with_area(list(logits), lam), atol=1e-4)


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
@pytest.mark.parametrize("form", ["saliency", "attention"])
def test_gradcheck(form: Any, value: Any) -> None:
    mixer = Mixer(3, MixerOptions(form=form, value=value, lam_margin=0.0)).double()
    first, second = torch.randn(2, 2, 3, 2, 2, dtype=torch.float64).requires_grad_(True)
    lam = torch.tensor([0.3, 0.7], dtype=torch.float64)
    weights = tuple(mixer.parameters())

    def mask(first: torch.Tensor, second: torch.Tensor, *_: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = mixer(first, second, lam, (3, 3))
        return result

    assert mask(first, second).dtype == torch.float64
    assert torch.autograd.gradcheck(mask, (first, second, *weights))


@pytest.mark.parametrize(
    ("option", "value"),
    [("form", "square"), ("start", "none"), ("value", "cubic"), ("upsample", "bicubic")],
)
def test_options_are_checked(option: str, value: str) -> None:
    with pytest.raises(ValueError, match=f"{option}: expected one of"):
        MixerOptions(**{option: value})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="form: expected 'attention' or None with start 'paper'"):
        MixerOptions(form="saliency", start="paper")
    with pytest.raises(ValueError, match="lam_margin: expected"):
        MixerOptions(lam_margin=0.5)
    with pytest.raises(ValueError, match="lam_curve: expected a number above -1/3"):
        MixerOptions(lam_curve=-1 / 3)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_stays_in_float32_when_it_is_cast(dtype: torch.dtype) -> None:
    """A mask needs the digits; a wider precision is taken."""
    mixer = nn.ModuleDict({"mixer": Mixer(8), "other": nn.Linear(2, 2)}).to(dtype)
    assert mixer["other"].weight.dtype == dtype
    assert {p.dtype for p in mixer["mixer"].parameters()} == {torch.float32}
    assert {p.dtype for p in Mixer(8).double().parameters()} == {torch.float64}
    first, second = (features.to(dtype) for features in pair())
    assert mixer["mixer"](first, second, torch.rand(16), (8, 8)).dtype == torch.float32


def test_can_be_made_under_another_default_dtype() -> None:
    torch.set_default_dtype(torch.bfloat16)
    try:
        mixer = Mixer(8)
    finally:
        torch.set_default_dtype(torch.float32)
    assert {p.dtype for p in mixer.parameters()} == {torch.float32}
