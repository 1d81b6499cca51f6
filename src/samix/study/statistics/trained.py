"""What of a study has been trained: finished cells with their answers, and those that are not."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import pandas as pd

from samix.data.health import TOO_FEW
from samix.errors import InputError
from samix.study.statistics.tables import (
    CELL,
    CELLS,
    JUDGED,
    MODES,
    OUTCOMES,
    PartScores,
    Question,
    part_scores,
    require,
    two_sides,
)

VERSION = 1  # of both tables
PARTS = ("test", "val")
STATES = ("finished", "failed", "missing")
Scores = Mapping[Question, Mapping[str, PartScores]]
"""By mode and labels, then by policy."""
AGAIN = "It was written by another version of samix: run samix poc again."


@dataclass(frozen=True)
class FinishedCells:
    """The finished cells of a study."""

    scores: Scores  # by mode and labels, then by policy: on test parts
    test: Mapping[Question, Mapping[str, pd.DataFrame]]  # outcomes on test parts, by the same keys
    # outcomes on validation parts, likewise; a policy may lack them
    val: Mapping[Question, Mapping[str, pd.DataFrame]]
    cells: pd.DataFrame  # finished rows of the table of cells
    planned: tuple[Question, ...]  # modes and budgets, finished or not
    count: int  # planned cells
    failed: Mapping[str, str]  # reason by cell
    missing: tuple[str, ...]  # cells


def gather(outcomes: pd.DataFrame, cells: pd.DataFrame) -> FinishedCells:
    """Sort the tables of a study by cell, and leave out what did not finish."""
    check_tables(outcomes, cells)
    key = list(CELL)
    finished = cells[cells["status"] == "finished"]
    answered = outcomes[key].drop_duplicates()
    has = finished.merge(answered, on=key, how="left", indicator=True)["_merge"] == "both"
    silent = finished[~has.to_numpy()]
    failed = {
        cell_name(row): str(row["reason"] or "")
        for row in _dicts(cells[cells["status"] == "failed"])
    }
    failed |= {cell_name(row): "It left no answers." for row in _dicts(silent)}
    kept = finished[has.to_numpy()]
    rows = outcomes.merge(kept[key], on=key)
    by_part = {part: _by_policy(rows[rows["part"] == part]) for part in PARTS}
    scores = {
        (mode, labels): {
            name: part_scores(table, policy=name, mode=mode, labels=labels)
            for name, table in of_policy.items()
        }
        for (mode, labels), of_policy in by_part["test"].items()
    }
    planned = cells[["mode", "labels"]].drop_duplicates().itertuples(index=False)
    return FinishedCells(
        scores=scores, test=by_part["test"], val=by_part["val"], cells=kept,
        planned=tuple(sorted((str(mode), int(labels)) for mode, labels in planned)),
        count=len(cells), failed=failed,
        missing=tuple(cell_name(row) for row in _dicts(cells[cells["status"] == "missing"])),
    )  # fmt: skip


def check_tables(outcomes: pd.DataFrame, cells: pd.DataFrame) -> None:
    """Refuse tables of another version."""
    for what, table, columns in (
        ("outcomes", outcomes, (*OUTCOMES, "part")),
        ("cells", cells, (*CELLS, "status", "reason")),
    ):
        version = table.attrs.get("version", VERSION)
        if version != VERSION:
            raise InputError(
                f"The table of {what} has version {version}, expected {VERSION}. {AGAIN}"
            )
        try:
            require(table, columns, what)
        except InputError as error:
            raise InputError(f"{error} {AGAIN}") from None
        _known(table, "mode", MODES, what)
    _known(outcomes, "part", PARTS, "outcomes")
    _known(cells, "status", STATES, "cells")
    twice = cells.duplicated(list(CELL))
    if twice.any():
        name = cell_name(_dicts(cells[twice])[0])
        raise InputError(f"The table of cells has two rows of '{name}'; expected one a cell.")


def cell_name(row: Mapping[str, object]) -> str:
    """Return the name of a cell, which is also where its folder lies."""
    return f"{row['mode']}/{row['policy']}-{row['labels']}-s{row['seed']}"


def _known(table: pd.DataFrame, column: str, values: tuple[str, ...], what: str) -> None:
    unknown = sorted({str(value) for value in table[column].unique()} - set(values))
    if unknown:
        raise InputError(
            f"Column '{column}' of the table of {what} holds '{unknown[0]}'; expected "
            f"{', '.join(values)}. {AGAIN}"
        )


def _dicts(cells: pd.DataFrame) -> list[dict[str, object]]:
    return [{str(name): value for name, value in row.items()} for row in cells.to_dict("records")]


def _by_policy(rows: pd.DataFrame) -> dict[Question, dict[str, pd.DataFrame]]:
    found: dict[Question, dict[str, pd.DataFrame]] = {}
    for key, here in rows.groupby(["mode", "labels"], sort=True, observed=True):
        of_policy = here.groupby("policy", sort=False, observed=True)
        mode, labels = key
        found[str(mode), int(str(labels))] = {str(name): table for name, table in of_policy}
    return found


SKEWED = 3.0  # times as many test parts of the largest class as of the smallest judgeable one


@dataclass(frozen=True)
class Measured:
    """What is compared, and why."""

    name: str  # "accuracy", "balanced_accuracy" or "detection"
    # largest and smallest class, where they decided for balanced accuracy
    skew: tuple[str, str] | None = None
    # of detection, the classes of one side: the good ones, or else the largest
    side: tuple[str, ...] = ()


def measure_of(
    counts: Mapping[str, int], asked: str | None = None, *, good: Collection[str] = ()
) -> Measured:
    """Return what is compared, by the independent test parts of each class.

    - Balanced accuracy where the largest class has more than three times the test parts of the
      smallest judgeable one;
    - detection where fewer than two classes can be judged, but two sides can: good parts against
      all others, or, where no class is known to be good, the largest class against all others;
    - accuracy otherwise.

    InputError where the plan asks for something else, or for detection where one side is empty.
    """
    if asked is not None and asked not in JUDGED:
        raise InputError(f"plan: measure '{asked}' is unknown; expected {', '.join(JUDGED)}.")
    counts = {name: count for name, count in counts.items() if count}
    if not counts:
        raise InputError("no test part shows a class: there is nothing to measure")
    largest = max(counts, key=lambda name: counts[name])
    side = tuple(name for name in counts if name in good) or (largest,)
    there = sum(count for name, count in counts.items() if name not in side)
    if asked == "detection" and not there:
        raise InputError(f"plan: measure 'detection' needs test parts beside {', '.join(side)}.")
    able = [name for name, count in counts.items() if count >= TOO_FEW]
    smallest = min(able, key=lambda name: counts[name], default=largest)
    if len(able) < 2:
        two = min(there, sum(counts.values()) - there) >= TOO_FEW and len(counts) > 2
        fitting = Measured("detection", side=side) if two else Measured("accuracy")
    elif counts[largest] > SKEWED * counts[smallest]:
        fitting = Measured("balanced_accuracy", skew=(largest, smallest))
    else:
        fitting = Measured("accuracy")
    if asked in (None, fitting.name):
        return fitting
    return Measured(str(asked), side=side if asked == "detection" else ())


def effective_parts(measured: Measured, counts: Mapping[str, int]) -> float:
    """Return how many test parts would show as much by accuracy as these do by a measure.

    The variance of a mean of K shares of n_1 to n_K parts is that of one share of
    ``K^2 / (1/n_1 + ... + 1/n_K)`` parts.
    """
    sizes = [count for count in counts.values() if count]
    if measured.name == "accuracy":
        return float(sum(sizes))
    if measured.name == "detection":
        here = sum(count for name, count in counts.items() if name in measured.side)
        sizes = [here, sum(sizes) - here]
    return len(sizes) ** 2 / sum(1 / size for size in sizes)


def scores_by(measured: Measured, trained: FinishedCells) -> Scores:
    """Return the scores on test parts as a measure sees them: of detection those of two classes."""
    if measured.name != "detection":
        return trained.scores
    return {
        (mode, labels): {
            name: part_scores(
                two_sides(table, measured.side), policy=name, mode=mode, labels=labels
            )
            for name, table in of_policy.items()
        }
        for (mode, labels), of_policy in trained.test.items()
    }
