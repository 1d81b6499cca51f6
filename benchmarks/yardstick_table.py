"""Print the yardstick's finished rows as a markdown table.

``python benchmarks/yardstick_table.py [CSV]``. Mean and standard deviation over the seeds; the
difference to ``none`` is paired by seed.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd


def spread(values: pd.Series[float]) -> str:
    """Return mean and standard deviation, the mean alone for one value."""
    if len(values) == 1:
        return f"{values.iloc[0]:.2f}"
    return f"{values.mean():.2f} ± {values.std():.2f}"


def main() -> None:
    """Read the table and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table", type=Path, nargs="?")
    table = parser.parse_args().table or Path("benchmarks/results/yardstick.csv")
    rows = pd.read_csv(table)
    plain = rows[rows["cell"] == "none"].set_index("seed")["test"]
    print(
        "| cell | seeds | steps | CPU s | val | test | test, average | minus `none`, by seed |",
        end="",
    )
    print(" mask deviation at 10 % / end | correlation at 10 % |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for name, cell in rows.groupby("cell", sort=False):
        one = cell.set_index("seed").sort_index()
        gain = (one["test"] - plain.reindex(one.index)).dropna().round(2)
        against = ", ".join(f"{value:+.2f}" for value in gain)
        if str(name) == "none" or one["network"].iloc[0] != "resnet":
            against = ""
        average = spread(one["test_average"]) if one["test_average"].notna().all() else ""
        life = ["", ""]
        if one["mask_deviation_10"].notna().all():
            ends = one[["mask_deviation_10", "mask_deviation_end"]].mean()
            life = [
                f"{ends.iloc[0]:.2f} / {ends.iloc[1]:.2f}",
                f"{one['correlation_10'].mean():.2f}",
            ]
        cells = [
            name, len(one), one["steps"].iloc[0], f"{one['seconds'].median():.0f}",
            spread(one["val"]), spread(one["test"]), average, against, *life,
        ]  # fmt: skip
        print("| " + " | ".join(str(value) for value in cells) + " |")


if __name__ == "__main__":
    main()
