from __future__ import annotations

import gzip
import pickle
import struct
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from samix.data import make_splits, open_images
from samix.errors import InputError


def write_mnist(root: Path, counts: dict[str, int]) -> None:
    """Write digits in the original file layout: photo i of digit i modulo 10, all of value i."""
    raw = root / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for part, count in counts.items():
        photos = np.repeat(np.arange(count, dtype=np.uint8), 28 * 28).tobytes()
        digits = (np.arange(count) % 10).astype(np.uint8).tobytes()
        files = {
            f"{part}-images-idx3-ubyte": struct.pack(">IIII", 2051, count, 28, 28) + photos,
            f"{part}-labels-idx1-ubyte": struct.pack(">II", 2049, count) + digits,
        }
        for name, data in files.items():
            (raw / name).write_bytes(data)
            (raw / f"{name}.gz").write_bytes(gzip.compress(data))


def test_torch_name_reads_both_parts(tmp_path: Path) -> None:
    write_mnist(tmp_path, {"train": 40, "t10k": 20})
    images = open_images("torch/mnist", root=tmp_path)
    assert len(images) == 60
    assert len(images.classes) == 10
    assert images.given_split == ("train",) * 40 + ("test",) * 20
    assert images.targets[43] == 3
    assert images.keys[43] == "test#3"
    assert images.read(43).mode == "RGB"
    assert images.read(43).getpixel((5, 5)) == (3, 3, 3)
    assert images.read(25).getpixel((5, 5)) == (25, 25, 25)
    assert pickle.loads(pickle.dumps(images)).read(59).getpixel((0, 0)) == (19, 19, 19)
    splits = make_splits(images)
    assert splits.test == tuple(range(40, 60))


def test_missing_data_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="add download=True"):
        open_images("torch/cifar10", root=tmp_path)


def test_missing_root_is_asked_for() -> None:
    with pytest.raises(InputError, match=r"data_root=DIR .*download=True"):
        open_images("torch/cifar10")


def test_unknown_name_gives_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'torch/cifar10'"):
        open_images("torch/cifar01", root=tmp_path)


def test_hugging_face_name_opens_a_local_set(
    tmp_path: Path, encoded: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    datasets = pytest.importorskip("datasets", reason="the package 'datasets' is not installed")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    for part, count in (("train", 6), ("test", 2)):
        for i in range(count):
            folder = tmp_path / "photos" / part / ("cat" if i % 2 else "dog")
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{i}.png").write_bytes(encoded(i))
    images = open_images(f"hfds/{tmp_path / 'photos'}", root=tmp_path / "cache")
    assert datasets is not None
    assert images.classes == ("cat", "dog")
    assert images.given_split == ("train",) * 6 + ("test",) * 2
    assert sorted(images.targets) == [0] * 4 + [1] * 4
    assert images.read(7).size == (8, 8)


def test_hugging_face_name_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(InputError, match="pip install datasets"):
        open_images("hfds/owner/name")


@pytest.mark.parametrize("name", ["tfds/cifar10", "wds/x", "hfids/x"])
def test_streams_are_refused(name: str) -> None:
    with pytest.raises(InputError, match="is a stream"):
        open_images(name)
