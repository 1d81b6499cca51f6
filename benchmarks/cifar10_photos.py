"""Write a part of CIFAR-10 as a folder of photos, such as a factory would have one.

python benchmarks/cifar10_photos.py PARQUET_FOLDER OUTPUT [--train 200] [--test 200] [--seed 0]

OUTPUT/train/CLASS/*.png and OUTPUT/test/CLASS/*.png: so many photos of each class, drawn from the
official train and test part. Then: samix poc OUTPUT --budget 90m
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from samix.data import open_images


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parquet", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--train", type=int, default=200)
    parser.add_argument("--test", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    images = open_images(given.parquet)
    rng = np.random.default_rng(given.seed)
    for side, count in (("train", given.train), ("test", given.test)):
        for target, name in enumerate(images.classes):
            there = [
                i
                for i, (label, part) in enumerate(
                    zip(images.targets, images.given_split, strict=True)
                )
                if label == target and part == side
            ]
            folder = given.output / side / name
            folder.mkdir(parents=True)
            for at in rng.choice(there, count, replace=False):
                images.read(int(at)).save(folder / f"{at:05d}.png")
        print(f"{side}: {count} photos of each of {len(images.classes)} classes")


if __name__ == "__main__":
    main()
