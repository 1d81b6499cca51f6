"""Small image sets on disk for the tests of samix.data."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from samix.data import ImageSet


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep records of verified files out of the user's cache."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("SAMIX_CACHE", str(folder))
    return folder


def photo(value: int, size: int = 8) -> Image.Image:
    """Return a noisy photo that no other value gives."""
    pixels = np.random.default_rng(value).integers(0, 256, (size, size, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


@pytest.fixture
def encoded() -> Callable[..., bytes]:
    """Return a function that makes the bytes of a photo."""

    def make(value: int, kind: str = "PNG", size: int = 8) -> bytes:
        buffer = io.BytesIO()
        photo(value, size).save(buffer, kind)
        return buffer.getvalue()

    return make


@pytest.fixture
def make_folder(tmp_path: Path) -> Callable[[dict[str, int]], Path]:
    """Return a function that writes so many photos into each folder, by relative path."""

    def make(counts: dict[str, int], name: str = "photos") -> Path:
        root = tmp_path / name
        for number, (folder, count) in enumerate(counts.items()):
            (root / folder).mkdir(parents=True, exist_ok=True)
            for i in range(count):
                photo(100 * number + i).save(root / folder / f"part{i // 2}_shot{i % 2}.png")
        return root

    return make


@pytest.fixture
def make_set() -> Callable[..., ImageSet]:
    """Return a function that makes a set in memory; the red of photo i is i."""

    def make(
        targets: list[int],
        keys: list[str] | None = None,
        given_split: list[str | None] | None = None,
        given_group: list[str | None] | None = None,
    ) -> ImageSet:
        count = len(targets)
        return ImageSet(
            name="made",
            classes=tuple(f"class{i}" for i in range(max(targets) + 1)),
            keys=tuple(keys or [f"{i}.png" for i in range(count)]),
            targets=tuple(targets),
            given_split=tuple(given_split or [None] * count),  # type: ignore[arg-type]
            given_group=tuple(given_group or [None] * count),
            read=plain_red,
        )

    return make


def plain_red(index: int) -> Image.Image:
    """Return a photo whose red is its index."""
    return Image.new("RGB", (16, 16), (index % 256, 0, 0))
