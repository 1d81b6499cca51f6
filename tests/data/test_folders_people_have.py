"""Folders as people have them: names, suffixes, links, and what lies beside the photos."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from samix.data import open_images
from samix.data.folder import open_unsorted
from samix.data.image_set import in_order, split_of
from samix.data.kinds import IMAGE_SUFFIXES, reads_heic
from samix.data.packed import open_unlabelled
from samix.errors import InputError

Make = Callable[..., Path]
NO_PICTURES = {".bufr", ".emf", ".grib", ".h5", ".hdf", ".mpeg", ".mpg", ".wmf"}
PROGRAMS = {".eps", ".ps"}  # ghostscript runs them


def test_all_that_pillow_reads_by_itself_is_a_photo() -> None:
    Image.init()
    known = {end for end, kind in Image.registered_extensions().items() if kind in Image.OPEN}
    heic = {".heic", ".heif", ".hif", ".heics", ".heifs"}
    assert known - heic - NO_PICTURES - PROGRAMS <= IMAGE_SUFFIXES
    assert not IMAGE_SUFFIXES & (NO_PICTURES | PROGRAMS)


@pytest.mark.parametrize("suffix", ["jfif", "avif", "mpo", "tga", "pnm", "j2k", "qoi", "JFIF"])
def test_a_photo_of_each_suffix_is_read(suffix: str, tmp_path: Path) -> None:
    pixels = np.full((16, 16, 3), (200, 40, 90), np.uint8)
    kind = {"jfif": "JPEG", "pnm": "PPM", "j2k": "JPEG2000"}.get(suffix.lower(), suffix.upper())
    Image.fromarray(pixels).save(tmp_path / f"a.{suffix}", kind)
    images = open_images(tmp_path, need_labels=False)
    assert np.abs(np.asarray(images.read(0)).astype(int) - pixels).max() < 8
    assert len(open_unsorted([str(tmp_path)])) == 1


def test_what_is_not_read_is_counted_and_named(make_folder: Make) -> None:
    root = make_folder({"a": 2, "b": 2})
    for name in ("a/x.heic", "a/y.HEIC", "b/z.raw", "b/unnamed", "b/notes.txt", ".hidden.raw"):
        (root / name).write_bytes(b"x")
    if reads_heic():
        pytest.skip("HEIC is read here")
    wanted = "4 files are not read (.heic 2, .raw 1, no suffix 1); HEIC is read after pip install"
    for images in (open_images(root), open_unsorted([str(root)])):
        assert len(images) == 4
        assert wanted in images.notes[0]
    for path in (root / "b").glob("*.png"):
        path.unlink()
    with pytest.raises(InputError, match=r"b' holds no image, but 2 files are not read \(.raw 1"):
        open_images(root)


@pytest.mark.parametrize(
    ("word", "split"),
    [
        ("training_set", "train"), ("train_images", "train"), ("Images-Train", "train"),
        ("val2017", "val"), ("test-set", "test"), ("validation data", "val"),
        ("trained", None), ("test train", None), ("images", None), ("strain", None),
    ],
)  # fmt: skip
def test_splits_under_other_names(word: str, split: str | None) -> None:
    assert split_of(word) == split


def test_split_folders_under_other_names(make_folder: Make) -> None:
    root = make_folder({f"{s}/{c}": 2 for s in ("training_set", "test_set") for c in "ab"})
    images = open_images(root)
    assert images.classes == ("a", "b")
    assert set(images.given_split) == {"train", "test"}


def test_one_folder_too_many_is_gone_through_and_told(make_folder: Make) -> None:
    images = open_images(make_folder({"steel/ok": 2, "steel/ng": 2}))
    assert images.classes == ("ng", "ok")
    assert images.keys[0] == "steel/ng/part0_shot0.png"
    assert "The classes are the folders of 'steel'" in images.notes[0]
    parts = {f"set/{side}/{name}": 2 for side in ("train", "val") for name in "ab"}
    images = open_images(make_folder(parts, "parts"))
    assert images.classes == ("a", "b")
    assert set(images.given_split) == {"train", "val"}


def test_one_folder_too_high_is_refused_with_both_readings(make_folder: Make) -> None:
    root = make_folder({f"{product}/{c}": 2 for product in ("steel", "wood") for c in ("ok", "ng")})
    with pytest.raises(InputError, match=r"two ways: the classes are steel, wood, or ng, ok"):
        open_images(root)
    own = {"steel": ("ok", "scratch"), "wood": ("ok", "knot")}  # each product has its own defects
    mixed = make_folder({f"{p}/{c}": 2 for p, found in own.items() for c in found}, "products")
    with pytest.raises(InputError, match=r"are steel, wood, or knot, ok, scratch, which these"):
        open_images(mixed)
    told = open_images(root, need_labels=False)
    assert "two ways: the classes are steel, wood, or ng, ok" in told.notes[0]
    crops = ("train_crop1", "train_crop2", "test_crop1")
    cut = make_folder({f"{crop}/{c}": 2 for crop in crops for c in ("cat", "dog")}, "crops")
    with pytest.raises(InputError, match=r"two ways: the classes are test_crop1, .* or cat, dog"):
        open_images(cut)
    dated = make_folder({f"{c}/{d}": 2 for c in ("ok", "ng") for d in ("may", "june")}, "dated")
    assert open_images(dated).classes == ("ng", "ok")


@pytest.mark.parametrize("beside", ["labels", "annotations"])
def test_a_tree_of_boxes_is_explained(beside: str, make_folder: Make) -> None:
    root = make_folder({"images/train": 2, "images/val": 2})
    (root / beside).mkdir()
    (root / beside / "a.txt").write_text("0 0.5 0.5 1 1")
    with pytest.raises(InputError, match=r"the layout of boxes \(YOLO, COCO, VOC\)"):
        open_images(root)
    assert len(open_images(root, need_labels=False)) == 4


@pytest.mark.parametrize(
    ("photos", "box"),
    [
        ({"train/images": 2, "valid/images": 2}, "train/labels"),
        ({"train2017": 2, "val2017": 2}, "annotations"),
        ({"JPEGImages": 4}, "Annotations"),
    ],
)
def test_other_trees_of_boxes(photos: dict[str, int], box: str, make_folder: Make) -> None:
    root = make_folder(photos)
    (root / box).mkdir()
    (root / box / "a.txt").write_text("0 0.5 0.5 1 1")
    with pytest.raises(InputError, match="beside photos, the layout of boxes"):
        open_images(root)
    images = open_images(root, need_labels=False)
    assert len(images) == 4
    assert images.classes == ()
    parts = {"train": 2, "val": 2} if len(photos) == 2 else {None: 4}
    assert {part: images.given_split.count(part) for part in parts} == parts
    table = root / "classes.csv"
    table.write_text(
        "\n".join(["path,label", *(f"{k},{i % 2}" for i, k in enumerate(images.keys))])
    )
    assert open_images(root, labels=table).targets == (0, 1, 0, 1)


def test_class_folders_beside_an_empty_one_are_no_boxes(make_folder: Make) -> None:
    root = make_folder({"ok": 2, "ng": 2})
    (root / "labels").mkdir()
    with pytest.raises(InputError, match=r"class folder '.*labels' holds no image; fill it or rem"):
        open_images(root)


@pytest.mark.parametrize("turn", [None, 1, 3, 6, 8])
def test_heic_is_read_as_jpeg_is(turn: int | None, tmp_path: Path) -> None:
    pytest.importorskip("pillow_heif", reason="HEIC is read with pillow-heif: samix[heic]")
    assert reads_heic()
    pixels = np.zeros((32, 64, 3), np.uint8)
    pixels[:16, :32], pixels[16:, 32:] = (250, 10, 10), (10, 10, 250)
    exif = Image.Exif()
    if turn is not None:
        exif[0x0112] = turn
    for name, kind in (("a.heic", "HEIF"), ("b.jpg", "JPEG"), ("c.HIF", "HEIF")):
        Image.fromarray(pixels).save(tmp_path / name, kind, exif=exif.tobytes(), quality=95)
    images = open_images(tmp_path, need_labels=False)
    assert images.keys == ("a.heic", "b.jpg", "c.HIF")
    heic, jpeg, _ = (np.asarray(images.read(i)).astype(int) for i in range(3))
    assert heic.shape == jpeg.shape == ((64, 32, 3) if turn in (6, 8) else (32, 64, 3))
    assert np.abs(heic - jpeg).mean() < 4
    assert len(open_unsorted([str(tmp_path)])) == 3


def test_a_broken_heic_is_named(tmp_path: Path) -> None:
    pytest.importorskip("pillow_heif", reason="HEIC is read with pillow-heif: samix[heic]")
    Image.new("RGB", (64, 64), "red").save(tmp_path / "a.heic", "HEIF")
    (tmp_path / "b.heic").write_bytes((tmp_path / "a.heic").read_bytes()[:150])
    with pytest.raises(InputError, match=r"1 of 2 photos cannot be used: photo 'b.heic'"):
        open_images(tmp_path, need_labels=False)


def test_one_class_in_two_ways_of_writing_accents(make_folder: Make) -> None:
    one, other = (unicodedata.normalize(form, "für é") for form in ("NFC", "NFD"))
    assert one != other
    root = make_folder({f"train/{one}": 2, f"val/{other}": 2, "train/b": 2, "val/b ": 2})
    images = open_images(root)
    assert images.classes == ("b", one)
    assert [images.targets.count(i) for i in range(2)] == [4, 4]


def test_invisible_letters_around_a_class_are_no_part_of_it(make_folder: Make) -> None:
    root = make_folder({"train/a": 2, "val/a\u200b": 2, "train/b\ufeff ": 2, "val/b": 2})
    assert open_images(root).classes == ("a", "b")


@pytest.mark.parametrize("names", [("OK", "ok"), ("ng", "\uff4e\uff47"), ("ok", "o\u00adk")])
def test_classes_that_differ_in_what_is_hardly_seen_are_refused(
    names: tuple[str, str], make_folder: Make
) -> None:
    root = make_folder({f"train/{names[0]}": 2, f"val/{names[1]}": 2, "train/b": 2, "val/b": 2})
    with pytest.raises(InputError, match="differ in case, width or invisible letters alone"):
        open_images(root)
    assert open_images(make_folder({"A": 2, "a": 2}, "letters")).classes == ("A", "a")


def test_the_order_of_classes_does_not_depend_on_that_of_a_set() -> None:
    for names in permutations(["1", "01", "001", "2"]):  # as the seed of hashes may order a set
        assert in_order(names) == ["001", "01", "1", "2"]
    assert in_order(["b", "a10", "a2"]) == ["a2", "a10", "b"]


def test_thumbnails_of_machines_and_links_upwards_are_passed_over(make_folder: Make) -> None:
    root = make_folder({"a": 2, "a/@eaDir/x.png": 1, "b": 2, "__MACOSX/a": 1, "#recycle": 1})
    (root / "b" / "up").symlink_to(root)
    (root / "c").symlink_to(root)
    images = open_images(root)
    assert images.classes == ("a", "b")
    assert len(images) == 4
    assert len(open_unsorted([str(root)])) == 4


def test_a_table_beside_photos_does_not_take_over(make_folder: Make) -> None:
    root = make_folder({"a": 2, "b": 2})
    (root / "labels.parquet").write_bytes(b"x")
    assert open_images(root).classes == ("a", "b")
    only = make_folder({"x": 0}, "only")
    (only / ".cache").mkdir()
    (only / ".cache" / "x.parquet").write_bytes(b"x")
    with pytest.raises(InputError, match="holds no image"):
        open_images(only)
    (only / "x.parquet").write_bytes(b"x")
    with pytest.raises(InputError, match="not a readable parquet file"):
        open_unlabelled([str(only)])
