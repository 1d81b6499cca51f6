"""The folder of a study: what is written where, and read back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq

from samix.errors import InputError
from samix.files import check_links, whole_file, within, write_text
from samix.plain_json import read_json
from samix.plain_yaml import dump_yaml, read_yaml
from samix.training.lock import is_half_made
from samix.training.run_folder import write_json

from .grid import Cell, cells_of
from .plan_file import check_study
from .tables import CELLS
from .trained import AGAIN, VERSION

CELL_FILE = "cell.json"
CELL_OUTCOMES = "outcomes.parquet"
_MOST_ROWS = 10**8
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
    def trials(self) -> Path:
        """Folder of the short trainings before the study; it is gone when they are over."""
        return self.path / "trials"

    @property
    def locks(self) -> Path:
        """Folder of locks: no training is run by two processes at once."""
        return self.path / "locks"


def is_unbegun(path: Path) -> bool:
    """Say whether a folder holds nothing of a study, but perhaps what was made before it began."""
    folder = PocFolder(path)
    made = (folder.trials, folder.locks, folder.splits, path / ".writable")
    return is_half_made(path, folder.study, frozenset(part.name for part in made))


def write_study(folder: PocFolder, study: Mapping[str, Any]) -> None:
    """Write poc.yaml."""
    write_text(folder.study, dump_yaml(dict(study)))


def read_study(path: str | Path) -> dict[str, Any]:
    """Read poc.yaml.

    Raises:
        InputError: There is none, it cannot be read, is of another version, names what no study is
            planned with, or its folder has links to others.
    """
    folder = PocFolder(Path(path).expanduser())
    if is_unbegun(folder.path) and any(folder.path.iterdir()):
        raise InputError(
            f"the study in '{path}' was stopped while it was planned; start it with the same "
            "command without --resume"
        )
    if not folder.study.is_file():
        raise InputError(
            f"'{path}' is no folder of samix poc (it has no poc.yaml); give the --output of one"
        )
    try:
        study = read_yaml(folder.study)
        if not isinstance(study, dict) or "version" not in study:
            raise ValueError("it names no version")
    except (OSError, ValueError) as error:
        raise InputError(f"'{folder.study}' cannot be read ({error})") from error
    if study["version"] != VERSION:
        raise InputError(
            f"'{folder.study}' has version {study['version']!r:.40}, expected {VERSION}. {AGAIN}"
        )
    try:
        check_study(study)
    except ValueError as error:
        raise InputError(f"'{folder.study}' cannot be used: {error}") from error
    check_links(folder.path)
    return study


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
    path = within(folder.path, cell.folder)
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
        record = read_json(path)
        if record.get("version") == VERSION:
            _check_record(record, cell)
    except (OSError, ValueError) as error:
        raise InputError(
            f"'{path}' cannot be read ({error}); remove it to train the cell again"
        ) from error
    if record.get("version") != VERSION:
        raise InputError(f"'{path}' has version {record.get('version')!r:.40}, expected {VERSION}")
    return record


def _check_record(record: Mapping[str, Any], cell: Cell) -> None:
    """Refuse the record of another cell, and values of another kind.

    Raises:
        ValueError: It is one.
    """
    for name, value in cell.to_dict().items():
        if record.get(name) != value:
            raise ValueError(f"it is of another cell: {name} {record.get(name)!r:.40}")
    if record.get("status") not in ("finished", "failed"):
        raise ValueError(f"status: expected finished or failed, got {record.get('status')!r:.40}")
    for name in ("seconds", "steps", "epochs", "memory_mb", "guard_accepted", "accuracy"):
        value = record.get(name)
        if not isinstance(value, int | float | None):
            raise ValueError(f"{name}: expected a number, got {value!r:.40}")
    if not isinstance(record.get("alive"), bool | None):
        raise ValueError(f"alive: expected true or false, got {record['alive']!r:.40}")
    if not isinstance(record.get("reason"), str | None):
        raise ValueError(f"reason: expected a text, got {record['reason']!r:.40}")


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
    with whole_file(path) as partial:
        table.to_parquet(partial, index=False)


def read_table(path: Path, what: str) -> pd.DataFrame:
    """Read a table.

    Raises:
        InputError: It cannot be read, or is of another version.
    """
    try:
        rows = pq.read_metadata(path).num_rows
        if rows > _MOST_ROWS:
            raise ValueError(f"it has {rows:,} rows, at most {_MOST_ROWS:,} are read")
        table = pd.read_parquet(path)
    except (OSError, ValueError, KeyError, TypeError, NotImplementedError) as error:
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
            parts.append(read_table(folder.path / cell.folder / CELL_OUTCOMES, "outcomes"))
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
