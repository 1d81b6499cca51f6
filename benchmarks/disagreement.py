"""How often two trainings differ about a photo: what the simulations of the verdict rest on.

Run it with ``python benchmarks/disagreement.py``; see ``--help``. The yardstick's network and 2,000
labels of CIFAR-10, 60 epochs; each cell's answers about the 10,000 test photos are one file, and a
second run skips what is there. The table has one row a grouping of classes, since an easier task
gives another accuracy: all ten; six (cat or dog, car or lorry, deer or horse, aircraft or ship,
bird, frog); two (animal or vehicle). Its columns:

- ``accuracy`` of all cells, in per cent;
- ``between``: per cent of photos that two policies at one seed do not both judge right or wrong;
- ``within``: the same of two seeds of one policy;
- ``latent_between`` and ``latent_within``: correlations of two normal difficulties with thresholds
  at the accuracy that would disagree as often. The simulated tables take these;
- ``seed_sd``: points by which the seeds of one policy differ beyond the chance of the photos.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import math
import os
from pathlib import Path

import numpy as np
import torch
from scipy import optimize, special, stats

import samix
from stepping import batches, learn
from yardstick import BATCH, RESNET, augment, load_cifar, normalise

POLICIES = {
    "none": {},
    "mixup": {"alpha": 1.0},
    "cutmix": {"alpha": 1.0},
    "samix": {"alpha": 1.0, "cost": "fast"},
}
EPOCHS = 60
GROUPINGS = {
    "ten classes": tuple(range(10)),
    "six classes": (0, 1, 2, 3, 4, 3, 5, 4, 0, 1),
    "two classes": (0, 0, 1, 1, 1, 1, 1, 1, 0, 0),
}


def train(policy: str, seed: int, data: dict[str, tuple[torch.Tensor, torch.Tensor]]) -> np.ndarray:
    """Return the predicted class of each test photo."""
    images, target = data["train"]
    steps = EPOCHS * (len(images) // BATCH["resnet"])
    torch.manual_seed(seed)
    method = samix.create_method(
        "supervised", num_classes=10, policy=policy, steps=steps, seed=seed, **RESNET,
        **POLICIES[policy],
    ).to(memory_format=torch.channels_last)  # fmt: skip
    groups = method.parameter_groups(0.1, weight_decay=5e-4)
    optimizer = torch.optim.SGD(groups, momentum=0.9, nesterov=True)
    warm = max(steps // 20, 1)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda t: min((t + 1) / warm, 0.5 * (1 + math.cos(math.pi * t / steps)))
    )
    generator = torch.Generator().manual_seed(seed)
    for pick in batches(len(images), BATCH["resnet"], steps, generator):
        learn(method, optimizer, schedule, augment(images[pick], generator), target[pick])
    method.encoder.eval()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        said = [method.encoder(normalise(x)).argmax(1) for x in data["test"][0].split(500)]
    return torch.cat(said).numpy().astype(np.int8)


def differ(cells: np.ndarray) -> tuple[float, float]:
    """Return the shares of (P,S,N) answers that differ between policies and between seeds."""
    pairs = list(itertools.combinations(range(len(cells)), 2))
    between = np.mean([np.mean(cells[a] != cells[b]) for a, b in pairs])
    seeds = list(itertools.combinations(range(cells.shape[1]), 2))
    within = np.mean([np.mean(cells[:, a] != cells[:, b]) for a, b in seeds])
    return float(between), float(within)


def latent(share: float, accuracy: float) -> float:
    """Return the correlation at which two answers differ that often."""
    limit = float(special.ndtri(accuracy))

    def both(correlation: float) -> float:
        cov = [[1, correlation], [correlation, 1]]
        right = stats.multivariate_normal.cdf([limit, limit], cov=cov)
        return float(2 * (accuracy - right) - share)

    return float(optimize.brentq(both, 0.0, 0.9999))


def row(name: str, said: np.ndarray, target: np.ndarray) -> dict[str, object]:
    """Return one row of the table from (P,S,N) predictions."""
    groups = np.array(GROUPINGS[name])
    right = groups[said] == groups[target]
    accuracy = float(right.mean())
    between, within = differ(right)
    of_seed = right.mean(axis=2)
    # the photos' share of the variance between seeds, since all see the same photos
    chance = within / 2 / right.shape[2]
    spread = max(float(of_seed.var(axis=1, ddof=1).mean()) - chance, 0.0)
    return {
        "grouping": name, "cells": right.shape[0] * right.shape[1],
        "accuracy": round(100 * accuracy, 2), "between": round(100 * between, 2),
        "within": round(100 * within, 2),
        "latent_between": round(latent(between, accuracy), 3),
        "latent_within": round(latent(within, accuracy), 3),
        "seed_sd": round(100 * math.sqrt(spread), 2),
    }  # fmt: skip


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__.split("\n\n", 1)[0])
    words.add_argument("--data", type=Path, default=Path(os.environ.get("SAMIX_DATA", "data")))
    words.add_argument("--answers", type=Path, required=True, help="folder for the cells' answers")
    words.add_argument("--output", type=Path, default=Path("disagreement.csv"))
    words.add_argument("--seeds", type=int, default=3)
    given = words.parse_args()
    torch.set_num_threads(1)
    data = load_cifar(given.data / "cifar10", 0)
    given.answers.mkdir(parents=True, exist_ok=True)
    for seed, policy in itertools.product(range(given.seeds), POLICIES):
        path = given.answers / f"{policy}-{seed}.npy"
        if not path.exists():
            said = train(policy, seed, data)
            np.save(path, said)
            print(policy, seed, np.mean(said == data["test"][1].numpy()), flush=True)
    said = np.array(
        [[np.load(given.answers / f"{p}-{s}.npy") for s in range(given.seeds)] for p in POLICIES]
    ).astype(int)
    rows = [row(name, said, data["test"][1].numpy()) for name in GROUPINGS]
    with given.output.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
