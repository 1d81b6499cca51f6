"""Recall and precision of the finder of near-duplicates, on sets made from real photos.

Run it with ``python benchmarks/duplicates.py --data FOLDER``, the folder with cifar10/ and
magnetic-tile/. Each row of benchmarks/results/duplicates.csv is a set of N originals and a changed
copy of each, or a set with duplicates of its own:

- cifar10: 2,000 photos of the train file, drawn by the seed.
- tiles: the photos of the first exposure, one of each time that a tile was photographed.
- demo: 600 built-in photos of 600 parts, of another seed for each seed.
- tiles, all: every photo; which show one tile is told by their names.
- demo, views: two photos of each of 360 parts, under other light, moved and with other noise.

The least agreement of 0.8 was chosen by looking at pairs of all tiles and of the test file of
CIFAR-10. The rows of cifar10 and of the demo are of photos that nothing was chosen on; those of the
tiles are not.

recall: share of the copies that are in one group with their original (tiles, all and demo, views:
share of the pairs of one part that are). right: pairs of a photo and its copy that were reported.
wrong: reported pairs of different originals; of those, alike: pairs whose originals match as they
are, so that they may well be of the same (CIFAR-10 has real near-duplicates, and some tiles were
photographed several times).
"""

from __future__ import annotations

import argparse
import csv
import io
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
from PIL import Image

from samix.data import Duplicates, ImageSet, find_duplicates, open_images

Photo = Image.Image
RESULTS = Path(__file__).parent / "results" / "duplicates.csv"
FIELDS = ("set", "change", "seed", "photos", "recall", "right", "wrong", "alike", "seconds")
SHARE, ANGLE, QUALITY, GAINS = 0.05, 3.0, 40, (0.6, 1.5)


@dataclass(frozen=True)
class Held:
    """Reads photos that are in memory."""

    photos: Sequence[Photo]

    def __call__(self, index: int) -> Photo:
        """Return the photo at a position."""
        return self.photos[index]


def exposure(photo: Photo, rng: np.random.Generator) -> Photo:
    bright = np.asarray(photo, dtype=np.float32) * rng.choice(GAINS)
    return Image.fromarray(bright.clip(0, 255).round().astype(np.uint8))


def crop(photo: Photo, rng: np.random.Generator) -> Photo:
    width, height = photo.size
    less = [max(1, round(side * SHARE)) for side in photo.size]
    left, top = rng.integers(0, less[0] + 1), rng.integers(0, less[1] + 1)
    return photo.crop((left, top, left + width - less[0], top + height - less[1]))


def rotation(photo: Photo, rng: np.random.Generator) -> Photo:
    return photo.rotate(ANGLE * rng.choice([-1, 1]), Image.Resampling.BICUBIC)


def jpeg(photo: Photo, rng: np.random.Generator) -> Photo:
    buffer = io.BytesIO()
    photo.save(buffer, "JPEG", quality=QUALITY)
    return Image.open(buffer).convert("RGB")


def shift(photo: Photo, rng: np.random.Generator) -> Photo:
    width, height = photo.size
    across, down = (max(1, round(side * SHARE)) for side in photo.size)
    pixels = np.pad(np.asarray(photo), ((down, down), (across, across), (0, 0)), mode="edge")
    left, top = rng.choice([0, 2 * across]), rng.choice([0, 2 * down])
    return Image.fromarray(pixels[top : top + height, left : left + width])


def flip(photo: Photo, rng: np.random.Generator) -> Photo:
    return photo.transpose(Image.Transpose.FLIP_LEFT_RIGHT)


def four(photo: Photo, rng: np.random.Generator) -> Photo:
    for change in (exposure, crop, rotation, jpeg):
        photo = change(photo, rng)
    return photo


CHANGES: dict[str, Callable[[Photo, np.random.Generator], Photo]] = {
    "exposure x 0.6 or 1.5": exposure,
    "crop 5 %": crop,
    "rotation 3 degrees": rotation,
    "JPEG quality 40": jpeg,
    "shift 5 % both ways": shift,
    "mirrored": flip,
    "exposure, crop, rotation, JPEG": four,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--output", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    rows: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as cache:
        os.environ["SAMIX_CACHE"] = cache
        for row in measured(arguments.data, arguments.seeds):
            rows.append(row)
            print(*(f"{name} {row[name]}" for name in FIELDS), flush=True)
            partial = arguments.output.with_suffix(".partial")
            with partial.open("w", newline="") as file:
                writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
                writer.writeheader()
                writer.writerows(rows)
            partial.replace(arguments.output)


def measured(data: Path, seeds: int) -> Iterator[dict[str, object]]:
    cifar = open_images(data / "cifar10")
    tiles = open_images(data / "magnetic-tile" / "images")
    yield own_duplicates("tiles, all", tiles, tile_parts(tiles), 0)
    for seed in range(seeds):
        views = open_images(f"demo:photos_per_class=120,size=64,views=2,seed={seed + 50}")
        yield own_duplicates("demo, views", views, list(map(str, views.given_group)), seed)
        for name, originals in (
            ("cifar10", from_cifar(cifar, seed)),
            ("tiles", [tiles.read(i) for i, k in enumerate(tiles.keys) if "exp1_" in k]),
            ("demo", from_demo(seed)),
        ):
            alike = {tuple(pair) for pair in search(originals)[0].pairs.tolist()}
            for change in CHANGES:
                yield changed(name, originals, alike, change, seed)


def from_cifar(images: ImageSet, seed: int) -> list[Photo]:
    train = [i for i, side in enumerate(images.given_split) if side == "train"]
    chosen = np.random.default_rng(seed).choice(train, 2000, replace=False)
    return [images.read(int(i)) for i in chosen]


def from_demo(seed: int) -> list[Photo]:
    images = open_images(f"demo:photos_per_class=100,size=64,views=1,seed={seed + 50}")
    return [images.read(i) for i in range(len(images))]


def search(photos: Sequence[Photo]) -> tuple[Duplicates, float]:
    count = len(photos)
    images = ImageSet(
        name="made",
        classes=(),
        keys=tuple(map(str, range(count))),
        targets=(-1,) * count,
        given_split=(None,) * count,
        given_group=(None,) * count,
        read=Held(photos),
    )
    begin = time.perf_counter()
    return find_duplicates(images), time.perf_counter() - begin


def changed(
    name: str, originals: Sequence[Photo], alike: set[tuple[int, int]], change: str, seed: int
) -> dict[str, object]:
    rng, count = np.random.default_rng([seed, list(CHANGES).index(change)]), len(originals)
    copies = [CHANGES[change](photo, rng) for photo in originals]
    found, seconds = search([*originals, *copies])
    place = {i: n for n, group in enumerate((*found.groups, *found.large)) for i in group}
    together = sum(place.get(i, -1) == place.get(i + count, -2) for i in range(count))
    pairs = [tuple(sorted((a % count, b % count))) for a, b in found.pairs.tolist()]
    wrong = [pair for pair in pairs if pair[0] != pair[1]]
    return {
        "set": name,
        "change": change,
        "seed": seed,
        "photos": 2 * count,
        "recall": round(together / count, 4),
        "right": len(pairs) - len(wrong),
        "wrong": len(wrong),
        "alike": sum(pair in alike for pair in wrong),
        "seconds": round(seconds, 1),
    }


def own_duplicates(
    name: str, images: ImageSet, parts: Sequence[str], seed: int
) -> dict[str, object]:
    """Compare the groups with those that are known."""
    begin = time.perf_counter()
    found = find_duplicates(images)
    seconds = time.perf_counter() - begin
    place = {i: n for n, group in enumerate((*found.groups, *found.large)) for i in group}
    members: dict[str, list[int]] = {}
    for i, part in enumerate(parts):
        members.setdefault(part, []).append(i)
    known = [pair for photos in members.values() for pair in combinations(photos, 2)]
    right = sum(place.get(a, -1) == place.get(b, -2) for a, b in known)
    wrong = sum(parts[a] != parts[b] for a, b in found.pairs.tolist())
    return {
        "set": name,
        "change": "own",
        "seed": seed,
        "photos": len(images),
        "recall": round(right / len(known), 4),
        "right": len(found.pairs) - wrong,
        "wrong": wrong,
        "alike": "",
        "seconds": round(seconds, 1),
    }


def tile_parts(images: ImageSet) -> list[str]:
    """Return which tile each photo shows, from exposure and running number in its name.

    A tile was photographed with exposures 1 to 6 in a row (a few from 0), so that a photo belongs
    to the tile of about its size whose last photo had a lower exposure and a slightly lower number.
    """
    named = []
    for i, key in enumerate(images.keys):
        match = re.search(r"exp(\d)_num_(\d+)", key)
        if match is None:
            raise ValueError(f"'{key}' has no exposure and number in its name")
        named.append((int(match[2]), int(match[1]), images.read(i).size, i))
    parts = [""] * len(images)
    tiles: list[list[tuple[int, int, tuple[int, int], int]]] = []
    for photo in sorted(named):
        fitting = [(cost, tile) for tile in tiles if (cost := misfit(tile[-1], photo)) is not None]
        if fitting:
            tile = min(fitting, key=lambda pair: pair[0])[1]
        else:
            tile = []
            tiles.append(tile)
        tile.append(photo)
        parts[photo[3]] = f"tile {tiles.index(tile)}"
    return parts


def misfit(
    last: tuple[int, int, tuple[int, int], int], photo: tuple[int, int, tuple[int, int], int]
) -> float | None:
    if photo[0] - last[0] > 160 or photo[1] <= last[1]:
        return None
    width, height = (abs(a - b) / max(a, b) for a, b in zip(last[2], photo[2], strict=True))
    if width >= 0.35 or height > 0.12:
        return None
    return width + 2 * height + 0.1 * (photo[1] - last[1] - 1)


if __name__ == "__main__":
    main()
