from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import load_file

import samix
from samix.data import ImageSet, make_splits, open_images
from samix.data.image_set import NO_LABEL
from samix.errors import InputError
from samix.networks import small_stem
from samix.training import Silent, pretrain, train, warm_start
from samix.training import run as run_module
from samix.training.config import PretrainConfig
from samix.training.prepare import prepare, resolve
from samix.training.warm_start import adopt

Make = Callable[..., PretrainConfig]


def weights(run: Path) -> dict[str, torch.Tensor]:
    return torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]


def same(one: Path, other: Path) -> bool:
    first, second = weights(one), weights(other)
    assert first.keys() == second.keys()
    return all(torch.equal(value, second[name]) for name, value in first.items())


def sides(run: Path) -> dict[str, str]:
    rows = csv.DictReader((run / "splits.csv").open())
    return {row["path"]: row["split"] for row in rows}


def flat(folder: Path, count: int = 40) -> Path:
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for i in range(count):
        pixels = rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{i}.png")
    return folder


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SAMIX_CACHE", str(tmp_path / "cache"))


class Recorder(Silent):
    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)


def test_a_run_folder_holds_everything(tiny_pretrain: Make) -> None:
    # with these draws of lam the Mixer does not come alive in nine steps
    display, config = Recorder(), tiny_pretrain(policy_options={"alpha": 2.0})
    result = pretrain(config, display=display)
    run = result.run
    assert {path.name for path in run.path.iterdir()} == {
        "config.yaml", "splits.csv", "photos.csv", "history.csv", "metrics.json", "mixes.png",
        "run.html", "checkpoints",
        "tensorboard", "model.json", "model.safetensors", "model_average.safetensors",
        "mixer.safetensors", ".lock",
    }  # fmt: skip
    assert [path.name for path in run.last.parent.iterdir()] == ["last.ckpt"]
    metrics = json.loads(run.metrics.read_text())
    assert metrics == result.metrics
    assert (metrics["method"], metrics["policy"]) == ("moco", "samix")
    assert metrics["checkpoint"]["epoch"] == 3
    assert metrics["photos"] == {"train": 72, "val": 24, "test": 24}
    assert metrics["held_out"]["photos"] == metrics["held_out"]["batch"] == 24
    assert 0 <= metrics["knn"]["encoder"]["top1"] <= 1
    assert metrics["mixer"]["came_alive"] is False
    assert metrics["cost"]["steps"] == 9
    rows = list(csv.DictReader(run.history.open()))
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert float(rows[-1]["held_out_loss"]) == pytest.approx(metrics["held_out"]["loss"], rel=1e-4)
    assert float(rows[-1]["knn_top1"]) == pytest.approx(metrics["knn"]["encoder"]["top1"], abs=1e-4)
    assert any("never looked at" in line for line in display.said)
    assert any("held-out" in line and "kNN" in line for line in display.said)

    described = json.loads((run.path / "model.json").read_text())
    assert (described["kind"], described["method"]) == ("embedding", "moco")
    model = small_stem(timm.create_model("resnet18", num_classes=0, **config.model_kwargs))
    model.load_state_dict(load_file(run.path / "model.safetensors"))
    prefix = "method.network.backbone."
    for name, value in model.state_dict().items():
        assert torch.equal(value, weights(run.path)[prefix + name])


@pytest.mark.parametrize(
    ("method", "policy"),
    [("simclr", "cutmix"), ("byol", "samix"), ("mocov3", "none"), ("moco", "mixco"),
     ("moco", "mochi")],
)  # fmt: skip
def test_every_method_and_rivals(tiny_pretrain: Make, method: str, policy: str) -> None:
    metrics = pretrain(
        tiny_pretrain(method=method, policy=policy, epochs=1, method_options={})
    ).metrics
    assert metrics is not None
    assert np.isfinite(metrics["held_out"]["loss"])
    assert (metrics["mixer"] is None) == (policy != "samix")


def test_same_seed_same_weights(tiny_pretrain: Make, tmp_path: Path) -> None:
    runs = [
        pretrain(tiny_pretrain(epochs=1, seed=seed, output=str(tmp_path / name))).run.path
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    ]
    assert same(runs[0], runs[1])
    assert not same(runs[0], runs[2])


def given_split(images: ImageSet) -> ImageSet:
    """The same photos with their split as if the data had brought it."""
    splits = make_splits(images)
    side = {i: name for name in ("train", "val", "test") for i in getattr(splits, name)}
    return replace(images, given_split=tuple(side[i] for i in range(len(images))))  # type: ignore[arg-type]


def test_labels_are_never_learned_from(
    tiny_pretrain: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny_pretrain()
    images = given_split(open_images(config.data))
    shuffled = np.random.default_rng(0).permutation(images.targets).tolist()
    assert shuffled != list(images.targets)
    none = replace(images, classes=(), targets=(NO_LABEL,) * len(images))
    runs = []
    for name, wanted in (
        ("right", images), ("wrong", replace(images, targets=tuple(shuffled))), ("none", none),
    ):  # fmt: skip
        monkeypatch.setattr(warm_start, "open_images", lambda *a, w=wanted, **kw: w)
        runs.append(pretrain(tiny_pretrain(epochs=1, output=str(tmp_path / name))).run.path)
    assert same(runs[0], runs[1])
    assert same(runs[0], runs[2])
    assert "knn_top1" not in (runs[2] / "history.csv").read_text()


def test_test_photos_are_those_of_train_and_never_seen(
    tiny_pretrain: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = open_images(tiny_pretrain().data)
    splits = make_splits(images, seed=4)
    read: set[int] = set()

    def spy(index: int) -> Image.Image:
        read.add(index)
        return images.read(index)

    seen = replace(images, read=spy)
    monkeypatch.setattr(warm_start, "open_images", lambda *a, **kw: seen)
    run = pretrain(tiny_pretrain(seed=4, epochs=1)).run
    assert {key for key, side in sides(run.path).items() if side == "test"} == {
        images.keys[i] for i in splits.test
    }
    assert read == {*splits.train, *splits.val}


@pytest.mark.parametrize("deep", ["", "only"])
def test_flat_folder_and_one_class_work_without_knn(
    tiny_pretrain: Make, tmp_path: Path, deep: str
) -> None:
    flat(tmp_path / "photos" / deep)
    result = pretrain(tiny_pretrain(data=str(tmp_path / "photos"), epochs=1, batch_size=12))
    assert result.metrics is not None
    assert result.metrics["knn"] is None
    assert result.run.mixes.is_file()
    counts = {side: list(sides(result.run.path).values()).count(side) for side in ("val", "test")}
    assert counts == {"val": 6, "test": 8}


def test_photos_without_a_label_are_learned_from(tiny_pretrain: Make, monkeypatch) -> None:
    images = open_images(tiny_pretrain().data)
    targets = tuple(-1 if i % 4 < 2 else t for i, t in enumerate(images.targets))
    monkeypatch.setattr(
        warm_start, "open_images", lambda *a, **kw: replace(images, targets=targets)
    )
    prepared = prepare(resolve(tiny_pretrain()))
    unlabelled = [i for i, target in enumerate(targets) if target < 0]
    assert set(unlabelled) <= {*prepared.splits.train}


def test_a_class_that_is_too_small_does_not_stop(tiny_pretrain: Make, tmp_path: Path) -> None:
    flat(tmp_path / "photos" / "good")
    flat(tmp_path / "photos" / "rare", count=1)
    result = pretrain(tiny_pretrain(data=str(tmp_path / "photos"), epochs=1, batch_size=12))
    assert result.metrics is not None
    assert any("'rare'" in note for note in result.metrics["notes"])


def test_bad_input_is_refused_before_the_run_folder(tiny_pretrain: Make, tmp_path: Path) -> None:
    few = str(flat(tmp_path / "few", count=6))
    for changes, message in (
        ({"batch_size": 80}, "batch_size=80 is larger than the 72"),
        ({"batch_size": 65}, "65 is larger than the queue of 64"),
        ({"batch_size": 2, "devices": 2}, "at least 2 for each of 2 process"),
        ({"method": "moka"}, "nearest is 'moco'"),
        ({"method_options": {"queue": 3}}, "queue_size"),
        ({"method_options": {"backbone": "x"}}, "backbone"),
        ({"method": "simclr", "method_options": {"queue_size": 64}}, "queue_size"),
        ({"method_options": {"temperature": 0}}, "temperature"),
        ({"policy": "sdmp", "method": "byol"}, "sdmp"),
        ({"policy": "none", "clean_branch": True}, "clean_branch"),
        ({"image_size": 8, "stem": None}, "image_size 8 is too small"),
        ({"image_size": 64, "stem": None, "view_size": 8}, "view_size 8 is too small"),
        ({"data": few, "batch_size": 2}, "too few"),
        ({"freeze_mixer": True}, "freeze_mixer"),
        ({"policy": "runs/nothing"}, "not a run folder"),
    ):
        with pytest.raises(InputError, match=message):
            pretrain(tiny_pretrain(**changes))
    assert not (tmp_path / "run").exists()
    for changes in ({"batch_size": 1}, {"views": "dino"}, {"view_size": 32}):
        with pytest.raises(InputError, match=str(*changes.values())):
            tiny_pretrain(**changes)


def test_views_may_be_smaller_than_what_is_judged(
    tiny_pretrain: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: set[tuple[int, bool]] = set()
    look = samix.SelfSupervisedMethod.forward

    def spy(self: Any, views: Any) -> Any:
        sizes.update((view.shape[-1], self.training) for view in views)
        return look(self, views)

    monkeypatch.setattr(samix.SelfSupervisedMethod, "forward", spy)
    result = pretrain(tiny_pretrain(epochs=1, view_size=12))
    assert sizes == {(12, True)}
    assert json.loads((result.run.path / "model.json").read_text())["image_size"] == 16
    assert result.metrics is not None
    assert 0 <= result.metrics["knn"]["encoder"]["top1"] <= 1


def test_rates_follow_the_batch_that_is_used(tiny_pretrain: Make) -> None:
    given = {"lr": None, "batch_size": 256, "shrink_batch": True, "method_options": {}}
    config = prepare(resolve(tiny_pretrain(**given))).config
    assert config.batch_size == 72
    assert config.lr == pytest.approx(0.06 * 72 / 256)
    adamw = resolve(tiny_pretrain(lr=None, batch_size=512, optimizer="adamw"))
    assert (adamw.lr, adamw.weight_decay) == (pytest.approx(3e-4), 0.1)


def test_mixes_show_partners_from_the_other_view(
    tiny_pretrain: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[Any] = []
    draw = run_module.draw_mixes

    def spy(path: Path, images: torch.Tensor, *rest: Any, **options: Any) -> None:
        shown.append((images, options["partner_images"]))
        draw(path, images, *rest, **options)

    monkeypatch.setattr(run_module, "draw_mixes", spy)
    monkeypatch.setattr(run_module, "_PAIRS", 8)
    own = {"queue_size": 64, "cross_view": True}
    pretrain(tiny_pretrain(epochs=1, policy="cutmix", method_options=own))
    images, partners = shown[0]
    assert images.shape == partners.shape == (8, 3, 16, 16)
    assert not torch.equal(images, partners)


def test_the_queue_fits_the_photos(tiny_pretrain: Make) -> None:
    """More keys than photos would be former keys of the same photo."""
    prepared = prepare(resolve(tiny_pretrain(method_options={})))
    assert len(prepared.method.queue) == prepared.config.method_options["queue_size"] == 36
    assert any("queue of 36 keys" in note for note in prepared.notes)
    quick = prepare(resolve(tiny_pretrain(method_options={"queue_size": 1024}, preset="quick")))
    assert len(quick.method.queue) == 36
    assert any("36 keys instead of 1024" in note for note in quick.notes)
    given = prepare(resolve(tiny_pretrain(method_options={"queue_size": 640})))
    assert len(given.method.queue) == 640
    assert any("former keys of each photo" in note for note in given.notes)


def test_a_mixer_that_learned_with_labels_is_named(tiny: Any, tiny_pretrain: Make) -> None:
    run = train(tiny(epochs=1)).run.path
    config = adopt(tiny_pretrain(policy=str(run), output=None))
    notes = prepare(resolve(config)).notes
    assert any("was trained with labels" in note for note in notes)


def test_processes_that_keep_their_photos_apart_say_so(tiny_pretrain: Make) -> None:
    own = {"method": "simclr", "method_options": {}, "devices": 2, "device": "cpu"}
    notes = prepare(resolve(tiny_pretrain(**own))).notes
    assert any("not synchronised" in note for note in notes)
    assert not any("synchronised" in n for n in prepare(resolve(tiny_pretrain(devices=2))).notes)
