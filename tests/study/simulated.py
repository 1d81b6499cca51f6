"""Result tables with known truth."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy import special

from samix.study import PartScores, PolicyCost

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
    between: float = 0.7,
    within: float = 0.8,
    lucky: str = "",
) -> dict[str, PartScores]:
    """Parts differ in difficulty, policies in which parts they find difficult, and seeds by chance.

    Gains are in points, for all classes or by class; marginal over parts, seeds and all chance.
    ``between`` and ``within`` are correlations of difficulty, of two policies and of two seeds;
    the policy ``lucky`` has 5 points more at its second seed.
    """
    target = np.arange(parts) % 3
    difficulty = rng.normal(size=parts)
    scores = {}
    for name, gain in gains.items():
        of_class = np.array(
            [gain.get(c, 0.0) if isinstance(gain, Mapping) else gain for c in CLASSES]
        )
        expected = accuracy + of_class[target] + rng.normal(0, seed_sd, size=(seeds, 1))
        if name == lucky:
            expected[1] += 5.0
        latent = (
            np.sqrt(between) * difficulty
            + np.sqrt(within - between) * rng.normal(size=parts)
            + np.sqrt(1 - within) * rng.normal(size=(seeds, parts))
        )
        right = latent < special.ndtri(np.clip(expected / 100, 0.001, 0.999))
        scores[name] = scores_of(right, target)
    return scores


HAND_MADE = ("mixup", "cutmix", "mixup-cutmix")
RACE = ("none", *HAND_MADE, "none-long", *(f"{name}-long" for name in HAND_MADE))
LEVEL = dict.fromkeys((*RACE, "samix-p", "samix"), 0.0)
LONGER = {name: 5.0 for name in LEVEL if name.endswith("-long")}
# accuracy and correlations of difficulty; see benchmarks/results/disagreement.csv
TASKS: dict[str, dict[str, float]] = {
    "90 %, measured": {"accuracy": 90.0, "between": 0.838, "within": 0.896},
    "80 %, measured": {"accuracy": 80.0, "between": 0.83, "within": 0.88},
    "80 %, assumed": {"accuracy": 80.0, "between": 0.7, "within": 0.8},
}
TRUTHS: dict[str, dict[str, Mapping[str, float | Mapping[str, float]]]] = {
    "no effect": {"supervised": LEVEL, "self-supervised": LEVEL},
    "small": {"supervised": {**LEVEL, "samix": 1.0}},
    "large": {"supervised": {**LEVEL, "samix": 5.0}},
    "large, light too": {"supervised": {**LEVEL, "samix-p": 5.0, "samix": 5.0}},
    "large in one class": {"supervised": {**LEVEL, "samix": {"crack": 5.0}}},
    "longer training": {"supervised": {**LEVEL, **LONGER, "samix": 5.0}},
    "mixup level": {"supervised": {**LEVEL, "mixup": 5.0, "samix": 5.0}},
    "mixup level, rest far": {"supervised": {**LEVEL, "mixup": 8.0, "samix-p": 8.0, "samix": 8.0}},
    "gain and loss": {
        "supervised": {**LEVEL, "samix": 5.0},
        "self-supervised": {**LEVEL, "samix": -5.0},
    },
    "lucky seed": {"supervised": LEVEL},
}


def study_of(
    rng: np.random.Generator, truth: str, *, task: Mapping[str, float], seeds: int, parts: int
) -> dict[tuple[str, int], dict[str, PartScores]]:
    """The scores of a study by mode and labels."""
    lucky = "samix" if truth == "lucky seed" else ""
    return {
        (mode, 1000): simulate(rng, gains, seeds=seeds, parts=parts, lucky=lucky, **task)
        for mode, gains in TRUTHS[truth].items()
    }


def study_costs(names: Mapping[str, object]) -> dict[str, PolicyCost]:
    """Wall times of a study: what is longer takes as long as SAMix."""
    return {
        name: PolicyCost(
            150.0 if name.endswith("-long") or name == "samix" else 62.0,
            1.0 if name.startswith("samix") else None,
        )
        for name in names
    }


def scores_of(right: np.ndarray, target: np.ndarray | None = None) -> PartScores:
    """One photo a part."""
    seeds, parts = right.shape
    target = np.arange(parts) % 3 if target is None else target
    return PartScores(
        right.astype(float), np.ones(parts, dtype=np.int64), np.arange(parts),
        target.astype(np.int64), tuple(range(seeds)), tuple(f"part{i:04}" for i in range(parts)),
        CLASSES,
    )  # fmt: skip


def costs(names: Mapping[str, object], **alive: float) -> dict[str, PolicyCost]:
    """Usual wall times; Mixers alive unless given."""
    return {
        name: PolicyCost(SECONDS[name], alive.get(name, 1.0) if name.startswith("samix") else None)
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


def cells_of(given: Mapping[str, PolicyCost], *, seeds: int = 3, labels: int = 100) -> pd.DataFrame:
    """The table of cells."""
    rows = [
        (name, seed, labels, "supervised", cost.seconds, 100,
         None if cost.alive is None else bool(cost.alive))
        for name, cost in given.items() for seed in range(seeds)
    ]  # fmt: skip
    names = ["policy", "seed", "labels", "mode", "seconds", "steps", "alive"]
    return pd.DataFrame(rows, columns=names)
