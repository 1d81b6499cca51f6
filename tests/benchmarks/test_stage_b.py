"""Stage B: which photos a cell learns from, and what its table says."""

from __future__ import annotations

import csv
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import stage_b
from samix.data import check_splits, open_images, read_splits


@pytest.fixture
def photos() -> stage_b.Photos:
    images = open_images("demo:photos_per_class=24,size=16", need_labels=True)
    return stage_b.Photos(Path("demo"), images, "good", np.arange(len(images)) // 2)


@pytest.mark.parametrize("labels", ["3", stage_b.ALL])
def test_a_cell_has_so_many_labels_and_groups_on_one_side(photos, tmp_path, labels) -> None:
    cell = stage_b.Cell("demo", labels, "none", 1)
    stage_b.write_split(tmp_path / "splits.csv", photos, cell)
    splits = read_splits(tmp_path / "splits.csv", photos.images)
    check_splits(photos.images, splits)
    for part in (splits.train, splits.val):
        counts = Counter(photos.images.targets[i] for i in part)
        assert len(counts) == len(photos.images.classes)
        assert set(counts.values()) == {3} if labels == "3" else min(counts.values()) > 3
    again = tmp_path / "again.csv"
    stage_b.write_split(again, photos, cell)
    assert again.read_text() == (tmp_path / "splits.csv").read_text()


def test_three_seeds_test_each_group_once(photos) -> None:
    tested = [
        i for seed in range(3) for i, s in enumerate(stage_b.sides(photos, seed)) if s == "test"
    ]
    assert sorted(tested) == list(range(len(photos.images)))


def test_cells_take_the_shipped_recipe(photos, tmp_path) -> None:
    made = {
        policy: stage_b.config_of(stage_b.Cell("demo", "3", policy, 0), photos, tmp_path)
        for policy in stage_b.POLICIES
    }
    assert made["mixup"].probe
    assert made["mixup"].norms == "frozen"
    assert made["mixup"].policy_options == {}
    assert made["samix"].policy_options == {"alpha": 2.0}
    assert made["none at 224 px"].image_size == made["frozen at 224 px"].image_size == 224
    assert made["none at 224 px"].policy == "none"
    assert not made["scratch"].has_weights


def test_the_table_pairs_differences_by_seed(tmp_path, capsys) -> None:
    columns = ["set", "labels", "policy", "seed", "balanced", "accuracy", "auc", "ece", "processor"]
    with (tmp_path / "t.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        for seed, (plain, mixed) in enumerate([(50, 52), (60, 62.5), (70, 71.5)]):
            writer.writerow(["tiles", "25", "none", seed, plain, 1, 80, 1, 1])
            writer.writerow(["tiles", "25", "mixup", seed, mixed, 1, 80, 1, 1])
    stage_b.print_table(tmp_path / "t.csv")
    row = next(line for line in capsys.readouterr().out.splitlines() if "mixup" in line)
    assert "| 62.0 |  | +2.00 (+0.76 to +3.24) |" in row
