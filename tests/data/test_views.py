from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional

from samix.data import IMAGENET_MEAN, IMAGENET_STD, View, eval_view, random_keys, train_view
from samix.data.sampling import uniforms
from samix.data.views import _crop, _shift, squeeze
from samix.errors import InputError

ALL = [
    train_view(32, augmentation="none"),
    train_view(32),
    train_view(32, augmentation="strong"),
    train_view(96),
    train_view(96, augmentation="strong"),
    eval_view(48),
]


def photos(view: View, count: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    size = (count, 3, view.load_size, view.load_size)
    return torch.randint(0, 256, size, generator=generator, dtype=torch.uint8)


def keys(count: int, epoch: int = 0) -> np.ndarray:
    return random_keys(0, epoch, np.arange(count))


@pytest.mark.parametrize("view", ALL)
def test_shape_type_and_untouched_input(view: View) -> None:
    batch = photos(view, 3)
    before = batch.clone()
    out = view(batch, keys(3))
    assert out.shape == (3, 3, view.image_size, view.image_size)
    assert out.dtype == torch.float32
    assert torch.equal(batch, before)
    shown = view.denormalise(out)
    assert 0 <= shown.min() <= shown.max() <= 1


@pytest.mark.parametrize("view", ALL)
def test_result_is_a_function_of_the_key_and_leaves_global_state(view: View) -> None:
    batch = photos(view, 6)
    torch.manual_seed(1)
    state = torch.get_rng_state()
    whole = view(batch, keys(6))
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    alone = torch.cat([view(batch[i : i + 1], keys(6)[i : i + 1]) for i in (4, 1)])
    assert torch.equal(alone, whole[[4, 1]])


@pytest.mark.parametrize("view", [train_view(32), train_view(96), ALL[2]])
def test_training_varies_between_epochs(view: View) -> None:
    batch = photos(view, 8)
    assert not torch.equal(view(batch, keys(8, 0)), view(batch, keys(8, 1)))


def test_evaluation_does_not_vary() -> None:
    view = eval_view(32)
    assert torch.equal(view(photos(view, 4), keys(4, 0)), view(photos(view, 4), keys(4, 1)))


def test_normalisation_and_back() -> None:
    view = eval_view(8)
    batch = photos(view, 2)
    out = view(batch, keys(2))
    expected = (batch.double() / 255 - torch.tensor(IMAGENET_MEAN).view(3, 1, 1)) / torch.tensor(
        IMAGENET_STD
    ).view(3, 1, 1)
    assert torch.allclose(out.double(), expected, atol=1e-5)
    assert torch.allclose(view.denormalise(out), batch / 255, atol=1e-5)


def test_shift_against_slow_loops() -> None:
    batch = photos(eval_view(16), 40)
    draws = np.random.default_rng(0).random((40, 3))
    out = _shift(batch, draws)
    padded = np.pad(batch.numpy(), ((0, 0), (0, 0), (2, 2), (2, 2)), mode="reflect")
    seen = set()
    for i, (flip, down, right) in enumerate(draws):
        top, left = int(down * 5), int(right * 5)
        window = padded[i, :, top : top + 16, left : left + 16]
        if flip < 0.5:
            window = window[:, :, ::-1]
        assert np.array_equal(out[i].numpy(), window)
        seen.add((top, left, flip < 0.5))
    assert len(seen) > 20


def test_crops_keep_most_of_the_photo() -> None:
    view = train_view(96)
    rows = torch.arange(view.load_size).view(1, 1, -1, 1).expand(64, 3, -1, view.load_size)
    out = view.denormalise(view(rows.to(torch.uint8).contiguous(), keys(64)))[:, 0, :, 0] * 255
    spans = (out[:, -1] - out[:, 0]).abs() / view.load_size
    assert spans.min() > 0.45  # the least: 35 % of the area, three quarters as high as wide
    assert spans.max() <= 1
    assert spans.std() > 0.05


def test_crops_are_those_of_torchvision() -> None:
    """A loop over the photos in torchvision's own words, and the same spread of areas."""
    rng = np.random.default_rng(0)
    photos = torch.from_numpy(rng.integers(0, 256, (40, 3, 48, 48), dtype=np.uint8))
    draws = uniforms(keys(40), 23)
    out = _crop(photos, draws, 32)
    for i, (flip, down, across, *more) in enumerate(draws.tolist()):
        for area, ratio in zip(more[:10], more[10:], strict=True):
            part = (0.35 + 0.65 * area) * 48 * 48
            form = math.exp(math.log(3 / 4) + ratio * (math.log(4 / 3) - math.log(3 / 4)))
            width, height = round(math.sqrt(part * form)), round(math.sqrt(part / form))
            if width <= 48 and height <= 48:
                break
        top, left = int(down * (49 - height)), int(across * (49 - width))
        wanted = functional.resized_crop(photos[i], top, left, height, width, [32, 32])
        assert torch.equal(out[i], wanted.flip(2) if flip < 0.5 else wanted)
    rows = torch.arange(192).view(1, 1, -1, 1).expand(2000, 1, -1, 192).to(torch.uint8)
    own = _crop(rows.contiguous(), uniforms(keys(2000), 23), 8)[:, 0, :, 0].float()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        crop = v2.RandomResizedCrop(8, scale=(0.35, 1.0), antialias=True)
        other = torch.stack([crop(row)[0, :, 0].float() for row in rows])
    for statistic in (lambda x: x[:, -1] - x[:, 0], lambda x: x[:, 0]):
        a, b = statistic(own), statistic(other)
        assert abs(a.mean() - b.mean()) < 4 * ((a.var() + b.var()) / 2000) ** 0.5
        assert float(a.std()) == pytest.approx(float(b.std()), rel=0.08)


def test_a_photo_of_any_shape_is_squeezed_whole() -> None:
    wide = Image.new("RGB", (400, 100), "black")
    wide.paste("white", (380, 0, 400, 100))
    stored = squeeze(wide, eval_view(32).load_size)
    assert stored.shape == (3, 32, 32)
    assert stored.dtype == torch.uint8
    assert stored[:, :, -1].float().mean() > 200
    assert stored[:, :, :24].float().mean() < 10


def test_a_photo_of_the_right_size_is_not_resampled() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    stored = squeeze(Image.fromarray(pixels), train_view(32).load_size)
    assert np.array_equal(stored.permute(1, 2, 0).numpy(), pixels)


def test_defaults_by_size() -> None:
    assert train_view(64).geometry == "shift"
    assert train_view(65).geometry == "crop"
    assert train_view(224).load_size == 336
    assert train_view(224, augmentation="light").load_size == 224


def test_unknown_augmentation_and_tiny_size() -> None:
    with pytest.raises(InputError, match=r"'stong'.*none, light, standard, strong"):
        train_view(32, augmentation="stong")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="got 4"):
        eval_view(4)
