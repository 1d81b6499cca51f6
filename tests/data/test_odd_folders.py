"""What is hardly what its place says: masks beside photos, copies of classes, no labels."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from samix.data import open_images


def folder(path: Path, *names: str) -> str:
    for number, name in enumerate(names):
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.effect_noise((12, 10), 50 + number).convert("RGB").save(path / name)
    return str(path)


@pytest.mark.parametrize(
    "ending", ["_mask", "-mask", "_gt", "_segmentation", ".Mask", "_ground_truth"]
)
def test_masks_beside_their_photos_are_no_photos(ending, tmp_path):
    names = ["bad/1.png", f"bad/1{ending}.png", "bad/2.jpg", f"bad/2{ending}.png", "good/3.png"]
    images = open_images(folder(tmp_path, *names))
    assert images.keys == ("bad/1.png", "bad/2.jpg", "good/3.png")
    assert list(images.targets) == [0, 0, 1]
    assert any(
        f"2 masks beside their photos are no photos, such as 'bad/1{ending}.png'" in note
        for note in images.notes
    )


def test_a_photo_that_is_only_called_so_stays(tmp_path):
    images = open_images(folder(tmp_path, "bad/gas_mask.png", "good/1.png", "good/mask.png"))
    assert len(images) == 3
    assert not images.notes


@pytest.mark.parametrize(
    "copy", ["good - Copy", "good copy", "good_copy", "good (1)", "good - \u30b3\u30d4\u30fc"]
)
def test_a_copy_of_a_class_is_told(copy, tmp_path):
    images = open_images(folder(tmp_path, "bad/1.png", "good/2.png", f"{copy}/3.png"))
    assert [note for note in images.notes if f"'{copy}' is a class beside 'good'" in note]


@pytest.mark.parametrize("name", ["unlabeled", "Unlabelled", "no_label"])
def test_a_class_of_no_labels_is_told(name, tmp_path):
    images = open_images(folder(tmp_path, "bad/1.png", "good/2.png", f"{name}/3.png"))
    assert [note for note in images.notes if f"'{name}' is a class like the others" in note]


def test_usual_classes_are_not_remarked(tmp_path):
    images = open_images(folder(tmp_path, "photocopy/1.png", "good/2.png", "type (1)/3.png"))
    assert not images.notes
