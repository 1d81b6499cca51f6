"""Data health: counts, duplicates beside the split, labels that disagree, what was left out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from samix.data import ImageSet, Splits
from samix.data.duplicates import search
from samix.data.health import check_images
from samix.errors import InputError
from samix.study.report.health import data_health


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAMIX_CACHE", str(tmp_path / "cache"))


def image_set(count: int, same: dict[int, int], targets: Sequence[int]) -> ImageSet:
    """Photos of noise; photo a of ``same`` shows what photo same[a] shows."""

    def read(index: int) -> Image.Image:
        random = np.random.default_rng(same.get(index, index))
        small = random.integers(0, 256, (6, 6, 3), dtype=np.uint8)
        return Image.fromarray(small).resize((48, 48), Image.Resampling.BICUBIC)

    return ImageSet(
        name="made", classes=("good", "<b>crack</b>"), keys=tuple(f"{i}.png" for i in range(count)),
        targets=tuple(targets), given_split=(None,) * count, given_group=(None,) * count, read=read,
    )  # fmt: skip


def splits_of(count: int, groups: Sequence[str | None] | None = None) -> Splits:
    """The first half trains, a quarter each validates and tests; the last photo is in no part."""
    half, quarter = count // 2, count // 4
    return Splits(
        tuple(range(half)), tuple(range(half, half + quarter)),
        tuple(range(half + quarter, count - 1)), tuple(groups or [None] * count),
    )  # fmt: skip


@pytest.fixture
def found() -> dict[str, Any]:
    targets = [i % 2 for i in range(24)]
    # 20 (test) shows what 0 (train) shows; 13 (val) what 2 (train); 3 and 5 both train
    images = image_set(24, {20: 0, 13: 2, 5: 3}, targets)
    images = replace(images, skipped=("torn.png",))
    return data_health(images, splits_of(24), corrupt=[("torn.png", "It ends too early.")])


def test_duplicates_are_put_beside_the_split(found: dict[str, Any]) -> None:
    twins = found["duplicates"]
    assert (twins["groups"], twins["photos"], twins["exact"]) == (3, 6, 3)
    assert twins["split"] == 2
    assert twins["affected"] == {"val": 1, "test": 1}
    named = [[(one["photo"], one["part"]) for one in group] for group in twins["examples"]]
    assert sorted(named) == [
        [("0.png", "train"), ("20.png", "test")],
        [("2.png", "train"), ("13.png", "val")],
    ]


def test_labels_that_disagree_are_named(found: dict[str, Any]) -> None:
    assert found["disagreeing"]["groups"] == 1  # 2 is good, 13 is a crack
    (group,) = found["disagreeing"]["examples"]
    assert {one["class"] for one in group} == {"good", "<b>crack</b>"}


def test_balance_few_parts_and_what_was_left_out(found: dict[str, Any]) -> None:
    assert (found["photos"], found["unused"], found["unlabelled"]) == (24, 1, 0)
    good, crack = found["classes"]
    assert good["photos"] == {"train": 6, "val": 3, "test": 3}
    assert crack["photos"] == {"train": 6, "val": 3, "test": 2}
    assert found["imbalance"] == 1.09
    assert [row["class"] for row in found["few"]] == ["good", "<b>crack</b>"]
    assert found["few"][1] == {"class": "<b>crack</b>", "test_parts": 2, "least": 10}
    assert found["skipped"] == {
        "count": 1, "photos": [{"photo": "torn.png", "reason": "It ends too early."}],
    }  # fmt: skip
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_parts_are_counted_by_the_groups_of_the_split() -> None:
    images = image_set(24, {}, [0] * 24)
    groups = [f"part{i // 2}" for i in range(24)]
    row = data_health(images, splits_of(24, groups))["classes"][0]
    assert row["photos"] == {"train": 12, "val": 6, "test": 5}
    assert row["parts"] == {"train": 6, "val": 3, "test": 3}
    # Wilson, 3 parts: 1.96 sqrt(0.09 / 3 + 1.96^2 / 36) / (1 + 1.96^2 / 3)
    assert row["recall_within"] == pytest.approx(0.3178, abs=1e-4)


def test_a_check_that_was_made_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    images = image_set(24, {20: 0}, [0] * 24)
    check = check_images(images)

    def again(*_: object, **__: object) -> None:
        raise AssertionError("fingerprints were taken again")

    monkeypatch.setattr(search, "take_fingerprints", again)
    monkeypatch.setattr(search, "content_hashes", again)
    assert data_health(images, splits_of(24), check=check)["duplicates"]["split"] == 1


def test_without_classes_there_is_no_balance() -> None:
    images = replace(image_set(24, {}, [-1] * 24), classes=())
    found = data_health(images, splits_of(24))
    assert (found["classes"], found["few"], found["imbalance"]) == ([], [], 1.0)


def test_what_belongs_to_other_photos_is_refused() -> None:
    images = image_set(24, {}, [0] * 24)
    with pytest.raises(InputError, match="not of these 24 photos"):
        data_health(images, splits_of(20))
    other = check_images(image_set(20, {}, [0] * 20))
    with pytest.raises(InputError, match="not of these 24 photos"):
        data_health(images, splits_of(24), check=other)
