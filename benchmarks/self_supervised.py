"""Self-supervised mixing on CIFAR-10: does it pay, at equal steps and equal wall time.

Run it with ``python benchmarks/self_supervised.py moco moco-wall simclr catalogue clean``; see
``--help``. A cell is one pre-training without labels and its evaluation; a finished cell is one
row, and a second run skips what is finished. Several processes may share one output file. In the
cells of ``clean`` the encoder also learns from clean images, which is the published form.

45,000 train photos without labels, 5,000 for validation, the whole test set for judging. A small
ResNet (widths 16 to 128, embedding of 128), views of 20 px cut from photos of 32 px, batch 128,
AdamW, all policies with the same settings; they were chosen with policy none by kNN on validation
photos. Trained and judged under bfloat16 autocast, or with ``--precision 32`` in float32, which is
quicker on a CPU without instructions for bfloat16; that takes an output file of its own. Judged at
32 px on test: kNN (k 20) and a linear probe with all 45,000 labels, and fine-tuning with 1 % and
10 % of them. "Equal wall time" gives the free policies as many epochs as SAMix's time allows.
"""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor

import samix
from cells import add_places, parser_of, run_missing
from samix.data import RecipeName, random_keys, two_views
from samix.evaluation.knn import knn_accuracy
from samix.evaluation.linear import Labelled, linear_probe
from yardstick import (
    DEVIATION,
    MEAN,
    RESNET,
    Part,
    augment,
    clock,
    decode,
    normalise,
)
from yardstick_cells import usual_alpha

BATCH = 128
EPOCHS = 6
SIZE = 20  # px of a view
LR, WEIGHT_DECAY = 3e-3, 0.01
QUEUE = 1024  # keys
STRENGTHS = (0.01, 0.001)  # of the linear probe, for validation to choose from
FRACTIONS = (0.01, 0.1)
CATALOGUE = (
    "mixup-cutmix", "resizemix", "fmix", "gridmix", "saliencymix", "smoothmix", "maskmix",
    "guidedmixup", "samix-p",
)  # fmt: skip
TUNE_STEPS = {0.01: 150, 0.1: 400}
AUTOCAST = {"dtype": torch.bfloat16, "enabled": True}  # "enabled" is False with --precision 32
PIXELS = {"mean": tuple(MEAN.flatten().tolist()), "std": tuple(DEVIATION.flatten().tolist())}


@dataclass(frozen=True)
class Cell:
    """One pre-training.

    Attributes:
        name: Unique name without the seed, which is the row's key together with the seed.
        method: Name of the method.
        policy: Name of the policy.
        seed: Seed of weights, batches and draws; splits are the same for all.
        epochs: Passes over the 45,000 photos.
        options: Further options of ``samix.create_method``.
        lr: Learning rate.
        size: Side of the views in px.
    """

    name: str
    method: str
    policy: str
    seed: int
    epochs: float
    options: dict[str, Any]
    lr: float = LR
    size: int = SIZE


def load(folder: Path, device: str = "cpu") -> dict[str, Part]:
    """Return train (45,000), val (5,000) and test photos as uint8, with their classes."""
    train = decode(pd.read_parquet(folder / "train-00000-of-00001.parquet"))
    test = decode(pd.read_parquet(folder / "test-00000-of-00001.parquet"))
    order = torch.randperm(len(train[0]), generator=torch.Generator().manual_seed(0))
    cut = 45_000
    first, last = order[:cut], order[cut:]
    parts = {
        "train": (train[0][first], train[1][first]),
        "val": (train[0][last], train[1][last]),
        "test": test,
    }
    return {name: (x.to(device), y.to(device)) for name, (x, y) in parts.items()}


def create(cell: Cell, steps: int) -> samix.SelfSupervisedMethod:
    """Return the method of a cell with fresh weights."""
    torch.manual_seed(cell.seed)
    queue = {"queue_size": QUEUE} if cell.method == "moco" else {}
    options = {"cost": "full", **queue, **cell.options}
    method = samix.create_method(
        cell.method, policy=cell.policy, steps=steps, seed=cell.seed, **RESNET, **options
    )
    if not isinstance(method, samix.SelfSupervisedMethod):
        raise TypeError(f"{cell.method} is not self-supervised")
    return method.to(memory_format=torch.channels_last)


def pretrain(
    cell: Cell,
    data: dict[str, Part],
    log: Path,
    *,
    prepare: Callable[[samix.SelfSupervisedMethod], None] = lambda method: None,
) -> tuple[samix.SelfSupervisedMethod, dict[str, Any]]:
    """Train one cell without labels; return the method and what the training cost and showed.

    ``prepare`` may change the fresh method before the first step.
    """
    photos = data["train"][0]
    device, per_epoch = photos.device, len(photos) // BATCH
    steps = round(cell.epochs * per_epoch)
    method = create(cell, steps).to(device)
    prepare(method)
    groups = method.parameter_groups(cell.lr, weight_decay=WEIGHT_DECAY)
    optimizer = torch.optim.AdamW(groups)
    warm = max(steps // 20, 1)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda t: min((t + 1) / warm, 0.5 * (1 + math.cos(math.pi * t / steps)))
    )
    recipe: RecipeName = "simclr" if cell.method == "simclr" else "moco"
    views = two_views(cell.size, photo_size=32, recipe=recipe, **PIXELS)
    generator = torch.Generator().manual_seed(cell.seed)
    held_out = views(data["val"][0][:512], random_keys(0, 0, np.arange(512)))
    curve: list[dict[str, float]] = []
    start, measured = clock(device), 0.0
    for step in range(steps):
        epoch, place = divmod(step, per_epoch)
        if place == 0:
            order = torch.randperm(len(photos), generator=generator)
        pick = order[place * BATCH :][:BATCH]
        pair = views(photos[pick], random_keys(cell.seed, epoch, pick.numpy()))
        with torch.autocast(device.type, **AUTOCAST):
            output = method(pair)
        output.loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        method.update_momentum()
        schedule.step()
        if step + 1 in {math.ceil(steps * tenth / 10) for tenth in (1, 4, 7, 10)}:
            pause = clock(device)
            with torch.autocast(device.type, **AUTOCAST):
                signs = {
                    name: value.item() for name, value in method.signs_of_life(held_out).items()
                }
                info_nce = method.held_out_loss(held_out).item()
            curve.append(
                {
                    "step": step + 1,
                    "seconds": pause - start - measured,
                    "knn_val": knn(method.encoder, data, "val", 10_000),
                    "info_nce": info_nce,
                    "loss": output.loss.item(),
                    **signs,
                }
            )
            (log / f"{cell.name}-{cell.seed}.json").write_text(json.dumps(curve, indent=1))
            measured += clock(device) - pause
    seconds = clock(device) - start - measured
    early = curve[0]
    shown = {
        "steps": steps,
        "seconds": round(seconds, 1),
        "knn_val": round(curve[-1]["knn_val"], 2),
        "info_nce": round(curve[-1]["info_nce"], 4),
        "mask_deviation_10": round(early.get("mask_deviation", math.nan), 3),
        "correlation_10": round(early.get("area_lam_correlation", math.nan), 3),
        "mask_deviation_end": round(curve[-1].get("mask_deviation", math.nan), 3),
    }
    return method, shown


@torch.no_grad()
def embeddings(network: torch.nn.Module, pixels: Tensor) -> Tensor:
    """Return (N,D) float32 embeddings."""
    training = network.training
    network.eval()
    with torch.autocast(pixels.device.type, **AUTOCAST):
        parts = [network(normalise(part)).float() for part in pixels.split(500)]
    network.train(training)
    return torch.cat(parts)


def knn(network: torch.nn.Module, data: dict[str, Part], part: str, count: int | None) -> float:
    """Return the kNN accuracy in per cent, with ``count`` train photos as the reference."""
    images, known = (values[:count] for values in data["train"])
    found = embeddings(network, data[part][0]), data[part][1]
    reference = embeddings(network, images)
    return 100 * knn_accuracy(*found, reference, known, classes=10, k=20)[0]


def probe(network: torch.nn.Module, data: dict[str, Part]) -> float:
    """Return the test accuracy of a logistic regression in per cent; val chooses its strength."""
    parts = {
        name: Labelled(embeddings(network, pixels).cpu(), target.cpu())
        for name, (pixels, target) in data.items()
    }
    train, val, test = (parts[name] for name in ("train", "val", "test"))
    result = linear_probe(train, val, test, 10, strengths=STRENGTHS)
    print(f"linear probe: strength {result.strength}", flush=True)
    return 100 * result.accuracy


def fine_tune(encoder: torch.nn.Module, data: dict[str, Part], fraction: float, seed: int) -> float:
    """Return the test accuracy in per cent after fine-tuning with a share of the labels."""
    images, target = data["train"]
    count = round(fraction * len(images) / 10)
    mixed = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))
    known = target.cpu()[mixed]
    chosen = torch.cat([mixed[known == label][:count] for label in range(10)])
    images, target = images[chosen], target[chosen]
    torch.manual_seed(seed)
    network = torch.nn.Sequential(copy.deepcopy(encoder).train(), torch.nn.Linear(128, 10))
    network.to(images.device)
    groups = [{"params": network[0].parameters(), "lr": 0.02}, {"params": network[1].parameters()}]
    optimizer = torch.optim.SGD(groups, lr=0.1, momentum=0.9, nesterov=True, weight_decay=5e-4)
    steps, generator = TUNE_STEPS[fraction], torch.Generator().manual_seed(seed)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        pick = torch.randint(0, len(images), (100,), generator=generator)
        with torch.autocast(images.device.type, **AUTOCAST):
            logits = network(augment(images[pick], generator))
        F.cross_entropy(logits.float(), target[pick]).backward()
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
    logits = network[1](embeddings(network[0], data["test"][0]))
    return 100 * logits.argmax(1).eq(data["test"][1]).float().mean().item()


def run(cell: Cell, data: dict[str, Part], log: Path) -> dict[str, Any]:
    """Train and judge one cell and return its row."""
    log.mkdir(parents=True, exist_ok=True)
    method, shown = pretrain(cell, data, log)
    torch.save(method.state_dict(), log / f"{cell.name}-{cell.seed}.pt")  # for both_worlds.py
    encoder = method.encoder
    tuned = {f"tuned_{f:g}": round(fine_tune(encoder, data, f, cell.seed), 2) for f in FRACTIONS}
    return {
        "cell": cell.name,
        "method": cell.method,
        "policy": cell.policy,
        "seed": cell.seed,
        "epochs": round(cell.epochs, 2),
        "options": json.dumps(cell.options, default=str),
        **shown,
        "val": shown["knn_val"],
        "knn": round(knn(encoder, data, "test", None), 2),
        "linear": round(probe(encoder, data), 2),
        **tuned,
    }


def baselines(data: dict[str, Part]) -> dict[str, float]:
    """Return kNN in per cent of pixels, and of random encoders with calibrated batch statistics."""
    flat = {name: normalise(pixels).flatten(1) for name, (pixels, _) in data.items()}
    pixels = knn_accuracy(
        flat["test"], data["test"][1], flat["train"], data["train"][1], classes=10, k=20
    )
    found = {"pixels": 100 * pixels[0]}
    for seed in range(3):
        encoder = create(Cell("random", "moco", "none", seed, 1, {}), 1).encoder.train()
        encoder.to(data["train"][0].device)
        for module in encoder.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.momentum = None  # the mean over all batches
        with torch.no_grad():
            for part in data["train"][0][:5000].split(250):
                encoder(normalise(part))
        found[f"random {seed}"] = knn(encoder, data, "test", None)
    return found


def planned(rows: pd.DataFrame, groups: list[str], seeds: int) -> list[Cell]:
    """Return the cells of the wanted groups that can be named by now, finished ones included."""
    plain = ("none", "mixup", "cutmix", "i-mix")
    tries = [("32 px", {}, LR, 32), ("temperature 0.1", {"temperature": 0.1}, LR, SIZE)]
    wall = wall_epochs(rows)
    makers: dict[str, list[Cell]] = {
        "settings": [
            Cell(f"moco none, 4 epochs, {name}", "moco", "none", 0, 4, options, lr, size)
            for name, options, lr, size in [("as planned", {}, LR, SIZE), *tries]
        ],
        "moco": [
            Cell(f"moco {policy}", "moco", policy, seed, EPOCHS, usual_alpha(policy))
            for seed in range(seeds)
            for policy in (*plain, "samix")
        ],
        "moco-wall": [
            Cell(f"moco {policy}, equal wall time", "moco", policy, seed, wall, usual_alpha(policy))
            for seed in range(seeds)
            for policy in plain
            if wall
        ],
        "simclr": [
            Cell(f"simclr {policy}", "simclr", policy, 0, EPOCHS, usual_alpha(policy))
            for policy in ("none", "cutmix", "samix")
        ],
        "clean": clean_cells(seeds),
        "catalogue": [
            Cell(f"moco {policy}", "moco", policy, seed, EPOCHS, usual_alpha(policy))
            for seed in range(seeds)
            for policy in CATALOGUE
        ],
    }
    return [cell for group in groups for cell in makers[group]]


def clean_cells(seeds: int) -> list[Cell]:
    """Return SAMix and mixup with clean images, and plain training beside them."""
    branches = {"samix": "cheap", "mixup": "branch"}
    cells = []
    for seed in range(seeds):
        for policy, branch in branches.items():
            options = {**usual_alpha(policy), "clean_branch": branch, "cost": "fast"}
            cells.append(Cell(f"moco {policy} + clean", "moco", policy, seed, EPOCHS, options))
        cells.append(Cell("moco none", "moco", "none", seed, EPOCHS, {}))
    return cells


def wall_epochs(rows: pd.DataFrame) -> float | None:
    """Return the epochs without mixing that take as long as SAMix's, None before both are timed."""
    first = rows[rows["seed"] == 0].set_index("cell")["seconds"]
    if not {"moco none", "moco samix"} <= set(first.index):
        return None
    return EPOCHS * float(first["moco samix"] / first["moco none"])


def main() -> None:
    """Run the cells that are still missing."""
    parser = parser_of(__doc__)
    known = ["baselines", "settings", "moco", "moco-wall", "simclr", "catalogue", "clean"]
    parser.add_argument("groups", nargs="+", choices=known)
    add_places(parser, "self_supervised")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--precision", choices=["bf16", "32"], default="bf16", help="(bf16)")
    parser.add_argument("--device", default="cpu", help="of torch, such as cuda (cpu)")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    AUTOCAST["enabled"] = arguments.precision == "bf16"
    data = load(arguments.data, arguments.device)
    if "baselines" in arguments.groups:
        arguments.groups.remove("baselines")
        print(json.dumps(baselines(data)), flush=True)
    plan = lambda rows: planned(rows, arguments.groups, arguments.seeds)  # noqa: E731
    run_missing(plan, lambda cell: run(cell, data, arguments.log), arguments)


if __name__ == "__main__":
    main()
