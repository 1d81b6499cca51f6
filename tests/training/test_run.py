from __future__ import annotations

import csv
import json

import numpy as np
import pandas as pd
import pytest
import torch
import yaml

from samix.data import open_images
from samix.errors import InputError
from samix.methods import COSTS, Cost
from samix.networks import small_stem
from samix.training import Silent, TrainingDivergedError, resume, train
from samix.training import run as run_module
from samix.training.module import MethodModule
from samix.training.prepare import prepare, resolve


class Recorder(Silent):
    def __init__(self):
        self.said: list[str] = []

    def say(self, text):
        self.said.append(text)


def test_a_run_folder_holds_everything(tiny):
    display = Recorder()
    result = train(tiny(), display=display)
    run = result.run
    found = {path.name for path in run.path.iterdir()}
    assert found == {
        "config.yaml", "splits.csv", "photos.csv", "predictions.csv", "history.csv", "metrics.json",
        "mixes.png", "run.html",
        "checkpoints", "tensorboard", "model.json", "model.safetensors",
        "model_average.safetensors", "mixer.safetensors", ".lock",
    }  # fmt: skip
    assert {p.name for p in run.last.parent.iterdir()} == {"last.ckpt", "best.ckpt"}

    written = yaml.safe_load(run.config.read_text())
    assert written["config"]["lr"] == 0.05
    assert written["config"]["mixer_lr"] == 0.05
    assert {"torch", "timm", "lightning"} <= set(written["versions"])

    rows = list(csv.DictReader(run.history.open()))
    assert all(0.0 <= float(row["waiting_share"]) <= 1.0 for row in rows)
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    metrics = json.loads(run.metrics.read_text())
    assert metrics == result.metrics
    assert set(metrics["test"]) == {"encoder", "average"}
    assert set(metrics["test"]["encoder"]["recall"]) == set(open_images("demo").classes)
    assert 0 <= metrics["test"]["encoder"]["ece"] <= 1
    assert metrics["photos"]["test"] == metrics["test"]["encoder"]["photos"] == 24
    assert metrics["mixer"]["came_alive"] is False
    assert metrics["cost"]["steps"] == 9

    chosen = metrics["checkpoint"]["epoch"]
    balanced = [float(row["val_balanced_accuracy"]) for row in rows]
    assert balanced[chosen - 1] == max(balanced)
    assert max(balanced[chosen:], default=-1.0) < max(balanced)
    # the checkpoint on disk is that of this epoch
    best = metrics["val"]["encoder"]["balanced_accuracy"]
    assert best == pytest.approx(max(balanced), abs=1e-5)
    assert sum("The Mixer is" in line for line in display.said) == 1


def test_exported_weights_fit_a_plain_timm_model(tiny):
    import timm

    config = tiny(epochs=1, policy="mixup")
    run = train(config).run
    state = torch.load(run.best, weights_only=True)["state_dict"]
    prefix = "method.encoder."
    encoder = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
    model = small_stem(timm.create_model("resnet18", num_classes=6, **config.model_kwargs))
    model.load_state_dict(encoder)


def test_mixes_are_shown_as_people_see_the_photos(tiny, monkeypatch):
    shown = {}
    monkeypatch.setattr(
        run_module, "draw_mixes", lambda path, images, *rest, **kw: shown.update(i=images)
    )
    config = tiny(epochs=1, policy="cutmix")
    result = train(config)
    pictures = open_images(config.data)
    rows = csv.DictReader(result.run.splits.open())
    train_part = [i for i, row in enumerate(rows) if row["split"] == "train"]
    photos = torch.stack([torch.tensor(np.array(pictures.read(i))).long() for i in train_part])
    for image in shown["i"]:
        seen = (image.permute(1, 2, 0) * 255).round().long()
        assert ((photos - seen).abs().amax((1, 2, 3)) <= 1).any()


def test_default_batch_shrinks_and_says_so(tiny):
    display = Recorder()
    train(tiny(epochs=1, batch_size=5000, shrink_batch=True, policy="none"), display=display)
    assert any("Batch size 72 instead of 5000" in line for line in display.said)


def test_few_labels_do_not_spend_their_time_on_judging(tiny):
    many = prepare(resolve(tiny(epochs=100)))
    few = tiny(epochs=100, labels_per_class=1, batch_size=2, val_fraction=0.4)
    assert many.config.validate_every == 1
    # 48 photos to judge, 12 to learn from
    assert prepare(resolve(few)).config.validate_every == 2
    few = tiny(epochs=39, labels_per_class=1, batch_size=2, val_fraction=0.4)
    assert prepare(resolve(few)).config.validate_every == 1  # twenty looks


def test_choices_about_mixes_reach_the_method(tiny, tiny_pretrain):
    chosen = {"pairing": "same", "label": "lam", "decoupled": 0.1, "mix_epochs": 1.5}
    made = prepare(resolve(tiny(epochs=2, policy="cutmix", **chosen)))
    options, batches = made.task.method.options, len(made.task.batches)
    counter = made.task.method.counter
    assert (options.pairing, options.label, options.decoupled) == ("same", "lam", 0.1)
    assert counter.mix_batches == round(1.5 * batches)
    assert counter.planned == 2 * batches
    made = prepare(resolve(tiny_pretrain(epochs=2, policy="cutmix", mix_epochs=1)))
    assert made.task.method.counter.mix_batches == len(made.task.batches)
    with pytest.raises(InputError, match="pairing: expected the default with policy 'co-mixup'"):
        prepare(resolve(tiny(policy="co-mixup", pairing="same")))


def test_the_last_epochs_can_be_unmixed(tiny):
    whole = train(tiny(epochs=2, policy="none"))
    free = train(tiny(epochs=2, policy="cutmix", mix_epochs=0, output=f"{whole.run.path}-2"))
    histories = [pd.read_csv(result.run.path / "history.csv") for result in (whole, free)]
    assert histories[0]["loss"].tolist() == histories[1]["loss"].tolist()


def test_looks_at_validation_as_often_as_asked_and_at_the_end(tiny):
    result = train(tiny(epochs=5, validate_every=2, policy="none"))
    rows = list(csv.DictReader(result.run.history.open()))
    assert [row["epoch"] for row in rows if row["val_top1"]] == ["2", "4", "5"]
    assert result.metrics["checkpoint"]["epoch"] in (2, 4, 5)


def test_accumulated_batches_make_one_step(tiny):
    result = train(tiny(epochs=1, batch_size=12, accumulate=2, clip=1.0, policy="mixup"))
    assert result.metrics["cost"]["steps"] == 3


def test_a_term_of_some_batches_is_averaged_over_those(tiny, monkeypatch):
    """As the Mixer's loss, where it learns in every second step."""
    monkeypatch.setitem(COSTS, "fast", Cost(mixer_every=2))
    found: list[dict[str, float]] = []
    step = MethodModule.training_step

    def noted(self, batch, batch_idx):
        before = {name: value.item() for name, value in self.sums.items()}
        loss = step(self, batch, batch_idx)
        after = {name: value.item() for name, value in self.sums.items()}
        found.append({name: after[name] - before.get(name, 0.0) for name in after})
        return loss

    monkeypatch.setattr(MethodModule, "training_step", noted)
    result = train(tiny(epochs=1, batch_size=12, policy="samix", cost="fast"))
    (row,) = csv.DictReader(result.run.history.open())
    losses = [one["mixer"] for one in found]
    assert [loss != 0 for loss in losses] == [True, False] * 3
    assert float(row["mixer"]) == pytest.approx(sum(losses) / 3, rel=1e-4)
    assert float(row["encoder"]) == pytest.approx(sum(one["encoder"] for one in found) / 6, 1e-4)


def test_nan_loss_stops_names_the_place_and_keeps_the_checkpoint(tiny, monkeypatch):
    step = MethodModule.training_step

    def poisoned(self, batch, batch_idx):
        loss = step(self, batch, batch_idx)
        if self.current_epoch == 1 and batch_idx == 1:
            loss = loss * float("nan")
            self.first_bad = torch.tensor(2.0)
        return loss

    monkeypatch.setattr(MethodModule, "training_step", poisoned)
    with pytest.raises(TrainingDivergedError, match=r"epoch 2, step 2.*last\.ckpt.*epoch 1"):
        train(tiny())
    path = tiny().output
    state = torch.load(f"{path}/checkpoints/last.ckpt", weights_only=True)["state_dict"]
    assert all(torch.isfinite(v).all() for v in state.values() if v.is_floating_point())
    monkeypatch.undo()
    assert resume(path).status == "finished"


def test_a_rate_that_is_far_too_high_diverges(tiny):
    with pytest.raises(TrainingDivergedError, match="epoch"):
        train(tiny(lr=1e30, warmup=0.0, policy="none"))


def test_checkpoint_of_another_model_is_refused(tiny, tmp_path):
    one = train(tiny(output=str(tmp_path / "one"), epochs=1, policy="none"))
    other = train(
        tiny(
            output=str(tmp_path / "two"), epochs=1, policy="none", model_kwargs={"layers": [1] * 4}
        )
    )
    one.run.metrics.unlink()
    other.run.last.replace(one.run.last)
    with pytest.raises(InputError, match="another model"):
        resume(one.run.path)
    one.run.last.write_bytes(b"nothing")
    with pytest.raises(InputError, match="damaged"):
        resume(one.run.path)


def test_output_that_exists_or_cannot_be_written_is_refused(tiny, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.txt").touch()
    with pytest.raises(InputError, match="exists"):
        train(tiny())
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["thesis.txt"]
    with pytest.raises(InputError, match="cannot be written"):
        train(tiny(output=str(tmp_path / "run" / "thesis.txt" / "x"), epochs=1))


def test_image_size_too_small_for_the_tap(tiny):
    with pytest.raises(InputError, match="image_size 8 is too small for resnet18"):
        train(tiny(image_size=8, stem=None))
