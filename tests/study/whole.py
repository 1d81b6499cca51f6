"""The two tables of a whole study, as samix poc writes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from .simulated import CLASSES, simulate, study_costs

POLICIES = ("none", "mixup", "none-long", "samix-p", "samix")
BUDGETS = (50, 200, 400)
CURVE = {50: 70.0, 200: 78.0, 400: 82.0}  # accuracy of plain training


def study(
    rng: np.random.Generator,
    gains: Mapping[str, float] | None = None,
    *,
    self_supervised: Mapping[str, float] | None = None,
    parts: int = 120,
    seeds: int = 3,
    budgets: Sequence[int] = BUDGETS,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Outcomes and cells in both modes; gains in points by policy, 0 where not given."""
    outcomes, cells = [], []
    for mode, some in (("supervised", gains), ("self-supervised", self_supervised)):
        known = {name: (some or {}).get(name, 0.0) for name in POLICIES}
        for labels in budgets:
            for part, count in (("test", parts), ("val", parts // 2)):
                scores = simulate(
                    rng, known, seeds=seeds, parts=count, accuracy=CURVE[labels], between=0.83,
                    within=0.88,
                )  # fmt: skip
                for policy, one in scores.items():
                    outcomes.append(_rows(rng, policy, one.right, labels, mode, part))
            spent = study_costs(known)
            cells += [
                (policy, seed, labels, mode, spent[policy].seconds, 500,
                 True if policy.startswith("samix") else None, "finished", "", 512.0,
                 f"{mode}/{policy}-{labels}-s{seed}", 0.97 if policy == "samix" else np.nan, 30)
                for policy in POLICIES for seed in range(seeds)
            ]  # fmt: skip
    names = ["policy", "seed", "labels", "mode", "seconds", "steps", "alive", "status", "reason",
             "memory_mb", "folder", "guard_accepted", "epochs"]  # fmt: skip
    return pd.concat(outcomes, ignore_index=True), pd.DataFrame(cells, columns=names)


def _rows(
    rng: np.random.Generator, policy: str, right: np.ndarray, labels: int, mode: str, part: str
) -> pd.DataFrame:
    seeds, count = right.shape
    seed, group = (index.ravel() for index in np.indices(right.shape))
    target = group % 3
    predicted = np.where(right.ravel() > 0, target, (target + 1) % 3)
    sure = rng.uniform(0.5, 0.95, seeds * count)
    probabilities = np.full((seeds * count, 3), ((1 - sure) / 2)[:, None])
    probabilities[np.arange(seeds * count), predicted] = sure
    names = np.array(CLASSES)
    frame = pd.DataFrame(
        {
            "policy": policy, "seed": seed, "labels": labels, "mode": mode,
            "group": np.char.add(f"{part}-", group.astype(str)), "target": names[target],
            "predicted": names[predicted], "photo": np.char.add(f"{part}/", group.astype(str)),
            "part": part,
        }
    )  # fmt: skip
    for k, name in enumerate(CLASSES):
        frame[f"p_{name}"] = probabilities[:, k]
    return frame
