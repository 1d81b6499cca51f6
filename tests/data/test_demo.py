from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from samix.data import (
    DEMO_CLASSES,
    DemoOptions,
    demo_photo,
    make_splits,
    open_demo,
    open_images,
    write_demo,
)
from samix.errors import InputError

# Sum of all values of the first photo of each class.
SUMS = [1574328, 1293752, 1470718, 1836448, 1651440, 1619188]
SMALL = "demo:photos_per_class=6,size=32"


def test_classes_keys_targets_and_parts() -> None:
    images = open_images(SMALL)
    assert images.classes == ("blowhole", "crack", "dent", "good", "scratch", "stain")
    assert len(images) == 36
    assert images.keys[6:9] == (
        "crack/part0003_view0.png",
        "crack/part0003_view1.png",
        "crack/part0004_view0.png",
    )
    assert images.given_group[6:9] == ("part0003", "part0003", "part0004")
    for key, target in zip(images.keys, images.targets, strict=True):
        assert key.startswith(images.classes[target] + "/")
    assert len(set(images.given_group)) == 18


def test_photos_are_functions_of_options_and_position() -> None:
    first = demo_photo(100)
    demo_photo(900)
    again = demo_photo(100)
    assert np.array_equal(first.image, again.image)
    assert not np.array_equal(first.image, demo_photo(101).image)
    assert not np.array_equal(first.image, demo_photo(100, DemoOptions(seed=1)).image)


def test_a_photo_does_not_depend_on_how_many_there_are() -> None:
    few = demo_photo(6 + 2, DemoOptions(photos_per_class=6))
    many = demo_photo(240 + 2, DemoOptions(photos_per_class=240))
    assert np.array_equal(few.image, many.image)
    assert (few.target, few.view) == (many.target, many.view)


def test_photos_stay_the_same_between_versions() -> None:
    sums = [int(demo_photo(240 * target).image.astype(np.int64).sum()) for target in range(6)]
    assert sums == pytest.approx(SUMS, abs=60)


@pytest.mark.parametrize("size", [16, 32, 64, 96])
def test_form_of_photo_and_mask(size: int) -> None:
    options = DemoOptions(photos_per_class=4, size=size)
    for index in range(24):
        photo = demo_photo(index, options)
        assert photo.image.shape == (size, size, 3)
        assert photo.image.dtype == np.uint8
        assert photo.mask.shape == (size, size)
        assert photo.mask.dtype == np.bool_
        assert 20 < photo.image.mean() < 220
        assert (photo.image == 255).mean() < 0.05


def test_exactly_the_defects_have_masks() -> None:
    for index in range(0, 6 * 240, 7):
        photo = demo_photo(index)
        share = photo.mask.mean()
        if DEMO_CLASSES[photo.target] == "good":
            assert share == 0
        else:
            assert 0.001 < share < 0.35


def test_views_of_a_part_are_alike_but_not_equal() -> None:
    def likeness(a: int, b: int) -> float:
        first, second = (demo_photo(i).image.astype(float).mean(axis=2) for i in (a, b))
        best = -1.0
        for down in range(-8, 9):
            for right in range(-8, 9):
                moved = np.roll(second, (down, right), axis=(0, 1))[8:-8, 8:-8]
                best = max(best, float(np.corrcoef(first[8:-8, 8:-8].ravel(), moved.ravel())[0, 1]))
        return best

    blowhole = 0
    assert likeness(blowhole, blowhole + 1) > likeness(blowhole, blowhole + 2)
    assert not np.array_equal(demo_photo(blowhole).image, demo_photo(blowhole + 1).image)


def test_parts_stay_on_one_side() -> None:
    images = open_images(SMALL)
    splits = make_splits(images)
    sides = [{images.given_group[i] for i in p} for p in (splits.train, splits.val, splits.test)]
    assert sum(map(len, sides)) == len(set.union(*sides)) == 18


def test_set_can_be_sent_to_workers_and_gives_masks() -> None:
    images = pickle.loads(pickle.dumps(open_images(SMALL)))
    assert images.read(0).size == (32, 32)
    assert images.read_mask is not None
    mask = images.read_mask(0)
    assert mask is not None
    assert mask.mode == "L"
    assert mask.getextrema() == (0, 255)
    assert images.read_mask(images.targets.index(3)) is None


def test_written_files_open_as_the_same_set(tmp_path: Path) -> None:
    drawn = open_images(SMALL)
    images = open_images(write_demo(tmp_path / "demo", DemoOptions(photos_per_class=6, size=32)))
    assert images.classes == drawn.classes
    assert images.targets == drawn.targets
    assert images.keys == tuple(f"images/{key}" for key in drawn.keys)
    assert images.read_mask is not None
    assert drawn.read_mask is not None
    for index in (0, 8, 20, 35):
        assert np.array_equal(np.asarray(images.read(index)), np.asarray(drawn.read(index)))
        written, original = images.read_mask(index), drawn.read_mask(index)
        assert (written is None) == (original is None)
        if written is not None:
            assert np.array_equal(np.asarray(written), np.asarray(original))


def test_folder_in_use_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(InputError, match="not empty"):
        write_demo(tmp_path)
    with pytest.raises(InputError, match="cannot be written"):
        write_demo(tmp_path / "mine.txt" / "below")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("demo:colour=3", "unknown demo option 'colour'"),
        ("demo:size=big", "whole number, got 'big'"),
        ("demo:size=-5", "whole number, got '-5'"),
        ("demo:size=4", "at least 16, got 4"),
        ("demo:photos_per_class=0", "at least 1, got 0"),
    ],
)
def test_wrong_options(spec: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        open_demo(spec)


def test_position_outside_the_set() -> None:
    with pytest.raises(IndexError, match="1440 photos, got 1440"):
        demo_photo(1440)
