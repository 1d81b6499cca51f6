"""Photos are known again by their content, whatever their files say of it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from samix.data import ImageSet, join_images, open_images
from samix.data.beginning import changed, check_photos, write_photos
from samix.data.duplicates.fingerprints import content_hashes
from samix.errors import InputError

from .conftest import photo

Make = Callable[..., Path]


@pytest.fixture
def folder(make_folder: Make) -> Path:
    return make_folder({"crack": 3, "good": 3})


@pytest.fixture
def table(folder: Path, tmp_path: Path) -> Path:
    write_photos(tmp_path / "photos.csv", open_images(folder))
    return tmp_path / "photos.csv"


def test_touched_and_copied_photos_are_the_same(folder: Path, table: Path, tmp_path: Path) -> None:
    check_photos(table, open_images(folder), "run 'x'")
    for file in folder.rglob("*.png"):
        os.utime(file, ns=(1, 1))
    check_photos(table, open_images(folder), "run 'x'")
    shutil.copytree(folder, tmp_path / "copy" / "photos")
    check_photos(table, open_images(tmp_path / "copy" / "photos"), "run 'x'")


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
        check_photos(table, open_images(folder), "run 'x'")


def test_labels_that_changed_are_named(folder: Path, table: Path) -> None:
    images = open_images(folder)
    other = replace(images, targets=(1, *images.targets[1:]))
    said = r"1 of 6 photos have other labels \(such as 'crack/part0_shot0.png', now 'good', then 'c"
    with pytest.raises(InputError, match=said):
        check_photos(table, other, "run 'x'")
    none = replace(images, classes=(), targets=(-1,) * 6)
    assert "now 'none', then 'crack'" in changed(table, none).label
    assert changed(table, none).content == ""


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
