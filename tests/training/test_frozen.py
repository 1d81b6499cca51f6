"""The frozen rival: cached features, a head that validation chooses, and a run like any other."""

from __future__ import annotations

import csv
import json
import resource
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from torch import Tensor

from samix.cli.running import cost_line
from samix.data import eval_view, open_images
from samix.errors import InputError
from samix.evaluation import Machine, features
from samix.evaluation.frozen import fit_frozen
from samix.evaluation.linear import Labelled
from samix.networks import create_backbone
from samix.training import TrainConfig, resume, train, warm_start
from samix.training.predict import open_classifier, predict

NETWORK = {"backbone": "test_resnet", "image_size": 32, "device": "cpu", "policy": "frozen"}


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of 40 drawn photos of two of the demo's classes, and a cache of its own."""
    monkeypatch.setenv("SAMIX_CACHE", str(tmp_path / "cache"))
    images = open_images("demo:photos_per_class=20,size=32", need_labels=True)
    for i, key in enumerate(images.keys):
        if images.targets[i] < 2:
            file = tmp_path / "photos" / f"class{images.targets[i]}" / f"{Path(key).stem}{i}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            images.read(i).save(file)
    return tmp_path / "photos"


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    torch.manual_seed(3)
    model = create_backbone("test_resnet", num_classes=5)
    torch.save(model.state_dict(), tmp_path / "w.pth")
    return tmp_path / "w.pth"


@pytest.fixture
def frozen(photos: Path, weights: Path, tmp_path: Path) -> Callable[..., TrainConfig]:
    def make(**changes: Any) -> TrainConfig:
        own = {"data": str(photos), "weights": str(weights), "output": str(tmp_path / "run")}
        return TrainConfig(**{**NETWORK, **own, **changes})

    return make


def test_a_run_has_the_usual_files_and_its_model_says_what_the_head_said(
    frozen: Callable[..., TrainConfig], photos: Path, weights: Path, tmp_path: Path
) -> None:
    result = train(frozen())
    run = result.run
    assert result.metrics is not None
    assert result.metrics["test"]["encoder"]["photos"] == len_of(run.splits, "test")
    assert json.loads(run.metrics.read_text())["head"]["strength"] > 0
    assert run.config.is_file()
    classifier = open_classifier(run.path)
    plain = timm.create_model("test_resnet", num_classes=2)
    plain.load_state_dict(classifier.network.state_dict())
    theirs = torch.load(weights, weights_only=True)
    assert torch.equal(plain.state_dict()["conv1.0.weight"], theirs["conv1.0.weight"])
    predict(classifier, open_images(str(photos), need_labels=True), tmp_path / "said.csv")
    said = {row["path"]: row for row in rows_of(tmp_path / "said.csv")}
    for row in rows_of(run.path / "predictions.csv"):
        assert row["predicted"] == said[row["path"]]["class"]
        sure = float(row[f"p_{row['predicted']}"])
        assert sure == pytest.approx(float(said[row["path"]]["confidence"]), abs=1e-3)
    assert resume(run.path).metrics == json.loads(run.metrics.read_text())
    run.metrics.unlink()  # as if it had been stopped before the end
    again = resume(run.path).metrics
    assert again is not None
    assert again["cost"]["features_computed"] == 0
    assert cost_line(again).endswith("the features were all kept from an earlier run.")
    assert again["test"] == result.metrics["test"]


def test_features_are_computed_once_and_anew_for_photos_that_changed(
    frozen: Callable[..., TrainConfig], photos: Path, tmp_path: Path
) -> None:
    first = computed(train(frozen()))
    assert first > 40  # each photo, and those of train mirrored
    assert computed(train(frozen(output=str(tmp_path / "again")))) == 0
    changed = sorted(photos.rglob("*.png"))[0]
    other = sorted(photos.rglob("*.png"))[1]
    changed.write_bytes(other.read_bytes())
    assert 1 <= computed(train(frozen(output=str(tmp_path / "changed"), duplicates="ignore"))) <= 40
    assert computed(train(frozen(output=str(tmp_path / "size"), image_size=40))) > 40
    for file in (tmp_path / "cache" / "features").rglob("*.safetensors"):
        file.write_bytes(file.read_bytes()[:50])
    assert computed(train(frozen(output=str(tmp_path / "damaged")))) > 40


def test_photos_that_are_no_files_are_read_once(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = open_images("demo:photos_per_class=2,size=32", need_labels=True)
    read: list[int] = []
    images = replace(drawn, encoded=None, read=lambda i: read.append(i) or drawn.read(i))
    network = create_backbone("test_resnet", num_classes=2, weights=weights)
    encoder = features.FrozenEncoder(network, eval_view(32), Machine("cpu", None))
    at = range(len(images))
    first = features.frozen_features(encoder, images, at, at[:3], cache=tmp_path / "cache")
    assert sorted(read) == list(at)
    assert first.computed == len(at) + 3
    again = features.frozen_features(encoder, images, at, at[:3], cache=tmp_path / "cache")
    assert again.computed == 0
    assert torch.equal(first.plain, again.plain)
    # what a feature took is known with it
    assert first.seconds.shape == (len(at) + 3,)
    assert (first.seconds > 0).all()
    assert torch.equal(first.seconds, again.seconds)


def test_a_cache_that_is_full_is_passed_over(weights: Path, tmp_path: Path) -> None:
    images = open_images("demo:photos_per_class=2,size=32", need_labels=True)
    network = create_backbone("test_resnet", num_classes=2, weights=weights)
    encoder = features.FrozenEncoder(network, eval_view(32), Machine("cpu", None))
    at = range(len(images))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    try:
        found = features.frozen_features(encoder, images, at, cache=tmp_path / "cache")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert found.computed == len(found.plain) == len(at)
    assert not list((tmp_path / "cache").rglob("*.safetensors"))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"guard": {}}, "guard: expected nothing beside policy 'frozen'"),
        ({"pairing": "same"}, "pairing: expected nothing beside"),
        ({"policy_options": {"alpha": 1.0}}, "policy_options: expected nothing beside"),
        ({"weights": None}, "random weights that is not trained knows nothing"),
        ({"stem": "small"}, "fresh first layers stay random"),
        ({"weights": "resnet18"}, "are for backbone 'resnet18'"),
        ({"devices": 2}, "devices: expected 1"),
    ],
)
def test_what_a_frozen_encoder_cannot_have_is_one_sentence(
    frozen: Callable[..., TrainConfig], changes: dict[str, Any], said: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=said) as caught:
        train(frozen(**changes, output=str(tmp_path / "none")))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("width", [4, 64])
def test_the_head_is_that_of_a_logistic_regression(classes: int, width: int) -> None:
    generator = torch.Generator().manual_seed(classes)
    target = torch.arange(30) % classes
    part = Labelled(torch.randn(30, width, generator=generator) * 3 + target[:, None], target)
    head = fit_frozen(part, part, classes, strengths=(0.3,))
    standard = (part.embedding - part.embedding.mean(0)) / part.embedding.std(0, correction=0)

    def loss(logits: Tensor, weight: Tensor) -> Tensor:
        # two classes are one row there, whose penalty is that of the difference of ours
        size = weight.square().sum() * (2 if classes == 2 else 1)
        return torch.nn.functional.cross_entropy(logits, target) + 0.15 * size

    def ours() -> float:
        scaled = head.weight * part.embedding.std(0, correction=0)
        return float(loss(head.logits(part.embedding), scaled))

    weight = torch.zeros(classes, width + 1, requires_grad=True)
    optimizer = torch.optim.LBFGS([weight], max_iter=200, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        found = loss(standard @ weight[:, :-1].T + weight[:, -1], weight[:, :-1])
        found.backward()
        return found

    optimizer.step(closure)
    assert ours() == pytest.approx(float(closure()), abs=1e-3)


def test_rare_classes_are_weighted_and_mirrored_photos_tried() -> None:
    target = torch.tensor([0] * 20 + [1] * 5)
    part = Labelled(torch.randn(25, 6, generator=torch.Generator().manual_seed(0)), target)
    head = fit_frozen(part, part, 2, flipped=part.embedding)
    assert head.balanced
    assert {one["flips"] for one in head.tried} == {True, False}
    with pytest.raises(ValueError, match="at least 2 classes"):
        fit_frozen(Labelled(part.embedding, torch.zeros(25, dtype=torch.int64)), part, 2)
    with pytest.raises(ValueError, match="at least 2 classes, got 0"):
        fit_frozen(Labelled(part.embedding[:0], target[:0]), part, 2)


def test_the_cache_is_found_by_weights() -> None:
    encoders = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        view = features.View(32, 32, "none", False, (0.5,) * 3, (0.5,) * 3)
        network = create_backbone("test_resnet", num_classes=2)
        encoders.append(features.FrozenEncoder(network, view, features.Machine()))
    one, same, other = (encoder.checksum(("fc.",)) for encoder in encoders)
    assert one == same != other


def computed(result: Any) -> int:
    return int(result.metrics["cost"]["features_computed"])


def rows_of(file: Path) -> list[dict[str, str]]:
    with file.open(newline="") as lines:
        return list(csv.DictReader(lines))


def len_of(splits: Path, part: str) -> int:
    return sum(row["split"] == part for row in rows_of(splits))


def test_of_a_run_that_it_starts_from_the_split_is_taken(
    frozen: Callable[..., TrainConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    earlier = {"policy": "none", "epochs": 1, "batch_size": 8, "output": str(tmp_path / "earlier")}
    first = train(frozen(**earlier, seed=1)).run
    opened = []
    real = warm_start.open_source
    monkeypatch.setattr(
        warm_start, "open_source", lambda *given: opened.append(given) or real(*given)
    )
    run = train(frozen(weights=None, init=str(first.path), seed=2)).run
    assert len(opened) == 1
    assert run.splits.read_text() == first.splits.read_text()
