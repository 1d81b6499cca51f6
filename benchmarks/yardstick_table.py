"""Print the yardstick's finished rows as a markdown table.

``python benchmarks/yardstick_table.py [CSV]``. Mean and standard deviation over the seeds; the
difference to ``none`` is paired by seed. ``--against CELL`` prints, instead, the difference of each
cell of the same network to that one, paired by seed: mean, 95 % interval of Student's t, and the
bound that lies below it with 95 % (one-sided).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd

from cells import RESULTS, half_width, interval, line_of, spread


def print_against(rows: pd.DataFrame, name: str) -> None:
    """Print the difference of each cell to one of them, paired by seed."""
    one = rows[rows["cell"] == name].set_index("seed")
    if one.empty:
        raise SystemExit(f"no cell '{name}'; there are {', '.join(rows['cell'].unique())}")
    print(f"| minus `{name}` | by seed | mean (95 % interval) | one-sided, above |")
    print("|---|---|---|---|")
    same = rows[rows["network"] == one["network"].iloc[0]]
    for other, cell in same.groupby("cell", sort=False):
        apart = (cell.set_index("seed")["test"] - one["test"]).dropna().sort_index()
        if other == name or apart.empty:
            continue
        values = ", ".join(f"{value:+.2f}" for value in apart)
        least = f"{apart.mean() - half_width(apart, 0.95):+.2f}" if len(apart) > 1 else ""
        print(line_of(other, values, interval(apart), least))


def main() -> None:
    """Read the table and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table", type=Path, nargs="?")
    parser.add_argument("--against", metavar="CELL", help="compare with this cell")
    arguments = parser.parse_args()
    table = arguments.table or RESULTS / "yardstick.csv"
    rows = pd.read_csv(table)
    if arguments.against is not None:
        print_against(rows, arguments.against)
        return
    plain = rows[rows["cell"] == "none"].set_index("seed")["test"]
    print(
        "| cell | seeds | steps | s | val | test | test, average | minus `none`, by seed |",
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
        print(line_of(*cells))


if __name__ == "__main__":
    main()
