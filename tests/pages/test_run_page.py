"""The page of a run: what it reached, its mixes, and what a guard did."""

from __future__ import annotations

from typing import Any

import torch

from samix.pages.parts import image_png
from samix.pages.run import write_run_page

from .test_languages import english, shown

SIDE = {"photos": 8, "top1": 0.75, "balanced_accuracy": 0.7, "nll": 0.5, "ece": 0.1}
PAIRS = [
    {"classes": ["good", "良品"], "mixes": 4, "accepted": 1},
    {"classes": ["good", "good"], "mixes": 2, "accepted": 2},
]
GUARD = {
    "mixes": 6, "accepted": 0.5, "partner": 0.0, "mask": 0.25, "label": 0.25, "mixup": 0.0,
    "clean": 0.0, "broken": {"visibility": 0.5}, "pairs": PAIRS,
}  # fmt: skip
HISTORY = [
    {"epoch": 1, "train_top1": 0.3, "val_top1": 0.2, "average_val_top1": ""},
    {"epoch": 2, "train_top1": 0.5, "val_top1": 0.4, "average_val_top1": ""},
]


def metrics(**changed: Any) -> dict[str, Any]:
    known = {
        "test": {"encoder": {**SIDE, "recall": {"good": 0.9, "良品": 0.5, "none": None}}},
        "val": {"encoder": SIDE}, "epochs": {"done": 2, "planned": 3}, "guard": GUARD,
        "photos": {"train": 20, "val": 8, "test": 8}, "notes": [],
        "cost": {"seconds": 12.0, "device": "cpu"},
        "mixer": {"alive_at_end": False, "at_end": {"mask_deviation": 0.05}},
    }  # fmt: skip
    return known | changed


def page_of(tmp_path, found: dict[str, Any], history=HISTORY, mixes=None) -> str:
    settings = {"policy": "samix", "alpha": 1.0}
    write_run_page(
        tmp_path / "run.html", found, history, data="photos", settings=settings, mixes=mixes
    )
    return (tmp_path / "run.html").read_text("utf-8")


def test_the_page_shows_what_is_known(tmp_path):
    (tmp_path / "mixes.png").write_bytes(image_png(torch.rand(3, 8, 8)))
    text = page_of(tmp_path, metrics(), mixes=tmp_path / "mixes.png")
    for words in ("2 of 3 epochs", "75.0", "not alive at the end", "Recall of each class",
                  "What the guard did", "label", "Settings", "data:image/png",
                  "学習の結果"):  # fmt: skip
        assert words in text, words
    # curve, recalls, repairs and pairs of classes
    assert text.count('role="img"') == 4


def test_curves_hold_the_epochs_that_were_measured(tmp_path):
    text = page_of(tmp_path, metrics(guard=None, mixer=None))
    assert text.count("<title>1: ") == text.count("<title>2: ") == 2  # train and val
    assert "momentum average" not in text
    assert "What the guard did" not in text
    assert "Mixer" not in shown(text)


def test_a_run_without_labels_shows_knn(tmp_path):
    found = {key: value for key, value in metrics().items() if key not in ("test", "val")}
    text = page_of(tmp_path, found, [{"epoch": 1, "knn_top1": 0.3}])
    assert "kNN on validation photos" in text
    assert "Recall of each class" not in text


def test_a_guard_that_saw_no_mix_and_many_classes(tmp_path):
    assert "What the guard did" not in page_of(tmp_path, metrics(guard={**GUARD, "mixes": 0}))
    many = [{"classes": [f"c{n}", "d"], "mixes": 1, "accepted": 1} for n in range(13)]
    text = page_of(tmp_path, metrics(guard={**GUARD, "pairs": many}))
    assert "Pairs of classes" not in text


def test_the_japanese_half_holds_no_english_sentence(tmp_path):
    text = page_of(tmp_path, metrics())
    japanese = "".join(text.split('<span lang="ja">')[1:])
    halves = " ".join(part.split("</span>")[0] for part in japanese.split('<span lang="ja">'))
    assert english(halves) == []
