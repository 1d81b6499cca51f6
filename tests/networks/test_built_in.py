"""The Mixers that come with the package: what holds for the very files that are shipped."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor

import samix
from samix.networks import (
    DEFAULT_MIXER,
    TOLERANCE,
    PretrainedMixer,
    built_in_mixers,
    open_mixer,
    read_configuration,
)

NAMES = list(built_in_mixers())
LAM = torch.tensor([0.15, 0.3, 0.5, 0.7, 0.85, 0.4])


def photos(count: int = 6, height: int = 40, width: int = 56) -> Tensor:
    """Soft spots of several sizes: images with structure, unlike noise."""
    generator = torch.Generator().manual_seed(5)
    small = torch.rand(count, 3, 5, 7, generator=generator)
    return torch.nn.functional.interpolate(small, (height, width), mode="bicubic").clamp(0, 1)


@pytest.fixture(scope="module", params=NAMES)
def mixer(request: pytest.FixtureRequest) -> PretrainedMixer:
    return open_mixer(request.param)


def test_the_default_one_is_there_and_comes_first() -> None:
    assert NAMES[0] == DEFAULT_MIXER
    assert len(NAMES) >= 2
    assert open_mixer().record == open_mixer(DEFAULT_MIXER).record


@pytest.mark.parametrize("name", NAMES)
def test_files_are_small_and_whole(name: str) -> None:
    folder = built_in_mixers()[name]
    names = {path.name for path in folder.iterdir()}
    assert names == {"README.md", "config.json", "model.safetensors"}
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 2_000_000
    card = (folder / "README.md").read_text()
    record = read_configuration(folder)["record"]
    for fact in (*record["data"], record["objective"], record["length"], record["date"]):
        assert fact in card
    assert "license: apache-2.0" in card


@pytest.mark.parametrize("name", NAMES)
def test_trained_without_labels_and_without_test_photos(name: str) -> None:
    record = read_configuration(built_in_mixers()[name])["record"]
    assert record["labels"] == "none"
    assert "remarks" not in record or not record["remarks"]
    assert "magnetic" not in json.dumps(record["data"])
    for source in record["data"]:
        # of photos of others the train parts alone; the demo's parts are those of another seed
        assert source.startswith(("cifar10/train-", "clothing/train", "demo:"))
        assert not source.startswith("demo:") or "seed=1" in source


def test_it_is_alive(mixer: PretrainedMixer) -> None:
    batch = photos()
    mask = mixer(batch, batch.roll(1, 0), LAM)
    assert mask.flatten(1).std(1).mean() > 0.1
    assert (mask.mean((1, 2, 3)) - LAM).abs().max() < 0.005  # the area is what the label says
    assert mixer.compatibility() <= TOLERANCE


def test_exchanging_the_images_exchanges_the_mask(mixer: PretrainedMixer) -> None:
    batch = photos(height=64, width=48)
    mask = mixer(batch, batch.roll(1, 0), LAM)
    back = mixer(batch.roll(1, 0), batch, 1.0 - LAM)
    assert (mask + back - 1.0).abs().max() < 1e-5
    other = mixer(batch, batch.roll(2, 0), LAM)
    assert (mask - other).abs().mean() > 0.02  # another partner, another mask


def test_masks_depend_neither_on_normalisation_nor_much_on_size(mixer: PretrainedMixer) -> None:
    batch = photos(height=64, width=64)
    wanted = mixer(batch, batch.roll(1, 0), LAM)
    mean = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
    deviation = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)
    for changed in ((batch - mean) / deviation, batch * 255, batch * 2 - 1):
        found = mixer(changed, changed.roll(1, 0), LAM)
        assert (found - wanted).abs().max() < 1e-3
    half = torch.nn.functional.interpolate(batch, (32, 32), mode="bilinear", antialias=True)
    small = mixer(half, half.roll(1, 0), LAM)
    there = torch.nn.functional.adaptive_avg_pool2d(wanted, 32)
    assert (small - there).abs().mean() < 0.02


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_low_precision_changes_masks_little(mixer: PretrainedMixer, dtype: torch.dtype) -> None:
    """Images of low precision, a step under autocast, and a model that is cast."""
    batch = photos(24, 48, 48)
    lam = torch.linspace(0.1, 0.9, 24)
    wanted = mixer(batch, batch.roll(1, 0), lam)
    low = batch.to(dtype)
    found = {"images": mixer(low, low.roll(1, 0), lam)}
    with torch.autocast("cpu", dtype):
        found["autocast"] = mixer(batch, batch.roll(1, 0), lam)
    found["cast"] = mixer.to(dtype)(batch, batch.roll(1, 0), lam)
    for how, mask in found.items():
        assert mask.dtype == torch.float32
        apart = (mask - wanted).abs().flatten()
        assert apart.mean() <= 1e-2, how
        assert apart.quantile(0.99) <= 0.1, how


def test_it_compiles_as_one_graph(mixer: PretrainedMixer) -> None:
    batch = photos()
    wanted = mixer(batch, batch.roll(1, 0), LAM)
    compiled = torch.compile(mixer, fullgraph=True, backend="aot_eager")
    assert torch.allclose(compiled(batch, batch.roll(1, 0), LAM), wanted, atol=1e-5)
    features = mixer.features(batch)
    inner = torch.compile(mixer.mixer, fullgraph=True, backend="aot_eager")
    mask = inner(features, features.roll(1, 0), LAM, (40, 56))
    assert torch.allclose(mask, wanted, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_as_a_policy_by_name(name: str) -> None:
    policy = samix.create_policy("samix-p", mixer=name, p=0.5)
    plan = policy.plan(photos(), generator=torch.Generator().manual_seed(0))
    assert policy.name == "samix-p"
    assert plan.mask.shape == (6, 1, 40, 56)
    assert samix.create_policy("samix-p", mixer=name).alpha == 1.0  # type: ignore[attr-defined]


def test_what_is_no_mixer_is_refused_with_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"mixer: expected one of natural.*the nearest is"):
        open_mixer("cifar-demo")
    with pytest.raises(ValueError, match="holds no pre-trained Mixer"):
        open_mixer(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ValueError, match="holds no pre-trained Mixer"):
        open_mixer(tmp_path)
