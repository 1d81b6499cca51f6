"""A photo is decoded once: who opens it first keeps what others will want."""

from __future__ import annotations

import pickle
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from samix.data import PhotoStore, find_duplicates, open_images
from samix.data import reading as module
from samix.data.duplicates.fingerprints import take_fingerprints
from samix.data.reading import decode, full_size
from samix.data.store import photo_at
from samix.data.verifying import Keep
from samix.training import TrainConfig
from samix.training.prepare import kept_for, prepare, resolve

WIDTH, HEIGHT = 500, 400


def scene(seed: int, width: int = WIDTH, height: int = HEIGHT) -> Image.Image:
    cells = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return Image.fromarray(cells).resize((width, height), Image.Resampling.BICUBIC)


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Forty JPEG photos of two classes, and an empty cache."""
    monkeypatch.setenv("SAMIX_CACHE", str(tmp_path / "cache"))
    for i in range(40):
        path = tmp_path / "photos" / ("good", "scratch")[i % 2] / f"{i}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        scene(i).save(path, quality=90)
    return tmp_path / "photos"


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each photo was decoded, by how it was reduced."""
    counts: Counter[str] = Counter()
    real = module._read

    def counted(opened: Image.Image, *rest: object) -> Image.Image:
        counts[f"{opened.size}"] += 1
        return real(opened, *rest)

    monkeypatch.setattr(module, "_read", counted)
    return counts


def config(photos: Path, **options: object) -> TrainConfig:
    settings = {"policy": "none", "image_size": 128, "device": "cpu", "epochs": 1} | options
    small = {"layers": [1, 1, 1, 1], "channels": [8, 8, 8, 8]}
    return resolve(
        TrainConfig(data=str(photos), backbone="resnet18", model_kwargs=small, **settings)
    )


def test_a_run_decodes_each_photo_once(photos: Path, decoded: Counter[str]) -> None:
    prepared = prepare(config(photos))
    looked_at = 2 * 40  # the side of the grey copies is chosen from some photos, here all of them
    assert sum(decoded.values()) <= 40 + looked_at
    assert decoded["(500, 400)"] == 40
    assert not any(prepared.images.kept.copies.values())
    assert not prepared.images.kept.prints


def test_a_check_decodes_each_photo_once(photos: Path, decoded: Counter[str]) -> None:
    images = open_images(photos, keep=Keep(prints=True))
    before = sum(decoded.values())
    find_duplicates(images)
    assert sum(decoded.values()) - before == 40  # the side of the grey copies again
    assert decoded["(500, 400)"] == 40


@pytest.mark.parametrize("size", [16, 40, 128])
def test_kept_copies_are_those_that_are_read_later(photos: Path, size: int) -> None:
    kept = open_images(photos, keep=kept_for(config(photos, image_size=size)))
    plain = open_images(photos)
    assert set(kept.kept.copies) == {size, size if size <= 64 else round(1.5 * size)}
    for side in kept.kept.copies:
        for i in range(len(kept)):
            known = kept.kept.copy(i, side)
            assert known is not None
            assert torch.equal(known, photo_at(plain, i, side))
        store = PhotoStore(kept, range(len(kept)), side)
        store.keep()
        assert not kept.kept.copies[side]
    one, other = take_fingerprints(kept, hashed=False), take_fingerprints(plain, hashed=False)
    assert np.array_equal(one.grey, other.grey)
    assert np.array_equal(one.size, other.size)
    assert one.size.tolist() == [[WIDTH, HEIGHT]] * 40


def test_copies_follow_the_photos_of_a_subset(photos: Path) -> None:
    (photos / "good" / "0.jpg").write_bytes(b"no photo")
    keep = kept_for(config(photos, image_size=32))
    images = open_images(photos, skip_corrupt=True, keep=keep)
    assert len(images) == 39
    for i in (0, 20, 38):
        known = images.kept.copy(i, 32)
        assert known is not None
        path = photos / images.keys[i]
        assert torch.equal(known, squeezed(path, 32))
        assert images.kept.prints[i].size == (WIDTH, HEIGHT)


def squeezed(path: Path, side: int) -> torch.Tensor:
    small = decode(path, "a", side=side).resize(
        (side, side), Image.Resampling.BICUBIC, reducing_gap=3.0
    )
    return torch.from_numpy(np.array(small)).permute(2, 0, 1)


def test_nothing_is_kept_of_photos_whose_look_depends_on_the_others(photos: Path) -> None:
    deep = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64)
    Image.fromarray(deep).save(photos / "good" / "deep.png")
    images = open_images(photos, keep=kept_for(config(photos, image_size=32)))
    at = images.keys.index("good/deep.png")
    assert images.kept.copy(at, 32) is None
    assert at not in images.kept.prints
    assert len(images.kept.prints) == 40
    assert find_duplicates(images).size[at].tolist() == [64, 64]


def test_nothing_is_kept_where_it_does_not_fit(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("samix.data.verifying.CACHE_BUDGET", 40 * 3 * (128**2 + 192**2) - 1)
    assert not open_images(photos, keep=kept_for(config(photos))).kept.copies
    assert not open_images(photos, keep=kept_for(config(photos, labels_per_class=2))).kept.copies


def test_what_is_kept_stays_in_its_process(photos: Path) -> None:
    images = open_images(photos, keep=kept_for(config(photos)))
    assert images.kept.prints
    sent = pickle.loads(pickle.dumps(images))
    assert not sent.kept.prints
    assert not sent.kept.copies
    assert sent.keys == images.keys


def test_a_png_with_the_pixels_of_a_jpeg_is_equal_to_it(photos: Path) -> None:
    Image.open(photos / "good" / "0.jpg").save(photos / "scratch" / "same.png")
    images = open_images(photos, keep=Keep(prints=True))
    same = tuple(images.keys.index(key) for key in ("good/0.jpg", "scratch/same.png"))
    assert find_duplicates(images).equal == (same,)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "TIFF", "PNG"])
def test_the_full_size_is_that_of_the_upright_photo(
    tmp_path: Path, kind: str, orientation: int
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    scene(0).save(tmp_path / "a", kind, exif=exif.tobytes() if kind != "TIFF" else exif)
    upright = (HEIGHT, WIDTH) if orientation > 4 else (WIDTH, HEIGHT)
    assert full_size(decode(tmp_path / "a", "a", side=32)) == upright
    assert full_size(decode(tmp_path / "a", "a")) == upright
