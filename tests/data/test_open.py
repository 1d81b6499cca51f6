from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from samix.data import open_images
from samix.data.verifying import state_of, verify
from samix.errors import CorruptImageError, InputError

Make = Callable[..., Path]


def test_a_folder_is_opened_and_verified(make_folder: Make) -> None:
    seen: list[tuple[int, int]] = []
    images = open_images(make_folder({"a": 70, "b": 80}), progress=lambda *at: seen.append(at))
    assert len(images) == 150
    assert seen == [(64, 150), (128, 150), (150, 150)]


def test_missing_path_is_named_with_the_nearest(make_folder: Make, tmp_path: Path) -> None:
    make_folder({"a": 1, "b": 1}, name="magnets")
    with pytest.raises(InputError, match=r"magnet'; did you mean 'magnets'"):
        open_images(tmp_path / "magnet")


@pytest.mark.parametrize("spec", ["/no/such/folder", "nowhere", ""])
def test_missing_path(spec: str) -> None:
    if spec:
        with pytest.raises(InputError, match=f"no such folder or image set: '{spec}'"):
            open_images(spec)
    else:
        with pytest.raises(InputError, match="empty"):
            open_images(spec)


def test_misspelt_demo_is_guessed() -> None:
    with pytest.raises(InputError, match="did you mean 'demo'"):
        open_images("demoo")


def test_a_folder_called_demo_can_be_opened(
    make_folder: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_folder({"a": 1, "b": 1}, name="demo")
    monkeypatch.chdir(tmp_path)
    assert open_images("demo").classes[0] == "blowhole"
    assert open_images("./demo").classes == ("a", "b")
    assert open_images(Path("demo")).classes == ("a", "b")


def test_a_file_is_refused(make_folder: Make) -> None:
    root = make_folder({"a": 1, "b": 1})
    with pytest.raises(InputError, match="is a file; give the folder"):
        open_images(root / "a" / "part0_shot0.png")


def test_one_class_only_is_refused_unless_labels_are_not_needed(make_folder: Make) -> None:
    root = make_folder({"good": 3})
    with pytest.raises(InputError, match="only one class \\('good'\\)"):
        open_images(root)
    assert len(open_images(root, need_labels=False)) == 3


def damage(root: Path) -> None:
    (root / "a" / "zero.png").write_bytes(b"")
    whole = (root / "a" / "part0_shot0.png").read_bytes()
    (root / "a" / "cut.png").write_bytes(whole[: len(whole) // 2])
    (root / "b" / "text.jpg").write_text("this is no photo")
    (root / "b" / "more.jpg").write_text("nor is this")


def test_corrupt_photos_are_named_and_counted(make_folder: Make) -> None:
    root = make_folder({"a": 4, "b": 4})
    damage(root)
    with pytest.raises(InputError, match="4 of 12 photos cannot be used") as caught:
        open_images(root)
    assert "a/zero.png" in str(caught.value)
    assert "a/cut.png" in str(caught.value)
    assert "and 1 more" in str(caught.value)
    assert "skip_corrupt=True" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_corrupt_photos_are_left_out_on_request(make_folder: Make) -> None:
    root = make_folder({"a": 4, "b": 4})
    damage(root)
    images = open_images(root, skip_corrupt=True)
    assert len(images) == 8
    assert set(images.skipped) == {"a/zero.png", "a/cut.png", "b/text.jpg", "b/more.jpg"}
    assert not set(images.skipped) & set(images.keys)
    assert [images.read(i).size for i in range(8)] == [(8, 8)] * 8


def test_all_photos_corrupt(make_folder: Make) -> None:
    root = make_folder({"a": 1, "b": 1})
    for file in root.rglob("*.png"):
        file.write_bytes(b"")
    with pytest.raises(InputError, match="none of the 2 photos"):
        open_images(root, skip_corrupt=True)


def test_verification_is_remembered_until_a_file_changes(
    make_folder: Make, own_cache: Path
) -> None:
    root = make_folder({"a": 2, "b": 2})
    images = open_images(root)
    files = [root / key for key in images.keys]
    assert len(list((own_cache / "verified").iterdir())) == 1

    def unreadable(_: int) -> Image.Image:
        msg = "photo was decoded again"
        raise CorruptImageError(msg)

    assert verify(replace(images, read=unreadable)).corrupt == {}
    whole = files[1].read_bytes()
    files[1].write_bytes(whole[:20])
    with pytest.raises(InputError, match=f"1 of 4 photos cannot be used: photo '{images.keys[1]}'"):
        open_images(root)
    now = replace(images, read=unreadable, state=state_of(files))
    assert list(verify(now).corrupt) == [1]


def test_photos_found_corrupt_are_tried_again(make_folder: Make) -> None:
    root = make_folder({"a": 2, "b": 2})
    images = open_images(root, need_labels=False)
    files = [root / key for key in images.keys]
    whole, status = files[2].read_bytes(), files[2].stat()
    files[2].write_bytes(b"\0" * len(whole))
    os.utime(files[2], ns=(status.st_atime_ns, 10**18))
    images = replace(images, state=state_of(files))
    assert list(verify(images).corrupt) == [2]
    files[2].write_bytes(whole)
    os.utime(files[2], ns=(status.st_atime_ns, 10**18))
    assert state_of(files) != images.state  # size and time of change are those of before
    assert verify(images).corrupt == {}


def test_unwritable_cache_is_no_obstacle(
    make_folder: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SAMIX_CACHE", str(tmp_path / "file" / "below"))
    assert len(open_images(make_folder({"a": 1, "b": 1}))) == 2


def test_photo_that_vanishes_later_is_named(make_folder: Make) -> None:
    root = make_folder({"a": 1, "b": 1})
    images = open_images(root)
    (root / images.keys[1]).unlink()
    with pytest.raises(CorruptImageError, match="b/part0_shot0"):
        images.read(1)
