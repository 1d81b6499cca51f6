"""Accuracy on the tiles, with and without a guard, and with the built-in Mixer.

Run it with ``python benchmarks/tiles_accuracy.py``; see ``--help``. A finished cell is one row, and
a second run skips what is finished; several processes may share one output file.

Photos of a part stay on one side: a third of the parts is the test, and three seeds test every
part once. A ResNet of widths 16 to 128 with timm's deep stem on photos squeezed to 128 px and
standardised one by one, since a part is photographed under several exposures; both flips,
brightness and contrast; rare classes are drawn more often (weight count^-0.5); AdamW 0.002, batch
64, bfloat16, alpha 1, 500 steps for all. Seven photos of ten are good, so accuracy is not used:
"auc" says how well good photos are told from defective ones over all thresholds, "detection" is
the mean of the shares of both that are told at the usual one, "balanced" the mean of the recalls
of the six classes.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Any

import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor

import samix
from cells import add_places, parser_of, run_missing
from samix.networks import standardised
from stepping import learn
from tiles_photos import GOOD, Tiles, grouped_split, load_tiles, random_split
from yardstick import RESNET

SIZE, BATCH, STEPS, LR = 128, 64, 500, 2e-3
NETWORK: dict[str, Any] = {name: RESNET[name] for name in ("backbone", "model_kwargs")}
GUARD = {"good": [GOOD], "share": 0.65}
LEAKING = "none, photos split at random"  # parts on both sides: what a careless split would say
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
    LEAKING: ("none", {}),
}


@dataclass(frozen=True)
class Cell:
    """One training: its name and its seed."""

    name: str
    seed: int


def augmented(images: Tensor, generator: torch.Generator) -> Tensor:
    """Return photos in [0, 1] flipped, standardised, with another brightness and contrast."""
    flips = torch.rand(2, len(images), generator=generator) < 0.5
    for side, flip in zip((3, 2), flips, strict=True):
        images = torch.where(flip.view(-1, 1, 1, 1), images.flip(side), images)
    gain, shift = torch.rand(2, len(images), 1, 1, 1, generator=generator) - 0.5
    return (standardised(images) * (1 + 0.4 * gain) + 0.4 * shift).contiguous(
        memory_format=torch.channels_last
    )


def run(cell: Cell, tiles: Tiles) -> dict[str, Any]:
    """Train one cell and return its row."""
    policy, options = CELLS[cell.name]
    split = random_split if cell.name == LEAKING else grouped_split
    train, test = split(tiles, cell.seed)
    target = tiles.target[train]
    chance = torch.bincount(target).float()[target] ** -0.5
    torch.manual_seed(cell.seed)
    method = samix.create_method(
        "supervised",
        num_classes=len(tiles.classes),
        policy=policy,
        steps=STEPS,
        seed=cell.seed,
        **({"classes": tiles.classes} if "guard" in options else {}),
        **NETWORK,
        **options,
    ).to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(method.parameter_groups(LR, weight_decay=0.02))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda t: min((t + 1) / 50, 0.5 * (1 + math.cos(math.pi * t / STEPS)))
    )
    generator = torch.Generator().manual_seed(cell.seed)
    begin = time.process_time()
    for _ in range(STEPS):
        pick = train[torch.multinomial(chance, BATCH, generator=generator)]
        shown = augmented(tiles.images[pick], generator)
        learn(method, optimizer, schedule, shown, tiles.target[pick])
    seconds = time.process_time() - begin
    measured = measures(method.encoder, tiles, test)
    signs = method.signs_of_life(
        augmented(tiles.images[train[:128]], generator), tiles.target[train[:128]]
    )
    guard = None if method.guard is None else method.guard.counters.summary()
    return {
        "cell": cell.name,
        "seed": cell.seed,
        "steps": STEPS,
        "seconds": round(seconds, 1),
        **{name: round(value, 2) for name, value in measured.items()},
        "mask_deviation": round(float(signs["mask_deviation"]), 3) if signs else "",
        "accepted": "" if guard is None else round(guard["accepted"], 3),
    }


@torch.no_grad()
def measures(network: torch.nn.Module, tiles: Tiles, test: Tensor) -> dict[str, float]:
    """Return what a network tells of some photos, all in per cent."""
    network.eval()
    with torch.autocast("cpu", torch.bfloat16):
        said = [network(standardised(tiles.images[part])).float() for part in test.split(128)]
    share, target = torch.cat(said).softmax(1), tiles.target[test]
    good, guessed = tiles.classes.index(GOOD), share.argmax(1)
    hit, bad = guessed == target, target != good
    detected = ((guessed != good) == bad).float()
    recalls = {
        f"recall {name}": 100 * float(hit[target == number].float().mean())
        for number, name in enumerate(tiles.classes)
    }
    return {
        "auc": 100 * float(roc_auc_score(bad, 1 - share[:, good])),
        "detection": 50 * float(detected[bad].mean() + detected[~bad].mean()),
        "balanced": sum(recalls.values()) / len(recalls),
        **recalls,
    }


def main() -> None:
    """Run the cells that are still missing."""
    parser = parser_of(__doc__)
    add_places(parser, "tiles_accuracy", data="magnetic-tile", log="tiles")
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    tiles = load_tiles(arguments.data, SIZE)
    cells = [Cell(name, seed) for seed in range(arguments.seeds) for name in CELLS]
    run_missing(lambda _: cells, lambda cell: run(cell, tiles), arguments)


if __name__ == "__main__":
    main()
