"""Public data sets, where they are at hand: the folder that holds them is named by SAMIX_DATA."""

from __future__ import annotations

import os
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from samix.data import (
    Loading,
    build_loaders,
    eval_view,
    labelled_subset,
    make_splits,
    open_images,
    train_view,
)


def data(name: str) -> Path:
    root = os.environ.get("SAMIX_DATA")
    if not root:
        pytest.skip("SAMIX_DATA is not set: it names the folder that holds the public data sets")
    folder = Path(root, name)
    if not folder.exists():
        pytest.skip(f"SAMIX_DATA has no '{name}'")
    return folder


@pytest.mark.slow
def test_cifar10_in_parquet() -> None:
    folder = data("cifar10")
    start = time.process_time()
    images = open_images(folder)
    first = time.process_time() - start
    start = time.process_time()
    again = open_images(folder)
    second = time.process_time() - start
    assert first < 15  # 60,000 photos are decoded
    assert second < 1  # they are not decoded again
    assert images.keys == again.keys
    assert images.classes[:3] == ("airplane", "automobile", "bird")
    assert Counter(images.given_split) == {"train": 50_000, "test": 10_000}
    splits = make_splits(images)
    assert [len(part) for part in (splits.train, splits.val, splits.test)] == [
        42_500,
        7_500,
        10_000,
    ]
    subset = labelled_subset(images, splits, labels_per_class=200)
    assert set(Counter(images.targets[i] for i in subset).values()) == {200}
    pixels = np.stack([np.asarray(images.read(i)) for i in range(0, 60_000, 60)]) / 255
    assert pixels.shape == (1000, 32, 32, 3)
    assert np.allclose(pixels.mean(axis=(0, 1, 2)), [0.491, 0.482, 0.447], atol=0.02)


def test_tiles_in_class_folders() -> None:
    images = open_images(data("magnetic-tile") / "images")
    counts = Counter(images.classes[target] for target in images.targets)
    assert counts == {
        "free": 952,
        "blowhole": 115,
        "uneven": 103,
        "break": 85,
        "crack": 57,
        "fray": 32,
    }
    splits = make_splits(images)
    loaders = build_loaders(
        images,
        splits,
        train=train_view(96),
        evaluation=eval_view(96),
        loading=Loading(num_workers=0),
    )
    photos, target = next(iter(loaders.train))
    assert photos.shape == (100, 3, 96, 96)
    assert np.isfinite(photos.numpy()).all()
    assert 0.1 < float(photos.std()) < 2
    assert int(target.max()) < 6


def test_tiles_with_their_masks() -> None:
    images = open_images(data("magnetic-tile"))
    assert images.read_mask is not None
    for index in range(0, len(images), 40):
        mask = images.read_mask(index)
        if images.classes[images.targets[index]] == "free":
            assert mask is None
        else:
            assert mask is not None
            assert mask.size == images.read(index).size
