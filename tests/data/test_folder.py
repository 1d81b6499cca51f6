from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from samix.data.folder import open_folder
from samix.errors import InputError

Make = Callable[..., Path]


def test_class_folders_in_natural_order(make_folder: Make) -> None:
    images = open_folder(make_folder({"type10": 1, "type2": 2, "good": 1}))
    assert images.classes == ("good", "type2", "type10")
    assert images.keys == (
        "good/part0_shot0.png",
        "type2/part0_shot0.png",
        "type2/part0_shot1.png",
        "type10/part0_shot0.png",
    )
    assert images.targets == (0, 1, 1, 2)
    assert images.given_split == (None,) * 4
    assert images.read_mask is None


def test_photos_are_the_ones_of_their_keys(make_folder: Make) -> None:
    root = make_folder({"a": 3, "b": 3})
    images = open_folder(root)
    for i, key in enumerate(images.keys):
        assert np.array_equal(np.asarray(images.read(i)), np.asarray(Image.open(root / key)))


@pytest.mark.parametrize("word", ["val", "valid", "validation"])
def test_split_folders(make_folder: Make, word: str) -> None:
    images = open_folder(make_folder({"train/a": 2, "train/b": 2, f"{word}/a": 1, "test/b": 1}))
    assert images.classes == ("a", "b")
    by_split = {s: images.given_split.count(s) for s in set(images.given_split)}
    assert by_split == {"train": 4, "val": 1, "test": 1}
    assert images.keys[images.given_split.index("val")] == f"{word}/a/part0_shot0.png"


def test_a_class_may_be_called_train(make_folder: Make) -> None:
    assert open_folder(make_folder({"car": 1, "train": 1})).classes == ("car", "train")


def test_a_class_may_be_called_test(make_folder: Make) -> None:
    images = open_folder(make_folder({"good": 1, "test": 1}))
    assert images.classes == ("good", "test")
    assert images.given_split == (None, None)


def test_split_folders_beside_others_are_refused(make_folder: Make) -> None:
    root = make_folder({"train/a": 1, "train/b": 1, "extra/a": 1})
    with pytest.raises(InputError, match="extra"):
        open_folder(root)


def test_deeper_folders_belong_to_the_class(make_folder: Make) -> None:
    images = open_folder(make_folder({"a/day1/x": 1, "a/day2": 1, "b": 1}))
    assert images.classes == ("a", "b")
    assert images.keys[0] == "a/day1/x/part0_shot0.png"


def test_hidden_and_other_files_are_passed_over(make_folder: Make) -> None:
    root = make_folder({"a": 1, "b": 1, ".git/c": 1, "a/.thumbs": 1})
    (root / "a" / "._part0.png").write_bytes(b"")
    (root / "a" / "notes.txt").write_text("hello")
    (root / "readme.md").write_text("hello")
    assert len(open_folder(root)) == 2


def test_suffixes_in_capitals_are_photos(make_folder: Make) -> None:
    root = make_folder({"a": 1, "b": 1})
    Image.new("RGB", (4, 4)).save(root / "a" / "SHOT.JPG", "JPEG")
    assert "a/SHOT.JPG" in open_folder(root).keys


def test_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no image"):
        open_folder(tmp_path)


def test_folder_without_photos_names_the_class(make_folder: Make) -> None:
    root = make_folder({"good": 1, "bad": 0})
    (root / "bad" / "photo.dcm").write_bytes(b"x")
    with pytest.raises(InputError, match=r"bad' holds no image"):
        open_folder(root)


def test_loose_photos_beside_class_folders_are_refused(make_folder: Make) -> None:
    root = make_folder({"a": 1, "b": 1})
    Image.new("RGB", (4, 4)).save(root / "loose.png")
    with pytest.raises(InputError, match=r"1 loose images beside the class folders \('loose.png'"):
        open_folder(root)
    with pytest.raises(InputError, match="loose"):
        open_folder(root, need_labels=False)


def test_flat_folder_needs_no_labels(make_folder: Make) -> None:
    root = make_folder({".": 3})
    with pytest.raises(InputError, match="no class folder"):
        open_folder(root)
    images = open_folder(root, need_labels=False)
    assert images.classes == ()
    assert images.targets == (-1, -1, -1)


def test_flat_split_folders_need_no_labels(make_folder: Make) -> None:
    images = open_folder(make_folder({"train": 2, "val": 1}), need_labels=False)
    assert images.classes == ()
    assert images.given_split == ("train", "train", "val")


def test_links_are_followed_once(make_folder: Make) -> None:
    root = make_folder({"a": 1, "b": 1})
    os.symlink(root / "b", root / "c")
    os.symlink(root / "a", root / "a" / "again")
    images = open_folder(root)
    assert images.classes == ("a", "b", "c")
    assert len(images) == 3


def test_masks_beside_images(make_folder: Make) -> None:
    root = make_folder({"images/good": 1, "images/crack": 2})
    (root / "masks" / "crack").mkdir(parents=True)
    mask = np.zeros((8, 8), dtype=np.uint8)
    mask[2:4] = 255
    Image.fromarray(mask).save(root / "masks" / "crack" / "part0_shot1.png")
    images = open_folder(root)
    assert images.classes == ("crack", "good")
    assert images.keys[0] == "images/crack/part0_shot0.png"
    assert images.read_mask is not None
    assert images.read_mask(0) is None
    found = images.read_mask(1)
    assert found is not None
    assert np.array_equal(np.asarray(found), mask)
    assert images.read_mask(2) is None
