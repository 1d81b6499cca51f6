"""What the benchmarks of trainings share: cells that are run once, in a table that many fill.

A cell is one training, with a name and a seed; a finished cell is one row of a CSV file, and a
second run skips what is finished. Several processes may share one file: each takes the next cell
that no other is at.
"""

from __future__ import annotations

import argparse
import csv
import fcntl
import json
import math
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO, Any

import numpy as np
import pandas as pd
from scipy.stats import t as student

Row = dict[str, Any]
RESULTS = Path("benchmarks/results")


def data_folder(name: str = "") -> Path:
    """Return a folder of the data at hand, below the environment variable SAMIX_DATA."""
    return Path(os.environ.get("SAMIX_DATA", "data")) / name


def parser_of(description: str | None) -> argparse.ArgumentParser:
    """Return a parser that shows a description as it is written."""
    return argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawTextHelpFormatter
    )


def add_places(
    parser: argparse.ArgumentParser, name: str, *, data: str | None = "cifar10", log: str = ""
) -> None:
    """Add the options for the data, the table and the folder of lock files.

    Args:
        parser: Of the script.
        name: Of the table, and of the folder in ``runs`` where ``log`` is empty.
        data: Folder of the data; None adds no such option.
        log: Another folder in ``runs``.
    """
    if data is not None:
        parser.add_argument("--data", type=Path, default=data_folder(data))
    parser.add_argument("--output", type=Path, default=RESULTS / f"{name}.csv")
    parser.add_argument("--log", type=Path, default=Path("runs") / (log or name))


def add_choices(parser: argparse.ArgumentParser) -> None:
    """Add the options that say which cells are run, and in which precision."""
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--from-seed", type=int, default=0, help="no cell of an earlier seed (0)")
    parser.add_argument("--only", default="", help="cells whose name has these words")
    parser.add_argument("--skip", default="", help="cells whose name has these words")
    parser.add_argument("--precision", choices=["bf16", "32"], default="bf16", help="(bf16)")


def wanted(arguments: argparse.Namespace, cell: Any) -> bool:
    """Return whether a cell is among those that were asked for."""
    skipped = arguments.skip and arguments.skip in cell.name
    return arguments.only in cell.name and not skipped and cell.seed >= arguments.from_seed


def read_rows(path: Path) -> pd.DataFrame:
    """Return the finished rows, an empty table where there is no file."""
    columns = ["cell", "policy", "seed", "epochs", "seconds", "val"]
    return pd.read_csv(path) if path.exists() else pd.DataFrame(columns=columns)


def append(path: Path, row: Row) -> None:
    """Add one row to the table, safely beside another process."""
    with path.open("a", newline="") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        writer = csv.DictWriter(file, row)
        columns = path.open().readline().strip().split(",")
        if path.stat().st_size == 0:
            writer.writeheader()
        elif columns != list(row):
            raise ValueError(f"{path} has other columns than the row: {set(columns) ^ set(row)}")
        writer.writerow(row)


def has_row(path: Path, cell: Any) -> bool:
    """Return whether a table has a row of a cell's name and seed."""
    rows = read_rows(path)
    return bool(((rows["cell"] == cell.name) & (rows["seed"] == cell.seed)).any())


def finished(path: Path, cell: Any) -> bool:
    """Return whether a table has the row of a cell: one with its value in each of its fields."""
    if not path.exists():
        return False
    rows = pd.read_csv(path, keep_default_na=False)
    same = np.ones(len(rows), dtype=bool)
    for column, value in vars(cell).items():
        same &= rows[column].astype(str) == str(value)
    return bool(same.any())


def file_name(cell: Any) -> str:
    """Return a name for the files of a cell; its own may have a slash, as in "Mixer on 1/4"."""
    return f"{cell.name}-{cell.seed}".replace("/", " of ")


def claim(folder: Path, cell: Any) -> IO[str] | None:
    """Reserve a cell until the process ends; None where another process has it."""
    folder.mkdir(parents=True, exist_ok=True)
    file = (folder / f"{file_name(cell)}.lock").open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file


def run_missing(
    plan: Callable[[pd.DataFrame], Iterable[Any]],
    work: Callable[[Any], Row],
    arguments: argparse.Namespace,
    known: Callable[[Path, Any], bool] = has_row,
) -> None:
    """Run the cells that are missing, one after another, until no cell is left for this process.

    Args:
        plan: Makes the cells from the rows that are there; it is asked anew after each cell,
            because the best of some cells may say what the others are.
        work: Trains a cell and returns its row.
        arguments: With the table (``output``) and the folder for lock files (``log``).
        known: Says whether a table has the row of a cell.
    """
    while _run_one(plan(read_rows(arguments.output)), work, arguments, known):
        pass


def _run_one(
    cells: Iterable[Any],
    work: Callable[[Any], Row],
    arguments: argparse.Namespace,
    known: Callable[[Path, Any], bool],
) -> bool:
    """Run the first cell that is missing and that no other process is at; say whether one was."""
    for cell in cells:
        if known(arguments.output, cell) or (lock := claim(arguments.log, cell)) is None:
            continue
        with lock:
            if known(arguments.output, cell):  # finished meanwhile, elsewhere
                continue
            row = work(cell)
            append(arguments.output, row)
            print(json.dumps(row), flush=True)
            return True
    return False


def spread(values: pd.Series[float]) -> str:
    """Return mean and standard deviation, the mean alone for one value."""
    if len(values) == 1:
        return f"{values.iloc[0]:.2f}"
    return f"{values.mean():.2f} ± {values.std():.2f}"


def half_width(values: pd.Series[float], share: float) -> float:
    """Return how far from the mean Student's t goes with a share of its distribution below."""
    steps = len(values) - 1
    return float(student.ppf(share, steps)) * float(values.std()) / math.sqrt(len(values))


def interval(values: pd.Series[float]) -> str:
    """Return the mean and its 95 % interval; the mean alone for one value."""
    clean = values.dropna()
    if len(clean) < 2:
        return "" if clean.empty else f"{clean.iloc[0]:+.2f}"
    half = half_width(clean, 0.975)
    return f"{clean.mean():+.2f} ({clean.mean() - half:+.2f} to {clean.mean() + half:+.2f})"


def line_of(*values: object) -> str:
    """Return a row of a markdown table."""
    return f"| {' | '.join(map(str, values))} |"
