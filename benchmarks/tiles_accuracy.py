"""Accuracy on the tiles, with and without a guard, and with the built-in Mixer.

Run it with ``python benchmarks/tiles_accuracy.py``; see ``--help``. A finished cell is one row, and
a second run skips what is finished; several processes may share one output file.

Photos of a part stay on one side: a third of the parts is the test, another one for each seed. A
ResNet of widths 16 to 128 with timm's stem on photos squeezed to 128 px, both flips, brightness and
contrast; AdamW 0.002, batch 64, bfloat16, alpha 1, 80 epochs for all. Judged by the mean of the
recalls, since seven photos of ten are good, and by the recall of each class.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import samix
from stepping import batches, learn
from tiles_photos import GOOD, Tiles, grouped_split, load_tiles
from yardstick import append, claim, read_rows

SIZE, BATCH, EPOCHS, LR = 128, 64, 80, 2e-3
NETWORK: dict[str, Any] = {
    "backbone": "resnet18",
    "model_kwargs": {
        "layers": (1, 1, 1, 1),
        "channels": (16, 32, 64, 128),
        "stem_type": "deep",
        "stem_width": 8,
    },
}
GUARD = {"good": [GOOD], "share": 0.65}
# name: policy and options
CELLS: dict[str, tuple[str, dict[str, Any]]] = {
    "none": ("none", {}),
    "mixup": ("mixup", {"alpha": 1.0}),
    "cutmix": ("cutmix", {"alpha": 1.0}),
    "cutmix + guard": ("cutmix", {"alpha": 1.0, "guard": GUARD}),
    "samix-p": ("samix-p", {"alpha": 1.0}),
    "samix-p + guard": ("samix-p", {"alpha": 1.0, "guard": GUARD}),
    "samix fast": ("samix", {"alpha": 1.0, "cost": "fast"}),
    "samix fast + guard": ("samix", {"alpha": 1.0, "cost": "fast", "guard": GUARD}),
}


@dataclass(frozen=True)
class Cell:
    """One training: its name and its seed."""

    name: str
    seed: int


def augmented(images: Tensor, generator: torch.Generator) -> Tensor:
    """Return photos in [0, 1] flipped, with another brightness and contrast, normalised."""
    flips = torch.rand(2, len(images), generator=generator) < 0.5
    for side, flip in zip((3, 2), flips, strict=True):
        images = torch.where(flip.view(-1, 1, 1, 1), images.flip(side), images)
    gain, shift = torch.rand(2, len(images), 1, 1, 1, generator=generator) - 0.5
    return (normalised(images) * (1 + 0.2 * gain) + 0.4 * shift).contiguous(
        memory_format=torch.channels_last
    )


def normalised(images: Tensor) -> Tensor:
    """Return photos in [0, 1] around 0; about the statistics of all tiles."""
    return ((images - 0.4) / 0.2).contiguous(memory_format=torch.channels_last)


def run(cell: Cell, tiles: Tiles) -> dict[str, Any]:
    """Train one cell and return its row."""
    policy, options = CELLS[cell.name]
    train, test = grouped_split(tiles, cell.seed)
    steps = EPOCHS * (len(train) // BATCH)
    torch.manual_seed(cell.seed)
    method = samix.create_method(
        "supervised",
        num_classes=len(tiles.classes),
        policy=policy,
        steps=steps,
        seed=cell.seed,
        **({"classes": tiles.classes} if "guard" in options else {}),
        **NETWORK,
        **options,
    ).to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(method.parameter_groups(LR, weight_decay=0.02))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda t: min((t + 1) / 50, 0.5 * (1 + math.cos(math.pi * t / steps)))
    )
    generator = torch.Generator().manual_seed(cell.seed)
    begin = time.process_time()
    for place in batches(len(train), BATCH, steps, generator):
        pick = train[place]
        shown = augmented(tiles.images[pick], generator)
        learn(method, optimizer, schedule, shown, tiles.target[pick])
    seconds = time.process_time() - begin
    recalls = recall_of(method.encoder, tiles, test)
    signs = method.signs_of_life(
        augmented(tiles.images[train[:128]], generator), tiles.target[train[:128]]
    )
    guard = None if method.guard is None else method.guard.counters.summary()
    return {
        "cell": cell.name,
        "seed": cell.seed,
        "steps": steps,
        "seconds": round(seconds, 1),
        "balanced": round(sum(recalls.values()) / len(recalls), 2),
        **{f"recall {name}": round(value, 1) for name, value in recalls.items()},
        "mask_deviation": round(float(signs["mask_deviation"]), 3) if signs else "",
        "accepted": "" if guard is None else round(guard["accepted"], 3),
    }


@torch.no_grad()
def recall_of(network: torch.nn.Module, tiles: Tiles, test: Tensor) -> dict[str, float]:
    """Return the recall of each class on some photos, in per cent."""
    network.eval()
    with torch.autocast("cpu", torch.bfloat16):
        guessed = torch.cat(
            [network(normalised(tiles.images[part])).argmax(1) for part in test.split(128)]
        )
    hit, target = guessed == tiles.target[test], tiles.target[test]
    return {
        name: 100 * float(hit[target == number].float().mean())
        for number, name in enumerate(tiles.classes)
    }


def main() -> None:
    """Run the cells that are still missing."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "--data", type=Path, default=Path(os.environ.get("SAMIX_DATA", "data")) / "magnetic-tile"
    )
    parser.add_argument(
        "--output", type=Path, default=Path("benchmarks/results/tiles_accuracy.csv")
    )
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--log", type=Path, default=Path("runs/tiles"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    arguments.log.mkdir(parents=True, exist_ok=True)
    tiles = load_tiles(arguments.data, SIZE)
    for seed in range(arguments.seeds):
        for name in CELLS:
            cell = Cell(name, seed)
            lock = claim(arguments.log, cell)
            if lock is None:
                continue
            rows = read_rows(arguments.output)
            if not ((rows["cell"] == name) & (rows["seed"] == seed)).any():
                row = run(cell, tiles)
                append(arguments.output, row)
                print(json.dumps(row), flush=True)
            lock.close()


if __name__ == "__main__":
    main()
