"""Print the finished rows of self-supervised mixing as markdown tables.

``python benchmarks/self_supervised_table.py``: accuracies by cell, gains over ``none`` of the same
length paired by seed, whether a policy's gain in supervised learning (the yardstick, 227 epochs)
and without labels agree in sign and rank, and the whole way. Intervals are those of Student's t
over the seeds, which three seeds make wide.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import permutation_test, spearmanr

from cells import interval, line_of, spread

MEASURES = {
    "knn": "kNN",
    "linear": "linear",
    "tuned_0.01": "1 % of labels",
    "tuned_0.1": "10 % of labels",
}
WALL = ", equal wall time"
LEAST_PAIRS = 5  # policies, for a rank correlation


def by_seed(rows: pd.DataFrame, cell: str, measure: str) -> pd.Series[float]:
    """Return one measure of a cell by seed."""
    chosen: pd.Series[float] = rows[rows["cell"] == cell].set_index("seed")[measure].sort_index()
    return chosen


def print_cells(rows: pd.DataFrame) -> None:
    """Print one line a cell."""
    print("| cell | seeds | epochs | CPU s | " + " | ".join(MEASURES.values()), end="")
    print(" | held-out InfoNCE | mask deviation at 10 % / end | correlation at 10 % |")
    print("|" + "---|" * (7 + len(MEASURES)))
    for name, cell in rows.groupby("cell", sort=False):
        life = ["", ""]
        if cell["mask_deviation_10"].notna().all():
            ends = cell[["mask_deviation_10", "mask_deviation_end"]].mean()
            life = [
                f"{ends.iloc[0]:.2f} / {ends.iloc[1]:.2f}",
                f"{cell['correlation_10'].mean():.2f}",
            ]
        numbers = [spread(cell[measure]) for measure in MEASURES]
        start = [name, len(cell), cell["epochs"].iloc[0], f"{cell['seconds'].median():.0f}"]
        line = [*start, *numbers, spread(cell["info_nce"]), *life]
        print(line_of(*line))


def print_gains(rows: pd.DataFrame) -> None:
    """Print the gain of each policy over none, at equal steps and at SAMix's time."""
    print("\n" + line_of("minus `none`", *MEASURES.values()))
    print("|" + "---|" * (1 + len(MEASURES)))
    pairs = []
    for name in rows["cell"].unique():
        method, _, rest = name.partition(" ")
        baseline = f"{method} none{WALL if rest.endswith(WALL) else ''}"
        pairs.append((name, name, baseline))
        if rest == "samix":
            pairs.append((f"{name}, against none{WALL}", name, baseline + WALL))
    for label, name, baseline in pairs:
        if name == baseline or baseline not in set(rows["cell"]):
            continue
        gains = [
            interval(by_seed(rows, name, measure) - by_seed(rows, baseline, measure))
            for measure in MEASURES
        ]
        print(line_of(label, *gains))


def supervised_gains(rows: pd.DataFrame) -> dict[str, pd.Series[float]]:
    """Return each policy's gain over none by seed, 227 epochs each."""
    found: dict[str, pd.Series[float]] = {}
    for name, policy in rows[["cell", "policy"]].drop_duplicates().itertuples(index=False):
        if name in (f"{policy}, long", f"{policy} {WALL[2:]}"):
            found[policy] = by_seed(rows, name, "test")
    plain = found.pop("none")
    return {policy: (values - plain).dropna() for policy, values in found.items()}


def print_consistency(rows: pd.DataFrame, supervised: pd.DataFrame) -> None:
    """Print each policy's gain with labels beside that without, and how their ranks agree."""
    print("\n| policy | gain with labels | gain without: kNN | gain without: linear | signs |")
    print("|---|---|---|---|---|")
    pairs: list[tuple[float, float, float]] = []
    for policy, first in supervised_gains(supervised).items():
        others = [
            (
                by_seed(rows, f"moco {policy}", measure) - by_seed(rows, "moco none", measure)
            ).dropna()
            for measure in ("knn", "linear")
        ]
        if any(values.empty for values in (first, *others)):
            continue
        pairs.append((first.mean(), others[0].mean(), others[1].mean()))
        agree = all((first.mean() > 0) == (other.mean() > 0) for other in others)
        texts = [interval(values) for values in (first, *others)]
        print(f"| {policy} | {' | '.join(texts)} | {'agree' if agree else 'differ'} |")
    if len(pairs) < LEAST_PAIRS:
        return
    ranks = np.array(pairs)
    for column, name in ((1, "kNN"), (2, "linear")):
        test = permutation_test(
            (ranks[:, 0],),
            lambda gains, column=column: spearmanr(gains, ranks[:, column]).statistic,
            permutation_type="pairings",
            n_resamples=50_000,
            rng=0,
        )
        print(
            f"\nrank correlation of the gains with labels and without ({name}), {len(pairs)} "
            f"policies: {test.statistic:+.2f}, permutation p {test.pvalue:.2f}"
        )


def print_whole_way(rows: pd.DataFrame) -> None:
    """Print the few-label trainings, and the way back."""
    print("\n| cell | seeds | CPU s | measure | val | test | mask deviation | correlation |")
    print("|---|---|---|---|---|---|---|---|")
    for name, cell in rows.groupby("cell", sort=False):
        life = [
            "" if cell[column].isna().any() else f"{cell[column].mean():.2f}"
            for column in ("mask_deviation", "area_lam_correlation")
        ]
        line = [name, len(cell), f"{cell['seconds'].median():.0f}", cell["measure"].iloc[0]]
        line += [spread(cell["val"]), spread(cell["test"]), *life]
        print(line_of(*line))


def main() -> None:
    """Read the tables and print them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=Path("benchmarks/results"))
    parser.add_argument("--machine", help="of the files, such as h100")
    given = parser.parse_args()
    folder, ending = given.folder, f"_{given.machine}" if given.machine else ""
    rows = pd.read_csv(folder / f"self_supervised{ending}.csv")
    print_cells(rows)
    print_gains(rows)
    print_consistency(rows, pd.read_csv(folder / f"yardstick{ending}.csv"))
    if not ending and (folder / "both_worlds.csv").exists():
        print_whole_way(pd.read_csv(folder / "both_worlds.csv"))


if __name__ == "__main__":
    main()
