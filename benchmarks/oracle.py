"""Would a mask that sees pay? An oracle that shows both objects against the free rivals.

python benchmarks/oracle.py four demo tiles --seeds 3
python benchmarks/oracle.py --table four 1500

Every policy has the same pipeline (``small_training.py``): the ten-layer ResNet, the same steps,
learning rate and schedule, and with "+ clean" the same clean images beside its mixes. The oracle is
told the objects' places (``oracle_policy.py``): 1 on the own object, 0 on the partner's, lam on
both; the background has the one weight that makes the area lam wherever that is possible; the label
is lam. "samix" is the learned mask in the same pipeline. "even" always has lam 0.5; "or mixup"
mixes as mixup where either photo has no object; "one background" takes that of either photo whole,
with probability lam, instead of mixing both. Groups are lists of cells; a finished cell is a row,
and a second run skips it. Everything is judged on test photos, "val" is there to choose by.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from cells import data_folder, finished, interval, parser_of, run_missing
from oracle_policy import Oracle
from small_objects import Objects, load
from small_training import make_method, scores, train
from yardstick_cells import usual_alpha

OUTPUT = Path("benchmarks/results/oracle.csv")
ORACLES: dict[str, dict[str, Any]] = {
    "oracle": {},
    "oracle, even": {"alpha": 1e6},
    "oracle or mixup": {"fallback": True},
    "oracle, one background": {"background": "one"},
    "oracle, even, one background": {"alpha": 1e6, "background": "one"},
}
RIVALS = ("mixup", "cutmix", "mixup-cutmix")
BATCH = 32


@dataclass(frozen=True)
class Cell:
    """One training.

    Attributes:
        data: One of :data:`small_objects.SETS`.
        policy: Name of a policy, or in :data:`ORACLES`.
        clean: With the clean branch.
        steps: Steps of 32.
        seed: Seed of data, weights, batches and draws.
    """

    data: str
    policy: str
    clean: bool
    steps: int
    seed: int

    @property
    def cell(self) -> str:
        """Name of the policy with what goes beside it."""
        return self.policy + (" + clean" if self.clean else "")

    @property
    def name(self) -> str:
        """A name without the seed, for lock files."""
        return f"{self.data} {self.cell} {self.steps}"


def row_of(data: str, policies: tuple[str, ...], steps: int, seeds: range) -> list[Cell]:
    """Return cells in the order of seeds; " + clean" at the end of a name asks for clean images."""
    return [
        Cell(data, name.removesuffix(" + clean"), name.endswith(" + clean"), steps, seed)
        for seed in seeds
        for name in policies
    ]


CLEAN = tuple(f"{name} + clean" for name in RIVALS)
FIRST = ("oracle + clean", "oracle, even + clean")
DEFECTS = (*FIRST, "oracle or mixup + clean", *CLEAN, "none")
EVEN = ("oracle, even, one background + clean", "oracle, one background + clean")
GROUPS: dict[str, tuple[str, tuple[str, ...], int]] = {
    "four": ("four", (*FIRST, *CLEAN, "samix + clean", "samix-p + clean", "none"), 1500),
    "four-background": ("four", EVEN, 1500),
    "four-without": ("four", ("oracle", "oracle, even", *RIVALS), 1500),
    "four-long": ("four", (*FIRST, *CLEAN, "none"), 6000),
    "demo": ("few-demo", DEFECTS, 400),
    "tiles": ("tiles", DEFECTS, 500),
    "ten": ("pasted", (*FIRST, *CLEAN, "none"), 6000),
}
"""Set, policies and steps of each group."""


def run(cell: Cell, data: dict[str, Objects]) -> dict[str, Any]:
    """Train one cell and return its row."""
    policy: Any = cell.policy
    options = {} if policy in ORACLES else usual_alpha(policy)
    policy = Oracle(**ORACLES[policy]) if policy in ORACLES else policy
    method = make_method(
        policy,
        len(data["train"].classes),
        cell.steps,
        cell.seed,
        clean_branch=cell.clean,
        **options,
    )
    seconds = train(method, data["train"], cell.steps, cell.seed, BATCH)
    name = "recall" if cell.data == "tiles" else "top1"
    row = {"cell": cell.cell, **vars(cell), "seconds": round(seconds, 1)}
    row["val"] = round(scores(method.encoder, data["val"])[name], 2) if "val" in data else ""
    judged = scores(method.encoder, data["test"])
    row["test"] = round(judged[name], 2)
    row["auc"] = round(judged["auc"], 2) if "auc" in judged else ""
    row["test_average"] = round(scores(method.average.module, data["test"])[name], 2)
    learned = data["train"].rows(torch.arange(0, len(data["train"]), 2))
    row["train"] = round(scores(method.encoder, learned)[name], 2)
    return row


def print_table(path: Path, data: str, steps: int) -> None:
    """Print means over the seeds, and differences to the best free rival, paired by seed."""
    rows = pd.read_csv(path)
    rows = rows[(rows["data"] == data) & (rows["steps"] == steps)]
    free = rows[rows["policy"].isin(RIVALS)]
    best = str(free.groupby("cell")["test"].mean().idxmax())
    rival = free[free["cell"] == best].set_index("seed")["test"]
    print(f"| cell | seeds | s | val | test | by seed | train | minus `{best}` |")
    print("|---|---|---|---|---|---|---|---|")
    for name, cell in rows.groupby("cell", sort=False):
        one = cell.set_index("seed").sort_index()
        apart = "" if name == best else interval(one["test"] - rival.reindex(one.index))
        mean = one.mean(numeric_only=True)
        seeds = ", ".join(f"{value:.1f}" for value in one["test"])
        print(
            f"| {name} | {len(one)} | {one['seconds'].median():.0f} | {mean['val']:.1f} | "
            f"{mean['test']:.2f} | {seeds} | {mean['train']:.1f} | {apart} |"
        )


def main() -> None:
    """Run the cells that are still missing, or print the table."""
    parser = parser_of(__doc__)
    parser.add_argument("groups", nargs="*", help=f"of {', '.join(GROUPS)}")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--from-seed", type=int, default=0)
    parser.add_argument("--only", nargs="*", help="only these policies, such as 'oracle + clean'")
    parser.add_argument("--folder", type=Path, default=data_folder())
    parser.add_argument("--output", type=Path, default=OUTPUT)
    parser.add_argument("--log", type=Path, default=Path("runs/oracle"), help="for lock files")
    parser.add_argument("--table", nargs=2, metavar=("SET", "STEPS"), help="print, run nothing")
    arguments = parser.parse_args()
    if arguments.table is not None:
        print_table(arguments.output, arguments.table[0], int(arguments.table[1]))
        return
    torch.set_num_threads(1)
    photos = lru_cache(4)(lambda name, seed: load(name, arguments.folder, seed))
    seeds = range(arguments.from_seed, arguments.seeds)
    cells = [
        cell
        for group in arguments.groups
        for cell in row_of(*GROUPS[group], seeds)
        if not arguments.only or cell.cell in arguments.only
    ]
    work = lambda cell: run(cell, photos(cell.data, cell.seed))  # noqa: E731
    run_missing(lambda _: cells, work, arguments, finished)


if __name__ == "__main__":
    main()
