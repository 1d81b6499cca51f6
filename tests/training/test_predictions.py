"""predictions.csv, and runs that share one split."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from samix.errors import InputError
from samix.training import PretrainConfig, TrainConfig, pretrain, train

SMALL = {
    "data": "demo:photos_per_class=12", "backbone": "resnet18", "stem": "small", "image_size": 32,
    "model_kwargs": {"layers": (1, 1, 1, 1), "channels": (8, 8, 8, 8)}, "batch_size": 16,
    "epochs": 2, "device": "cpu", "duplicates": "ignore",
}  # fmt: skip


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def parts_of(path: Path) -> dict[str, str]:
    return {row["path"]: row["split"] for row in rows_of(path)}


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("runs") / "first"
    train(TrainConfig(**SMALL, policy="none", output=str(path)))
    return path


def test_predictions_are_what_the_metrics_were_computed_from(first: Path) -> None:
    metrics = json.loads((first / "metrics.json").read_text())
    rows = rows_of(first / "predictions.csv")
    for part in ("test", "val"):
        mine = [row for row in rows if row["split"] == part]
        right = sum(row["target"] == row["predicted"] for row in mine) / len(mine)
        assert right == pytest.approx(metrics[part]["encoder"]["top1"], abs=1e-6)
    classes = [name for name in rows[0] if name.startswith("p_")]
    assert len(classes) == 6
    for row in rows:
        assert sum(float(row[name]) for name in classes) == pytest.approx(1.0, abs=1e-4)
        assert max(classes, key=lambda name: float(row[name])) == f"p_{row['predicted']}"
    sides = parts_of(first / "splits.csv")
    assert {row["path"]: row["split"] for row in rows} == {
        path: side for path, side in sides.items() if side in ("test", "val")
    }


def test_a_run_takes_the_splits_of_another(first: Path, tmp_path: Path) -> None:
    options = {**SMALL, "splits": str(first / "splits.csv"), "seed": 5, "epochs": 1}
    train(TrainConfig(**options, policy="none", output=str(tmp_path / "a")))
    pretrain(PretrainConfig(**options, policy="none", output=str(tmp_path / "b")))
    whole = parts_of(first / "splits.csv")
    assert parts_of(tmp_path / "a" / "splits.csv") == whole
    assert parts_of(tmp_path / "b" / "splits.csv") == whole
    few = {**options, "label_fraction": 0.3}
    train(TrainConfig(**few, policy="none", output=str(tmp_path / "c")))
    sides = parts_of(tmp_path / "c" / "splits.csv")
    kept = {path for path, side in sides.items() if side != "unused"}
    assert all(sides[path] == whole[path] for path in kept)
    assert (
        0
        < sum(side == "train" for side in sides.values())
        < sum(side == "train" for side in whole.values())
    )


def test_bad_splits(first: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="leave one out"):
        TrainConfig(**SMALL, splits="x.csv", group_by="a")
    other = {**SMALL, "data": "demo:photos_per_class=13", "splits": str(first / "splits.csv")}
    with pytest.raises(InputError, match="other photos"):
        train(TrainConfig(**other, policy="none", output=str(tmp_path / "x")))
    missing = {**SMALL, "splits": str(tmp_path / "none.csv")}
    with pytest.raises(InputError, match=r"none\.csv"):
        train(TrainConfig(**missing, policy="none", output=str(tmp_path / "y")))
