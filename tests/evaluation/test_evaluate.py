from __future__ import annotations

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from samix.data import make_splits, open_images, write_splits
from samix.errors import InputError
from samix.evaluation.budgets import parse_budgets
from samix.evaluation.encoder import open_encoder
from samix.evaluation.evaluate import EvaluateOptions, divide, evaluate
from samix.evaluation.finetune import FinetuneOptions

from .conftest import MAKE

QUICK = FinetuneOptions(least_steps=2, epochs=1)


@pytest.fixture(scope="module")
def images():
    return open_images("demo:photos_per_class=12,size=16")


@pytest.fixture
def encoder(checkpoint):
    return open_encoder(checkpoint, **MAKE)


class Recorder:
    def __init__(self):
        self.said, self.worked = [], set()

    def say(self, text):
        self.said.append(getattr(text, "en", text))

    def work(self, what, done, total):
        assert 0 <= done <= total
        self.worked.add(getattr(what, "en", what))


def test_all_protocols_with_mean_and_spread(encoder, images):
    options = EvaluateOptions(
        budgets=parse_budgets(["4", "25%"]), draws=2, finetune=QUICK, neighbours=500, seed=3
    )
    shown = Recorder()
    result = evaluate(encoder, images, options, progress=shown)
    assert json.loads(json.dumps(result)) == result
    knn, photos = result["knn"], result["data"]["photos"]
    assert knn["k"] == knn["photos"]["reference"] == photos["train"]
    assert knn["photos"]["judged"] == photos["test"]
    assert knn["random_encoder_seeds"] == [3, 4, 5]
    assert len(knn["random_encoder_accuracies"]) == 3
    assert knn["random_encoder_accuracy"] == max(knn["random_encoder_accuracies"])
    for value in (knn["accuracy"], knn["pixel_accuracy"], result["linear"]["accuracy"]):
        assert 0 <= value <= 1
    for key in ("linear", "finetune"):
        budgets = result[key]["budgets"]
        assert [budget["labels"] for budget in budgets] == ["25%", "4"]  # by photos
        for budget in budgets:
            assert len(budget["photos"]) == len(budget["val_photos"]) == 2
            for metric in ("accuracy", "balanced_accuracy"):
                values = budget[metric]["values"]
                assert len(values) == 2
                assert budget[metric]["mean"] == pytest.approx(sum(values) / 2)
                assert budget[metric]["spread"] == pytest.approx(
                    abs(values[0] - values[1]) / 2**0.5
                )
    assert result["finetune"]["recipe"]["optimizer"] == "sgd"
    assert set(result["seconds"]) == {"knn", "linear", "finetune", "all"}
    assert any("draw 2/2" in line for line in shown.said)
    assert "encoder: embeddings of train" in shown.worked


def test_a_repeated_evaluation_says_the_same(encoder, images):
    options = EvaluateOptions(budgets=parse_budgets(["2"]), draws=1, finetune=QUICK)
    one, other = (evaluate(encoder, images, options) for _ in range(2))
    one.pop("seconds"), other.pop("seconds")
    assert one == other
    assert one["finetune"]["budgets"][0]["accuracy"]["spread"] is None


def test_only_what_is_asked_for(encoder, images):
    assert "knn" not in evaluate(encoder, images, EvaluateOptions(protocol="linear", draws=1))
    knn = evaluate(encoder, images, EvaluateOptions(protocol="knn", part="val"))
    assert not {"linear", "finetune"} & set(knn)
    assert knn["knn"]["photos"]["judged"] == knn["data"]["photos"]["val"]


def test_equal_photos_are_tuned_once(encoder, images, monkeypatch):
    from samix.evaluation.finetune import Finetuner

    runs = []
    run = Finetuner.run
    monkeypatch.setattr(Finetuner, "run", lambda *given: runs.append(given[1]) or run(*given))
    options = EvaluateOptions(
        protocol="finetune", budgets=parse_budgets(["1%", "5%"]), draws=2, finetune=QUICK
    )
    first, second = evaluate(encoder, images, options)["finetune"]["budgets"]
    assert first["accuracy"] == second["accuracy"]
    assert len(runs) == 2


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"protocol": "lineer"}, ["protocol: expected", "'lineer'", "'linear'"]),
        ({"part": "vla"}, ["part: expected", "'val'"]),
        ({"protocol": "all", "part": "val"}, ["part=val", "knn"]),
        ({"neighbours": 0}, ["neighbours: expected", "0"]),
        ({"draws": -1}, ["draws: expected", "-1"]),
        ({"seed": -1}, ["seed: expected", "-1"]),
    ],
)
def test_bad_options_are_refused(options, words):
    with pytest.raises(InputError) as caught:
        EvaluateOptions(**options)
    assert all(word in str(caught.value) for word in words)


def test_too_many_labels_are_refused_before_anything_is_done(encoder, images):
    shown = Recorder()
    with pytest.raises(InputError, match="fewer than the 99 labels"):
        evaluate(encoder, images, EvaluateOptions(budgets=parse_budgets(["99"])), progress=shown)
    assert not shown.said


def test_the_splits_of_a_run_are_used(images, tmp_path):
    path = tmp_path / "splits.csv"
    splits = make_splits(images, seed=7)
    write_splits(path, images, splits)
    division = divide(images, path, seed=0, group_by="x")
    assert division.splits == splits
    assert str(path) in division.origin
    assert "without effect: `group_by`." in division.notes[0]
    write_splits(path, images, replace(splits, train=splits.train[1:]))
    assert "1 labelled photos are not used" in divide(images, path).notes[0]
    assert divide(images, None, seed=7).splits == splits


def test_near_duplicates_lie_on_one_side_of_a_new_division(tmp_path):
    rng = np.random.default_rng(0)
    for number in range(40):
        folder = tmp_path / "ab"[number % 2]
        folder.mkdir(exist_ok=True)
        pixels = rng.integers(0, 255, (6, 6, 3), dtype=np.uint8)
        photo = Image.fromarray(pixels).resize((48, 48), Image.Resampling.BICUBIC)
        photo.save(folder / f"{number:02d}-first.png")
        photo.save(folder / f"{number:02d}-second.jpg", quality=60)
    images = open_images(tmp_path)

    def torn(splits):
        sides = {}
        for side in ("train", "val", "test"):
            for i in getattr(splits, side):
                sides.setdefault(images.keys[i].partition("-")[0], set()).add(side)
        return sum(len(where) > 1 for where in sides.values())

    kept = divide(images, None, seed=0)
    assert torn(kept.splits) == 0
    assert "40 groups of near-duplicates (80 of 80 photos)" in kept.notes[0]
    ignored = divide(images, None, seed=0, duplicates="ignore")
    assert torn(ignored.splits) > 0
    assert ignored.notes == ()


def test_photos_without_a_label_are_in_no_part(images, tmp_path):
    splits = make_splits(images, seed=7)
    some = splits.train[0]
    blind = replace(
        images, targets=tuple(-1 if i == some else t for i, t in enumerate(images.targets))
    )
    write_splits(tmp_path / "splits.csv", images, splits)
    found = divide(blind, tmp_path / "splits.csv").splits
    assert found.train == splits.train[1:]


def test_splits_that_cannot_serve_are_replaced_and_seen_photos_are_told(images, tmp_path):
    path = tmp_path / "splits.csv"
    everything = replace(make_splits(images), train=tuple(range(len(images))), val=(), test=())
    write_splits(path, images, everything)
    division = divide(images, path, seed=0)
    assert division.splits == make_splits(images, seed=0)
    count = len(division.splits.test)
    assert "no photo of class" in division.notes[0]
    assert f"Warning: {count} of {count} test photos were learned from" in division.notes[1]


def test_other_photos_are_divided_anew_with_a_warning_only_where_names_return(images, tmp_path):
    path = tmp_path / "splits.csv"
    write_splits(path, images, make_splits(images, seed=5))
    rows = list(csv.DictReader(path.open()))
    fewer = images.subset(range(0, len(images), 1)[:-1])
    division = divide(fewer, path, seed=0)
    seen = {row["path"] for row in rows if row["split"] == "train"}
    count = sum(images.keys[i] in seen for i in division.splits.test)
    assert division.notes[-1].startswith(f"Warning: {count} of ")
    renamed = replace(fewer, keys=tuple(f"x/{key}" for key in fewer.keys))
    assert divide(renamed, path, seed=0).notes == ()
