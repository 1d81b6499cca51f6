"""What of a study has been trained: finished cells with their answers, and those that are not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from samix.errors import InputError

from .overall import Question
from .tables import CELL, CELLS, MODES, OUTCOMES, PartScores, part_scores, require

VERSION = 1  # of both tables
PARTS = ("test", "val")
STATES = ("finished", "failed", "missing")
Scores = Mapping[Question, Mapping[str, PartScores]]
"""By mode and labels, then by policy."""
AGAIN = "It was written by another version of samix: run samix poc again."


@dataclass(frozen=True)
class Trained:
    """The finished cells of a study.

    Attributes:
        scores: By mode and labels, then by policy: on test parts.
        test: Outcomes on test parts, by the same keys.
        val: Outcomes on validation parts, likewise; a policy may lack them.
        cells: Finished rows of the table of cells.
        planned: Modes and budgets, finished or not.
        count: Planned cells.
        failed: Reason by cell.
        missing: Cells.
    """

    scores: Scores
    test: Mapping[Question, Mapping[str, pd.DataFrame]]
    val: Mapping[Question, Mapping[str, pd.DataFrame]]
    cells: pd.DataFrame
    planned: tuple[Question, ...]
    count: int
    failed: Mapping[str, str]
    missing: tuple[str, ...]


def gather(outcomes: pd.DataFrame, cells: pd.DataFrame) -> Trained:
    """Sort the tables of a study by cell, and leave out what did not finish.

    Args:
        outcomes: One row a judged photo, with column `part`.
        cells: One row a planned cell, with columns `status` and `reason`.

    Raises:
        InputError: A table is of another version, lacks a column, or holds a value it cannot hold.
    """
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
    return Trained(
        scores=scores, test=by_part["test"], val=by_part["val"], cells=kept,
        planned=tuple(sorted((str(mode), int(labels)) for mode, labels in planned)),
        count=len(cells), failed=failed,
        missing=tuple(cell_name(row) for row in _dicts(cells[cells["status"] == "missing"])),
    )  # fmt: skip


def check_tables(outcomes: pd.DataFrame, cells: pd.DataFrame) -> None:
    """Refuse tables of another version.

    Raises:
        InputError: A version, a column or a value is not what this version writes.
    """
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
