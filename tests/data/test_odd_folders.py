"""What is hardly what its place says: masks beside photos, copies of classes, no labels."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from PIL import Image

from samix.data import open_images
from samix.data.depth import Depth
from samix.data.folder import open_unsorted
from samix.data.image_set import split_of
from samix.data.splits import make_splits
from samix.data.verifying import Keep, deepened
from samix.errors import InputError


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


@pytest.mark.parametrize(
    ("outer", "inner"),
    [
        (("fold_0", "fold_1"), ("cat", "dog")),
        (("lot1", "lot2"), ("type A", "type B")),
        (("2024-01-01", "2024-02-01"), ("cam1", "cam2")),
        (("pump", "valve"), ("good", "crack")),
    ],
)
@pytest.mark.parametrize("part", ["", "train/"])
def test_folders_above_the_classes_are_no_classes(part, outer, inner, tmp_path):
    names = [f"{part}{one}/{two}/{i}.png" for one in outer for two in inner for i in (1, 2)]
    with pytest.raises(InputError, match="can be read in two ways"):
        open_images(folder(tmp_path, *names))


@pytest.mark.parametrize(
    ("outer", "inner", "told"),
    [(("cat", "dog"), ("in", "out"), True), (("cat", "dog"), ("day1", "day2"), False)],
)
def test_folders_below_the_classes_are_told_where_they_may_be_classes(outer, inner, told, tmp_path):
    images = open_images(folder(tmp_path, *(f"{a}/{b}/1.png" for a in outer for b in inner)))
    assert images.classes == outer
    assert any("each of which holds the folders in, out" in note for note in images.notes) == told


@pytest.mark.parametrize(
    ("photo", "mask"),
    [
        ("image/{}.png", "label/{}.png"),
        ("imgs/{}.png", "masks/{}.png"),
        ("JPEGImages/{}.jpg", "SegmentationClass/{}.png"),
        ("train/images/{}.png", "train/ground_truth/{}_mask.png"),
        ("train/{}.jpg", "train_masks/{}_mask.png"),
    ],
)
@pytest.mark.parametrize("need_labels", [True, False])
def test_masks_in_a_folder_of_their_own_are_no_class(photo, mask, need_labels, tmp_path):
    names = [form.format(i) for form in (photo, mask) for i in range(4)]
    with pytest.raises(InputError, match="which are masks and no class"):
        open_images(folder(tmp_path, *names), need_labels=need_labels)


def test_classes_that_are_called_as_masks_stay_classes(tmp_path):
    images = open_images(folder(tmp_path, "mask/1.png", "mask/2.png", "no_mask/1.png"))
    assert images.classes == ("mask", "no_mask")
    images = open_images(folder(tmp_path / "other", "mask/7.png", "images/1.png", "images/2.png"))
    assert images.classes == ("images", "mask")


@pytest.mark.parametrize("need_labels", [True, False])
@pytest.mark.parametrize("top", ["", "images/", "set/"])
@pytest.mark.parametrize(
    ("classes", "train", "test"),
    [
        (("ng", "ok"), "train", "test"),
        (("cat", "dog"), "training_set/day1", "val2017"),
        (("bottle", "cable"), "train/good", "test/broken"),  # products as classes
        (("s", "test"), "all/train", "all/validation"),  # a class may be called so
    ],
)
def test_parts_inside_the_classes_are_used(classes, train, test, top, need_labels, tmp_path):
    names = [f"{top}{c}/{at}/{i}.png" for c in classes for at, n in ((train, 12), (test, 4))
             for i in range(n)]  # fmt: skip
    root = Path(folder(tmp_path / "photos", *names))
    if top == "images/":
        (root / "masks").mkdir()
    images = open_images(root, need_labels=need_labels)
    second = split_of(test.split("/")[-2 if "broken" in test else -1])
    assert images.classes == classes
    assert set(images.keys) == set(names)
    for key, split in zip(images.keys, images.given_split, strict=True):
        assert split == ("train" if f"/{train}/" in key else second), key
    parts = make_splits(images)
    assert getattr(parts, second) == tuple(
        i for i, s in enumerate(images.given_split) if s == second
    )
    told = [note for note in images.notes if "are divided into " in note]
    assert len(told) == 1
    assert told[0].endswith(f"inside the classes, such as '{top}{classes[0]}/{test}'.")
    assert not any("if these are the classes" in note for note in images.notes)


@pytest.mark.parametrize(
    ("names", "why"),
    [
        (["ok/train/1", "ok/test/1", "ng/1", "ng/2"], "'ng/1.png' is in none"),
        (["ok/train/1", "ok/test/1", "ng/train/1", "ng/2"], "'ng/2.png' is in none"),
        (["cat/train/1", "cat/test/1", "cat/new/1", "dog/train/1"], "'cat/new/1.png' is in none"),
        (["a/test/x/1", "a/ground_truth/x/1", "a/train/x/1", "b/train/1"], "'a/ground_truth/x/1."),
        (["ok/val/1", "ok/test/1", "ng/val/1", "ng/test/1"], "none is train"),
    ],
)
def test_parts_inside_some_classes_are_refused_or_told(names, why, tmp_path):
    root = folder(tmp_path, *(f"{name}.png" for name in names))
    with pytest.raises(InputError, match="two ways: the folders inside the classes, such as") as at:
        open_images(root)
    assert why in str(at.value)
    images = open_images(root, need_labels=False)
    assert set(images.given_split) == {None}
    assert any("Not used as parts are" in note and why in note for note in images.notes)


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (["rail/train/1", "rail/tram/1", "road/car/1", "road/bus/1"], False),
        (["ok/train/1", "ng/train/1"], False),
        (["cat/p1/1", "cat/p2/1", "dog/p1/1", "dog/p2/1"], False),
        (["ok/1", "ok/test/2", "ng/1", "ng/test/2"], True),
    ],
)
def test_one_folder_that_is_called_as_a_part_divides_nothing(names, told, tmp_path):
    images = open_images(folder(tmp_path, *(f"{name}.png" for name in names)))
    assert set(images.given_split) == {None}
    assert any("Not used as parts are" in note for note in images.notes) == told


@pytest.mark.parametrize("need_labels", [True, False])
def test_parts_are_no_classes(need_labels, tmp_path):
    one = folder(tmp_path / "1", "val/cat/1.png", "val/dog/1.png", "test/cat/1.png")
    with pytest.raises(InputError, match="holds test, val and no train part"):
        open_images(one, need_labels=need_labels)
    other = folder(tmp_path / "2", *(f"{name}/1.png" for name in ("trainA", "trainB", "testA")))
    with pytest.raises(InputError, match="sort them into test/A, train/A, train/B"):
        open_images(other, need_labels=need_labels)


@pytest.mark.parametrize("word", ["NA", "N/A", "-", "?", "null", "unknown"])
def test_words_for_nothing_are_told_where_they_are_classes(word, tmp_path):
    root = Path(folder(tmp_path, "1.png", "2.png", "3.png"))
    (root / "labels.csv").write_text(f"path,label\n1.png,good\n2.png,bad\n3.png,{word}\n")
    notes = [note for note in open_images(root).notes if f"'{word}' is a class like" in note]
    assert len(notes) == 1


def test_an_old_copy_of_a_class_and_arrays_beside_photos_are_told(tmp_path):
    root = Path(folder(tmp_path, "ok/1.png", "ng/1.png", "ok_old/1.png"))
    (root / "ok" / "2.npy").write_bytes(b"x")
    notes = " ".join(open_images(root).notes)
    assert "'ok_old' is a class beside 'ok'" in notes
    assert "1 file is not read (.npy 1)" in notes


def test_pages_are_told_of_photos_that_are_judged(tmp_path):
    page = Image.new("RGB", (9, 9))
    page.save(tmp_path / "a.tif", save_all=True, append_images=[page])
    page.save(tmp_path / "b.png")
    for depth in (None, Depth(integers=255.0, floats=1.0)):
        notes = deepened(open_unsorted([str(tmp_path)]), depth).notes
        assert notes == ("1 photo has several pages or frames, of which the first is read.",)


def test_one_piece_of_json_is_no_table(tmp_path):
    (tmp_path / "labels.json").write_text('{"1.png": "good", "2.png": "bad"}')
    with pytest.raises(InputError, match="is one piece of JSON, expected a row a photo"):
        open_images(folder(tmp_path, "1.png", "2.png"), labels=tmp_path / "labels.json")


def test_names_that_are_one_number_are_told(make_folder) -> None:
    images = open_images(make_folder({"7": 2, "07": 2, "007": 2, "8": 2, "a7": 2}))
    assert images.classes == ("007", "07", "7", "8", "a7")
    assert images.notes == (
        "'007' and '07' and '7' are 3 classes, though all are the number 7; give them one name if "
        "they are one class.",
    )


def test_a_class_that_is_called_as_a_part_is_told(tmp_path):
    images = open_images(folder(tmp_path, "good/1.png", "bad/1.png", "test/1.png"))
    assert images.classes == ("bad", "good", "test")
    assert images.notes[0].startswith("'test' is a class like the others; if it is a part")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes here")
def test_a_pipe_among_photos_is_named_and_not_waited_for(tmp_path):
    root = folder(tmp_path, "good/1.png", "good/2.png", "bad/1.png")
    os.mkfifo(Path(root, "bad", "pipe.png"))
    with pytest.raises(InputError, match=r"'bad/pipe.png' cannot be read \(it is a pipe"):
        open_images(root)
    keep = Keep(prints=True)  # reads the file as it is stored
    images = open_images(root, skip_corrupt=True, keep=keep)
    assert images.skipped == ("bad/pipe.png",)
