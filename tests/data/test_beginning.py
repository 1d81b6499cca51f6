"""Photos are known again by their content, whatever their files say of it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from samix.data import ImageSet, Splits, join_images, open_images
from samix.data.beginning import changed, check_photos, write_photos
from samix.data.duplicates.fingerprints import content_hashes
from samix.errors import InputError

from .conftest import photo

Make = Callable[..., Path]


@pytest.fixture
def folder(make_folder: Make) -> Path:
    return make_folder({"crack": 3, "good": 3})


def split_of(images: ImageSet) -> Splits:
    return Splits((0, 2, 4), (1,), (3,), (None,) * len(images))


def check(table: Path, images: ImageSet) -> None:
    check_photos(table, images, split_of(images), "run 'x'")


@pytest.fixture
def table(folder: Path, tmp_path: Path) -> Path:
    images = open_images(folder)
    write_photos(tmp_path / "photos.csv", images, split_of(images))
    return tmp_path / "photos.csv"


def test_touched_and_copied_photos_are_the_same(folder: Path, table: Path, tmp_path: Path) -> None:
    check(table, open_images(folder))
    for file in folder.rglob("*.png"):
        os.utime(file, ns=(1, 1))
    check(table, open_images(folder))
    shutil.copytree(folder, tmp_path / "copy" / "photos")
    check(table, open_images(tmp_path / "copy" / "photos"))


def test_photos_that_were_replaced_are_counted_and_named(folder: Path, table: Path) -> None:
    """One of the same size, whose time of change is that of the one before."""
    file = folder / "good" / "part0_shot1.png"
    status, size = file.stat(), file.stat().st_size
    new = 500
    while file.stat().st_size != size or new == 500:
        photo(new).save(file)
        new += 1
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    said = (
        r"run 'x' cannot go on: 1 of 6 photos are others \(such as 'good/part0_shot1.png'\) than "
        "when it began; give the photos of then, or begin anew with another `output`"
    )
    with pytest.raises(InputError, match=said):
        check(table, open_images(folder))


def test_labels_that_changed_are_named(folder: Path, table: Path) -> None:
    images = open_images(folder)
    other = replace(images, targets=(1, *images.targets[1:]))
    said = r"1 of 6 photos have other labels \(such as 'crack/part0_shot0.png', now 'good', then 'c"
    with pytest.raises(InputError, match=said):
        check(table, other)
    none = replace(images, classes=(), targets=(-1,) * 6)
    assert "now 'none', then 'crack'" in changed(table, none).label
    assert changed(table, none).content == ""


def test_a_splits_file_that_was_edited_is_named(folder: Path, table: Path) -> None:
    images = open_images(folder)
    edited = Splits((0, 2), (1, 4), (3, 5), (None,) * 6)
    said = (
        r"run 'x' cannot go on: 2 of 6 photos are in another part \(such as 'good/part0_shot1.png'"
        r", now 'val', then 'train'\) than when it began; give the splits.csv of then, or begin "
    )
    with pytest.raises(InputError, match=said):
        check_photos(table, images, edited, "run 'x'")
    assert changed(table, images).sentence() == ""  # another run may divide them otherwise


def test_what_is_not_known_is_passed_over(folder: Path, table: Path, make_set) -> None:
    assert changed(table.parent / "no.csv", open_images(folder)).sentence() == ""
    images = open_images(folder)
    assert changed(table, replace(images, encoded=None)).sentence() == ""
    assert changed(table, images.subset([4, 1])).sentence() == ""


def test_contents_are_read_once_until_a_file_changes(folder: Path) -> None:
    def unread(_: int) -> bytes:
        raise OSError("it was read again")

    images = open_images(folder)
    hashes = content_hashes(images)
    assert hashes is not None
    assert len(set(hashes)) == 6
    assert content_hashes(replace(images, encoded=unread)) == hashes
    assert content_hashes(images.subset([3, 2])) == [hashes[3], hashes[2]]
    photo(77).save(folder / "good" / "part0_shot0.png")
    again = content_hashes(open_images(folder))
    assert again is not None
    assert [a == b for a, b in zip(again, hashes, strict=True)] == [True] * 3 + [False] + [True] * 2


def test_joined_sets_have_the_contents_of_each(folder: Path, make_folder: Make) -> None:
    one, other = open_images(folder), open_images(make_folder({"a": 2, "b": 2}, "more"))
    both = join_images([("one", one), ("other", other)])
    assert content_hashes(both) == [*_hashes(one), *_hashes(other)]
    assert content_hashes(join_images([("one", one), ("x", replace(other, encoded=None))])) is None


def _hashes(images: ImageSet) -> list[str]:
    return content_hashes(images) or []
