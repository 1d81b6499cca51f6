"""Draw what ``best_bet.py`` measured: accuracy against labels, and what mixing adds.

Run it with ``python benchmarks/best_bet_curve.py``; it writes docs/images/few_labels.webp. Seeds 1
and 2 from random weights are of a machine without bfloat16, in float32.
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from cells import read_rows

ROOT = Path(__file__).parents[1]
# policy: name in the picture, colour (of Okabe and Ito), marker
LOOKS = {
    "none": ("none", "#000000", "o"),
    "mixup": ("mixup", "#0072B2", "s"),
    "cutmix": ("cutmix", "#56B4E9", "^"),
    "mixup-cutmix": ("mixup-cutmix", "#009E73", "v"),
    "samix, Mixer frozen": ("samix, frozen Mixer", "#D55E00", "D"),
    "samix fast": ("samix, fast", "#E69F00", "P"),
}


def accuracies(rows: pd.DataFrame, start: str) -> pd.DataFrame:
    """Return test accuracies in per cent, labels and seeds down, policies across."""
    named = rows["cell"].str.extract(r"^(?P<start>run|scratch), (?P<policy>.*), \d+$")
    whole = pd.concat([rows, named], axis=1)
    return whole[whole["start"] == start].pivot_table(
        index=["labels", "seed"], columns="policy", values="test"
    )


def draw(axes: Axes, values: pd.DataFrame, *, faint: bool = False) -> None:
    """Draw a line for each policy through the means of the seeds, and a dot for each seed."""
    for number, (policy, (name, colour, marker)) in enumerate(LOOKS.items()):
        if policy not in values:
            continue
        shown = values[policy].dropna().reset_index()
        means = shown.groupby("labels")[policy].mean()
        aside = 1.03 ** (number - len(LOOKS) / 2)  # dots of one budget stand side by side
        axes.plot(shown["labels"] * aside, shown[policy], ".", color=colour, alpha=0.4)
        axes.plot(
            means.index * aside,
            means,
            color=colour,
            marker=marker,
            markersize=5,
            linestyle=":" if faint else "-",
            label=f"{name}, from random weights" if faint else name,
        )


def picture(rows: pd.DataFrame) -> Image.Image:
    """Return both panels."""
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    run = accuracies(rows, "run")
    draw(left, run)
    draw(left, accuracies(rows, "scratch")[["none", "mixup"]], faint=True)
    gain = run.sub(run["none"], axis=0)
    draw(right, gain.drop(columns="none"))
    right.axhline(0, color="black", linewidth=1)
    left.set_title("The start pays: encoder from photos without labels", loc="left", fontsize=10)
    right.set_title("Mixing pays with few labels; learned mixing is level", loc="left", fontsize=10)
    left.set_ylim(bottom=15)  # room for the legend
    left.set_ylabel("test top-1 in %")
    right.set_ylabel("points over none, the same start")
    budgets = sorted(set(rows["labels"]))
    for axes in (left, right):
        axes.set_xscale("log")
        axes.set_xticks(budgets, [str(budget) for budget in budgets], minor=False)
        axes.xaxis.set_minor_locator(mpl.ticker.NullLocator())
        axes.set_xlabel("labels a class")
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(fontsize=8, frameon=False)
    memory = io.BytesIO()
    figure.savefig(memory, dpi=110)
    return Image.open(memory).convert("RGB")


def main() -> None:
    """Draw and save."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    results = ROOT / "benchmarks" / "results"
    tables = [results / "best_bet.csv", results / "best_bet_float32.csv"]
    parser.add_argument("--rows", type=Path, nargs="+", default=tables)
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "images" / "few_labels.webp")
    arguments = parser.parse_args()
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    rows = pd.concat([read_rows(path) for path in arguments.rows])
    picture(rows).save(arguments.output, quality=90)


if __name__ == "__main__":
    main()
