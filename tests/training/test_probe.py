"""Linear probe, then all weights: where training of a trained network begins."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

import samix
from samix.cli.train import config_from
from samix.data import open_images
from samix.errors import InputError
from samix.methods.step import parameter_groups
from samix.networks import MomentumEncoder, classifier_of, create_backbone, layer_scales
from samix.progress import Silent
from samix.training import TrainConfig, resume, train
from samix.training.frozen import frozen_config, frozen_encoder
from samix.training.prepare import prepare, resolve
from samix.training.probe import fit_head, fitted_size, fitted_steps

BATCH = torch.randn(8, 3, 32, 32, generator=torch.Generator().manual_seed(0))
TARGET = torch.arange(8) % 2


class Heard(Silent):
    """A display that keeps what is said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


@pytest.fixture
def tuned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., TrainConfig]:
    """Configurations of runs on 40 drawn photos, from weights of five classes."""
    monkeypatch.setenv("SAMIX_CACHE", str(tmp_path / "cache"))
    images = open_images("demo:photos_per_class=20,size=32", need_labels=True)
    for i in range(len(images)):
        if images.targets[i] < 2:
            file = tmp_path / "photos" / f"class{images.targets[i]}" / f"{i}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            images.read(i).save(file)
    torch.manual_seed(3)
    state = create_backbone("test_resnet", num_classes=5).state_dict()
    for name, value in state.items():
        if name.endswith("running_mean"):  # as if it had seen photos
            value.fill_(0.1)
    torch.save(state, tmp_path / "w.pth")

    def make(**changes: Any) -> TrainConfig:
        own = {"data": str(tmp_path / "photos"), "weights": str(tmp_path / "w.pth"), "probe": True}
        network = {"backbone": "test_resnet", "image_size": 32, "device": "cpu", "batch_size": 8}
        run = {"policy": "none", "steps": 6, "optimizer": "adamw", "norms": "frozen"}
        return TrainConfig(**{**own, **network, **run, "output": str(tmp_path / "run"), **changes})

    return make


def test_the_classifier_and_the_teacher_begin_as_the_frozen_rival(tuned, tmp_path) -> None:
    prepared = prepare(resolve(tuned(policy="samix")))
    rival = resolve(frozen_config(TrainConfig(
        data=tuned().data, weights=tuned().weights, backbone="test_resnet", image_size=32,
        device="cpu", policy="frozen",
    )))  # fmt: skip
    encoder, _ = frozen_encoder(rival, len(prepared.images.classes))
    found = fit_head(encoder, rival, prepared.images, prepared.splits, announce=Silent().work)
    method = prepared.method
    assert torch.equal(classifier_of(method.encoder).weight, found.head.weight)
    with torch.no_grad():
        expected = found.network(BATCH)
        assert torch.equal(method.average(BATCH), expected)
        assert torch.equal(method.encoder.eval()(BATCH), expected)
    assert all(p.requires_grad for p in method.encoder.parameters())
    assert prepared.probe is not None
    assert prepared.probe["val"]["photos"] == len(prepared.splits.val)


def test_a_run_says_how_it_begins_and_whether_it_was_worth_it(tuned) -> None:
    display = Heard()
    result = train(tuned(), display=display)
    assert result.metrics is not None
    planned = result.metrics["epochs"]["planned"]
    steps = result.metrics["cost"]["steps"]
    assert steps >= 6 > steps - steps // planned  # to the next full pass
    first = display.lines[0]
    for words in ("test_resnet", "w.pth'", "32 px", f"{steps} steps of 8", "linear probe", " min;"):
        assert words in first
    probe = result.metrics["probe"]
    better = (
        probe["val"]["balanced_accuracy"] > result.metrics["val"]["encoder"]["balanced_accuracy"]
    )
    assert probe["better_on_val"] == better
    result.run.metrics.unlink()  # as if it had been stopped while it was judged
    again = resume(result.run.path).metrics
    assert again is not None
    assert again["probe"] == json.loads(result.run.probe.read_text()) | {"better_on_val": better}


@pytest.mark.parametrize("norms", ["frozen", "adapted"])
def test_statistics_stay_or_follow_the_batches(tuned, norms) -> None:
    method = prepare(resolve(tuned(norms=norms))).method
    before = {k: v.clone() for k, v in method.encoder.named_buffers() if v.is_floating_point()}
    method.encoder.train()  # as who judges it leaves it
    method(BATCH, TARGET)
    after = dict(method.encoder.named_buffers())
    same = [torch.equal(before[name], after[name]) for name in before]
    assert all(same) if norms == "frozen" else not any(same)


@pytest.mark.parametrize("teacher", ["frozen", "average"])
def test_a_frozen_teacher_stays_as_it_began(tuned, teacher) -> None:
    method = prepare(resolve(tuned(policy="samix", teacher=teacher))).method
    before = {k: v.clone() for k, v in method.average.module.named_parameters()}
    for parameter in method.encoder.parameters():
        parameter.data += 1
    method.update_momentum()
    same = [torch.equal(before[k], v) for k, v in method.average.module.named_parameters()]
    assert all(same) if teacher == "frozen" else not any(same)
    assert method.counter.updates == 1


def test_layers_near_the_image_learn_more_slowly() -> None:
    network = create_backbone("tf_efficientnet_lite0", num_classes=3)
    names = {parameter: name for name, parameter in network.named_parameters()}
    scales = {names[p]: scale for p, scale in layer_scales(network, 0.9).items()}
    assert scales["classifier.weight"] == 1.0
    assert scales["conv_head.weight"] == pytest.approx(0.9)
    assert scales["blocks.5.3.conv_pw.weight"] == pytest.approx(0.81)
    assert scales["conv_stem.weight"] == pytest.approx(0.9**17)
    assert min(layer_scales(network, 0.5).values()) == 0.01
    method = samix.create_method("supervised", backbone=network, num_classes=3, policy="none")
    rates = {
        id(p): (group["lr"], group["weight_decay"])
        for group in method.parameter_groups(0.2, weight_decay=0.1, layer_decay=0.9)
        for p in group["params"]
    }
    assert len(rates) == len(names)
    assert rates[id(network.conv_head.weight)] == (pytest.approx(0.18), 0.1)
    assert rates[id(network.bn2.bias)] == (pytest.approx(0.18), 0.0)
    plain = parameter_groups(network, None, lr=0.2, weight_decay=0.1)
    assert [group["name"] for group in plain] == ["weights", "biases"]
    with pytest.raises(ValueError, match="layer_decay: expected a number in"):
        layer_scales(network, 0.0)


def test_a_teacher_of_trained_weights_uses_their_statistics() -> None:
    encoder = create_backbone("test_resnet", num_classes=2)
    average = MomentumEncoder(encoder)
    assert average.uses_batch
    for module in encoder.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.fill_(0.1)
    average.begin_as(encoder)
    assert not average.uses_batch
    torch.testing.assert_close(average(BATCH), encoder.eval()(BATCH))


@pytest.mark.parametrize(
    ("side", "backbone", "expected"),
    [
        (32, "resnet18", 96),
        (110, "resnet18", 96),
        (120, "resnet18", 128),
        (170, "resnet18", 160),
        (700, "resnet18", 224),
        (32, "vit_tiny_patch16_224", 224),
    ],
)
def test_the_side_suits_photos_and_network(tmp_path, side, backbone, expected) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for number in range(3):
            Image.new("RGB", (side + 40, side)).save(tmp_path / name / f"{number}.png")
    images = open_images(tmp_path, need_labels=True)
    config = TrainConfig(data=str(tmp_path), backbone=backbone, fit_size=True)
    assert fitted_size(config, images).image_size == expected
    fixed = TrainConfig(data=str(tmp_path), image_size=77)
    assert fitted_size(fixed, images).image_size == 77


@pytest.mark.parametrize(
    ("photos", "device", "expected"),
    [(100, "cpu", 100), (400, "cpu", 125), (9000, "cpu", 150), (9000, "cuda", 1000)],
)
def test_steps_suit_photos_and_machine(photos, device, expected) -> None:
    config = TrainConfig(data="photos", device=device, batch_size=32, steps=100, fit_steps=True)
    assert fitted_steps(config, photos).steps == expected
    assert fitted_steps(TrainConfig(data="photos", steps=7), photos).steps == 7


def test_a_folder_of_photos_is_learned_from_trained_weights() -> None:
    config = config_from({"data": "photos"})
    assert config.backbone == config.weights == "tf_efficientnet_lite0"
    assert (config.probe, config.norms, config.fit_size) == (True, "frozen", True)
    assert config.steps is not None
    assert config.policy == "none"
    assert config_from({"data": "photos", "policy": "samix"}).policy_options == {}
    assert config_from({"data": "photos", "epochs": 3}).steps is None
    assert not config_from({"data": "photos", "image_size": 64}).fit_size
    named = config_from({"data": "photos", "pretrained": True, "backbone": "resnet50"})
    assert (named.backbone, named.weights, named.probe) == ("resnet50", None, True)
    file = config_from({"data": "photos", "weights": "w.pth", "backbone": "resnet50"})
    assert (file.backbone, file.weights, file.probe) == ("resnet50", "w.pth", True)


@pytest.mark.parametrize(
    "given",
    [
        {"backbone": "resnet18"}, {"pretrained": False}, {"preset": "small-resnet"},
        {"stem": "small"}, {"policy": "runs/photos-samix"},
    ],
)  # fmt: skip
def test_another_network_begins_with_random_weights_as_was_asked_for(given) -> None:
    config = config_from({"data": "photos", **given})
    assert config.weights is None
    assert not config.probe


def test_random_weights_have_no_linear_probe() -> None:
    with pytest.raises(InputError, match="probe: expected False for a network with random weights"):
        TrainConfig(data="photos", probe=True)
