"""The folder of a study: what is written where, and read back."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from samix.errors import InputError
from samix.training.runs import write_json, write_text

from .grid import Cell, cells_of
from .tables import CELLS
from .trained import AGAIN, VERSION

CELL_FILE = "cell.json"
CELL_OUTCOMES = "outcomes.parquet"
MORE = ("status", "reason", "memory_mb", "folder", "guard_accepted", "epochs")


@dataclass(frozen=True)
class PocFolder:
    """The files of a study.

    Attributes:
        path: The folder.
    """

    path: Path

    @property
    def study(self) -> Path:
        """What is studied, and how."""
        return self.path / "poc.yaml"

    @property
    def splits(self) -> Path:
        """Part and group of each photo, the same for all trainings."""
        return self.path / "splits.csv"

    @property
    def outcomes(self) -> Path:
        """One row a judged photo of each finished cell."""
        return self.path / "outcomes.parquet"

    @property
    def cells(self) -> Path:
        """One row a planned cell."""
        return self.path / "cells.parquet"

    @property
    def findings(self) -> Path:
        """All that was found, with the verdict."""
        return self.path / "findings.json"

    @property
    def health(self) -> Path:
        """What is known of the photos."""
        return self.path / "health.json"

    @property
    def pictures(self) -> Path:
        """Folder of pictures."""
        return self.path / "pictures"

    @property
    def report(self) -> Path:
        """The page for the one who decides."""
        return self.path / "report.html"

    @property
    def locks(self) -> Path:
        """Folder of locks: no training is run by two processes at once."""
        return self.path / "locks"


def write_study(folder: PocFolder, study: Mapping[str, Any]) -> None:
    """Write poc.yaml."""
    write_text(folder.study, yaml.safe_dump(dict(study), sort_keys=False, allow_unicode=True))


def read_study(path: str | Path) -> dict[str, Any]:
    """Read poc.yaml.

    Raises:
        InputError: There is none, it cannot be read, or is of another version.
    """
    folder = PocFolder(Path(path).expanduser())
    if not folder.study.is_file():
        raise InputError(
            f"'{path}' is no folder of samix poc (it has no poc.yaml); give the --output of one"
        )
    try:
        study = yaml.safe_load(folder.study.read_text(encoding="utf-8"))
        version = study["version"]
    except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
        raise InputError(f"'{folder.study}' cannot be read ({type(error).__name__})") from error
    if version != VERSION:
        raise InputError(f"'{folder.study}' has version {version}, expected {VERSION}. {AGAIN}")
    return dict(study)


def write_cell(
    folder: PocFolder, cell: Cell, outcomes: pd.DataFrame | None, record: Mapping[str, Any]
) -> None:
    """Write what a cell answered; cell.json comes last and says that all is there.

    Args:
        folder: Of the study.
        cell: Which one.
        outcomes: One row a judged photo; None where the cell failed.
        record: Columns of its row in the table of cells.
    """
    path = folder.path / cell.folder
    path.mkdir(parents=True, exist_ok=True)
    if outcomes is not None:
        write_table(path / CELL_OUTCOMES, outcomes)
    write_json(path / CELL_FILE, {"version": VERSION, **cell.to_dict(), **record})


def read_cell(folder: PocFolder, cell: Cell) -> dict[str, Any] | None:
    """Return the record of a cell, None where it has none.

    Raises:
        InputError: It is of another version or of another cell.
    """
    path = folder.path / cell.folder / CELL_FILE
    if not path.is_file():
        return None
    try:
        record = dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise InputError(
            f"'{path}' cannot be read ({type(error).__name__}); remove it to train the cell again"
        ) from error
    if record.get("version") != VERSION:
        raise InputError(f"'{path}' has version {record.get('version')}, expected {VERSION}")
    return record


def check_cells(folder: PocFolder, study: Mapping[str, Any]) -> None:
    """Refuse cells of another version before anything is trained beside them.

    Raises:
        InputError: There is one, or one that cannot be read.
    """
    for cell in cells_of(study):
        read_cell(folder, cell)


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Write a table that appears as a whole or not at all, with its version."""
    table.attrs["version"] = VERSION
    partial = path.with_name(f"{path.name}.partial")
    table.to_parquet(partial, index=False)
    partial.replace(path)


def read_table(path: Path, what: str) -> pd.DataFrame:
    """Read a table.

    Raises:
        InputError: It cannot be read, or is of another version.
    """
    try:
        table = pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise InputError(f"the table of {what} '{path}' cannot be read ({error})") from error
    version = table.attrs.get("version")
    if version != VERSION:
        raise InputError(f"The table of {what} has version {version}, expected {VERSION}. {AGAIN}")
    return table


def collect(folder: PocFolder, study: Mapping[str, Any]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the tables of all cells, in the order of the plan.

    Returns:
        Outcomes, and cells; see :func:`samix.study.trained.gather`.
    """
    rows, parts = [], []
    for cell in cells_of(study):
        record = read_cell(folder, cell) or {"status": "missing", "reason": "", **cell.to_dict()}
        if record["status"] == "finished":
            parts.append(pd.read_parquet(folder.path / cell.folder / CELL_OUTCOMES))
        rows.append({**record, "folder": cell.folder})
    cells = pd.DataFrame(rows)
    for name in (*CELLS, *MORE):
        if name not in cells.columns:
            cells[name] = None
    for name in ("seconds", "memory_mb", "guard_accepted", "steps", "epochs"):
        cells[name] = cells[name].astype(float)
    cells["alive"] = cells["alive"].astype("boolean")
    outcomes = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
    return outcomes, cells[[*CELLS, *MORE]]


def plain_number(value: float | None) -> float | None:
    """Return a number that a file can hold."""
    return None if value is None or not math.isfinite(value) else float(value)
