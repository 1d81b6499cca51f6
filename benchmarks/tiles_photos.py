"""The photos of magnetic tiles as tensors, with defect masks and the parts that they show."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold
from torch import Tensor

from samix.data import open_images
from samix.data.views import squeeze

GOOD = "free"
_FAR = 400  # numbers of photos of one part differ by less


@dataclass(frozen=True)
class Tiles:
    """All photos.

    Attributes:
        images: (N,3,S,S) float32 in [0, 1].
        regions: (N,1,S,S) in [0, 1], how much of each pixel is defect, by area averaging.
        target: (N,) int64.
        classes: Names of the classes.
        part: (N,) int64, the part that a photo shows, by its number in the file name.
    """

    images: Tensor
    regions: Tensor
    target: Tensor
    classes: tuple[str, ...]
    part: Tensor


def load_tiles(folder: Path, size: int) -> Tiles:
    """Read the photos, squeezed into squares of ``size`` px, and their masks."""
    found = open_images(folder)
    if found.read_mask is None:
        raise SystemExit(f"'{folder}' has no masks")
    images, regions = [], []
    for position in range(len(found)):
        images.append(squeeze(found.read(position), size).float() / 255)
        mask = found.read_mask(position)
        region = torch.zeros(1, size, size)
        if mask is not None:
            pixels = torch.from_numpy(np.array(mask.convert("L")) > 127).float()[None, None]
            region = F.interpolate(pixels, (size, size), mode="area")[0]
        regions.append(region)
    target = torch.tensor(found.targets)
    return Tiles(
        torch.stack(images),
        torch.stack(regions),
        target,
        found.classes,
        part_of_each(found.keys, found.targets),
    )


def part_of_each(keys: Sequence[str], targets: Sequence[int]) -> Tensor:
    """Return the part of each photo: one part is photographed under rising exposure numbers."""
    named = [re.search(r"exp(\d+)_num_(\d+)", key) for key in keys]
    places = [(int(m[1]), int(m[2])) for m in named if m is not None]
    if len(places) != len(keys):
        raise SystemExit("a photo's name lacks its exposure or number")
    part, count = torch.zeros(len(keys), dtype=torch.int64), 0
    for label in sorted(set(targets)):
        before: tuple[int, int] | None = None
        for i in sorted(
            (i for i, t in enumerate(targets) if t == label), key=lambda i: places[i][1]
        ):
            exposure, number = places[i]
            if before is None or exposure <= before[0] or number - before[1] > _FAR:
                count += 1
            part[i], before = count, (exposure, number)
    return part


def grouped_split(tiles: Tiles, seed: int) -> tuple[Tensor, Tensor]:
    """Return positions of train (two thirds) and test, parts as a whole, classes in proportion.

    Three seeds in a row, from 0 on, test every part once.
    """
    return _third(tiles, seed, StratifiedGroupKFold, groups=tiles.part)


def random_split(tiles: Tiles, seed: int) -> tuple[Tensor, Tensor]:
    """Return what a split gives that knows nothing of parts; otherwise as :func:`grouped_split`."""
    return _third(tiles, seed, StratifiedKFold)


def _third(tiles: Tiles, seed: int, kind: Any, **groups: Any) -> tuple[Tensor, Tensor]:
    folds = kind(3, shuffle=True, random_state=seed // 3)
    found = folds.split(np.zeros(len(tiles.target)), tiles.target, **groups)
    train, test = list(found)[seed % 3]
    return torch.from_numpy(train), torch.from_numpy(test)
