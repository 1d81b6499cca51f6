"""Result tables with known truth."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy import special

from samix.study import Cost, PartScores

CLASSES = ("crack", "good", "stain")
SECONDS = {"none": 60.0, "mixup": 62.0, "none-long": 150.0, "mixup-long": 150.0, "samix-p": 65.0,
           "samix-fast": 90.0, "samix": 150.0}  # fmt: skip


def simulate(
    rng: np.random.Generator,
    gains: Mapping[str, float | Mapping[str, float]],
    *,
    seeds: int = 3,
    parts: int = 300,
    accuracy: float = 80.0,
    seed_sd: float = 0.7,
) -> dict[str, PartScores]:
    """Parts differ in difficulty, policies in which parts they find difficult, and seeds by chance.

    Gains are in points, for all classes or by class; marginal over parts, seeds and all chance.
    """
    target = np.arange(parts) % 3
    difficulty = rng.normal(size=parts)
    scores = {}
    for name, gain in gains.items():
        of_class = np.array(
            [gain.get(c, 0.0) if isinstance(gain, Mapping) else gain for c in CLASSES]
        )
        expected = accuracy + of_class[target] + rng.normal(0, seed_sd, size=(seeds, 1))
        latent = (
            np.sqrt(0.7) * difficulty
            + np.sqrt(0.1) * rng.normal(size=parts)
            + np.sqrt(0.2) * rng.normal(size=(seeds, parts))
        )
        right = latent < special.ndtri(np.clip(expected / 100, 0.001, 0.999))
        scores[name] = scores_of(right, target)
    return scores


def scores_of(right: np.ndarray, target: np.ndarray | None = None) -> PartScores:
    """One photo a part."""
    seeds, parts = right.shape
    target = np.arange(parts) % 3 if target is None else target
    return PartScores(
        right.astype(float), np.ones(parts, dtype=np.int64), np.arange(parts),
        target.astype(np.int64), tuple(range(seeds)), tuple(f"part{i:04}" for i in range(parts)),
        CLASSES,
    )  # fmt: skip


def costs(names: Mapping[str, object], **alive: float) -> dict[str, Cost]:
    """Usual wall times; Mixers alive unless given."""
    return {
        name: Cost(SECONDS[name], alive.get(name, 1.0) if name.startswith("samix") else None)
        for name in names
    }


def outcomes_of(scores: Mapping[str, PartScores], *, labels: int = 100) -> pd.DataFrame:
    """The tidy table that the scores come from."""
    rows = []
    for policy, one in scores.items():
        for s, seed in enumerate(one.seeds):
            for u, part in enumerate(one.part):
                truth = one.classes[one.target[u]]
                wrong = one.classes[(one.target[u] + 1) % len(one.classes)]
                rows.append((policy, seed, labels, "supervised", one.parts[part], truth,
                             truth if one.right[s, u] else wrong))  # fmt: skip
    names = ["policy", "seed", "labels", "mode", "group", "target", "predicted"]
    return pd.DataFrame(rows, columns=names)


def cells_of(given: Mapping[str, Cost], *, seeds: int = 3, labels: int = 100) -> pd.DataFrame:
    """The table of cells."""
    rows = [
        (name, seed, labels, "supervised", cost.seconds, 100,
         None if cost.alive is None else bool(cost.alive))
        for name, cost in given.items() for seed in range(seeds)
    ]  # fmt: skip
    names = ["policy", "seed", "labels", "mode", "seconds", "steps", "alive"]
    return pd.DataFrame(rows, columns=names)
