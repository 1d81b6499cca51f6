"""What the verdict says of simulated tables whose truth is known.

Run it with ``python benchmarks/verdict.py --output verdict.csv``; see ``--help``. One row for each
truth, number of seeds and of parts, and task: how often each verdict was said in so many studies,
and beside it the share of answers on which two policies differ.

A study has plain training, three hand-made policies, all four of them again for as long as SAMix
takes, a light version and SAMix: seven free rivals. The seeds of a policy spread by 0.7 points.
Parts have a difficulty of their own, policies and seeds add to it; how much was measured
(``benchmarks/results/disagreement.csv``). Tasks: plain accuracy 90 % with the correlations measured
there, 80 % with those between the two next accuracies, and 80 % as the project assumed before; the
last two with fewer truths. "Found" is adopt or adopt-light.

The studies with both modes give the overall verdict (primary question: supervised, all labels); in
those the column ``told`` is the share of adoptions whose sentence names the loss.
"""

from __future__ import annotations

import argparse
import csv
import functools
import itertools
import multiprocessing
import os
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "study"))

from simulated import TASKS, TRUTHS, study_costs, study_of

from samix.study import overall_verdict, weigh

SIZES = ((3, 300), (5, 300), (3, 600))
BRIEF = (
    "no effect",
    "large",
    "longer training",
    "mixup level",
    "mixup level, rest far",
)  # of all tasks but the first
COLUMNS = (
    "truth", "task", "seeds", "parts", "studies", "differ", "found", "adopt", "adopt-light",
    "use-simple", "mixer-not-alive", "do-not-adopt", "not-proven", "told",
)  # fmt: skip


def one(seed: int, truth: str, task: str, seeds: int, parts: int) -> tuple[str, float, bool]:
    """Return verdict, share of answers that differ, and whether a loss was told."""
    rng = np.random.default_rng([seed, seeds, parts, *map(ord, truth + task)])
    study = study_of(rng, truth, task=TASKS[task], seeds=seeds, parts=parts)
    verdicts = {where: weigh(scores, study_costs(scores)) for where, scores in study.items()}
    first = study[PRIMARY]
    differ = float(np.mean(first["mixup"].right != first["samix"].right))
    joined = overall_verdict(verdicts, PRIMARY)
    return joined.kind, differ, joined.restricted


PRIMARY = ("supervised", 1000)


def row(truth: str, task: str, seeds: int, parts: int, answers: Any) -> dict[str, Any]:
    """Return one row of the table."""
    kinds = Counter(kind for kind, _, _ in answers)
    found = kinds["adopt"] + kinds["adopt-light"]
    told = sum(restricted and kind in ("adopt", "adopt-light") for kind, _, restricted in answers)
    share: Mapping[str, float] = {k: round(100 * kinds[k] / len(answers), 2) for k in COLUMNS[7:-1]}
    return {
        "truth": truth, "task": task, "seeds": seeds, "parts": parts, "studies": len(answers),
        "differ": round(100 * float(np.mean([d for _, d, _ in answers])), 1),
        "found": round(100 * found / len(answers), 2), **share,
        "told": round(100 * told / found, 1) if found and truth == "gain and loss" else "",
    }  # fmt: skip


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__.split("\n\n", 1)[0])
    words.add_argument("--output", type=Path, default=Path("verdict.csv"))
    words.add_argument("--studies", type=int, default=1000)
    words.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    words.add_argument("--tasks", nargs="*", default=list(TASKS), choices=list(TASKS))
    given = words.parse_args()
    with (
        given.output.open("w", newline="") as file,
        multiprocessing.Pool(given.workers) as pool,
    ):
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        for task, (seeds, parts), truth in itertools.product(given.tasks, SIZES, TRUTHS):
            if task != next(iter(TASKS)) and truth not in BRIEF:
                continue
            asked = functools.partial(one, truth=truth, task=task, seeds=seeds, parts=parts)
            found = row(truth, task, seeds, parts, pool.map(asked, range(given.studies), 25))
            writer.writerow(found)
            file.flush()
            print(found, flush=True)


if __name__ == "__main__":
    main()
