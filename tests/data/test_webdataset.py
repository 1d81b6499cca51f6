"""Tar files of samples, as WebDataset has them."""

from __future__ import annotations

import io
import json
import pickle
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from samix.data import open_images
from samix.data.packed import open_unlabelled
from samix.errors import InputError

Encoded = Callable[..., bytes]


def written(path: Path, files: dict[str, bytes | str], mode: str = "w") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, mode) as opened:  # type: ignore[call-overload]
        for name, data in files.items():
            held = data.encode() if isinstance(data, str) else data
            member = tarfile.TarInfo(name)
            member.size = len(held)
            opened.addfile(member, io.BytesIO(held))
    return path


def test_photos_and_classes_of_several_files(tmp_path: Path, encoded: Encoded) -> None:
    for part, start in (("train-000000", 0), ("train-000001", 2), ("val-000000", 4)):
        files = {}
        for i in range(start, start + 2):
            files |= {f"{i:04d}.png": encoded(i), f"{i:04d}.cls": f"{i % 2}\n"}
            files |= {f"{i:04d}.seg.png": encoded(90), f"{i:04d}.txt": "a caption"}
        written(tmp_path / f"{part}.tar", files)
    images = open_images(tmp_path)
    assert images.classes == ("0", "1")
    assert images.targets == (0, 1, 0, 1, 0, 1)
    assert images.given_split == ("train",) * 4 + ("val",) * 2
    assert images.keys[3] == "train-000001.tar#0003.png"
    again = pickle.loads(pickle.dumps(images))
    for i in range(6):
        truth = np.random.default_rng(i).integers(0, 256, (8, 8, 3), dtype=np.uint8)
        assert np.array_equal(np.asarray(again.read(i)), truth)
    assert images.encoded is not None
    assert images.encoded(4) == encoded(4)


def test_classes_in_json_or_text(tmp_path: Path, encoded: Encoded) -> None:
    files: dict[str, bytes | str] = {}
    for i, name in enumerate(["hole", "ok", "hole"]):
        files |= {f"a/{i}.jpg": encoded(i, "JPEG"), f"a/{i}.txt": f"{name} "}
        files |= {f"a/{i}.json": json.dumps({"label": name, "who": i % 2, "tags": [1, 2]})}
    path = written(tmp_path / "x.tar", {**files, "a/3.jpg": encoded(3, "JPEG")})
    images = open_images(path)
    assert images.classes == ("hole", "ok")
    assert images.targets == (0, 1, 0, -1)
    assert open_images(path, label_column="who").classes == ("0", "1")
    assert open_images(path, label_column="txt").targets == images.targets
    with pytest.raises(InputError, match=r"'tags' of 'x.tar#a/0.jpg' holds several values"):
        open_images(path, label_column="tags")
    with pytest.raises(InputError, match=r"\(txt, label, who, tags\), got 'none'"):
        open_images(path, label_column="none")


def test_what_a_set_leaves_out_is_told_or_refused(tmp_path: Path, encoded: Encoded) -> None:
    files: dict[str, bytes | str] = {}
    for i in range(4):
        files |= {f"{i}.png": encoded(i), f"{i}.cls": str(i % 2)}
    del files["3.cls"]
    dotted = {f"a.{i}.png": encoded(i) for i in range(2)}
    notes = open_images(written(tmp_path / "x.tar", {**files, **dotted})).notes
    assert notes[0].startswith("2 pictures such as 'a.0.png' are not read")
    assert notes[1] == "1 of 4 photos have no label."
    with pytest.raises(InputError, match=r"not 'a\.0\.png', whose sample ends at the first dot"):
        open_images(written(tmp_path / "y.tar", dotted))
    written(tmp_path / "z.tar", files)
    written(tmp_path / "z.tar", {"0.png": encoded(9)}, "a")
    with pytest.raises(InputError, match=r"holds '0\.png' twice"):
        open_images(tmp_path / "z.tar")


def test_without_classes(tmp_path: Path, encoded: Encoded) -> None:
    path = written(tmp_path / "x.tar", {f"{i}.png": encoded(i) for i in range(3)})
    with pytest.raises(InputError, match=r"says no classes: its samples have no .cls"):
        open_images(path)
    assert len(open_images(path, need_labels=False)) == 3
    judged = open_unlabelled([str(tmp_path)])
    assert judged.keys[0] == f"{tmp_path}/x.tar#0.png"
    assert judged.classes == ()


def test_what_is_no_readable_tar_file(tmp_path: Path, encoded: Encoded) -> None:
    files = {"0.png": encoded(0, size=64), "0.cls": "0"}
    packed = written(tmp_path / "packed.tar", files, "w:gz")
    with pytest.raises(InputError, match="not a readable tar file \\(it is compressed; unpack it"):
        open_images(packed)
    short = written(tmp_path / "short.tar", files)
    short.write_bytes(short.read_bytes()[:4000])
    with pytest.raises(InputError, match=r"short.tar' (ends within '0.png'|is not a readable)"):
        open_images(short)
    with pytest.raises(InputError, match="holds no photo; expected files such as"):
        open_images(written(tmp_path / "text.tar", {"0.txt": "x"}))


def test_tar_files_beside_photos_are_passed_over(
    make_folder: Callable[..., Path], encoded: Encoded
) -> None:
    root = make_folder({"a": 2, "b": 2})
    written(root / "backup.tar", {"0.png": encoded(0), "0.cls": "0"})
    images = open_images(root)
    assert images.classes == ("a", "b")
    assert images.notes == ("tar files beside the photos are not read, such as 'backup.tar'.",)
