"""Cells of the benchmarks: each is run once, whoever runs them."""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import cells


@dataclass(frozen=True)
class Cell:
    name: str
    seed: int
    options: str = '{"alpha": 1.0}'


@pytest.fixture
def places(tmp_path):
    return argparse.Namespace(output=tmp_path / "table.csv", log=tmp_path / "log")


def row(cell: Cell) -> dict[str, object]:
    return {"cell": cell.name, "seed": cell.seed, "test": 50.0 + cell.seed}


def test_each_cell_is_run_once_and_later_ones_may_follow_from_earlier_ones(places) -> None:
    ran: list[str] = []

    def plan(rows: pd.DataFrame) -> list[Cell]:
        more = [Cell("best of them", 0)] if len(rows) >= 2 else []
        return [Cell("a", 0), Cell("a", 1), *more]

    def work(cell: Cell) -> dict[str, object]:
        ran.append(f"{cell.name} {cell.seed}")
        return row(cell)

    cells.run_missing(plan, work, places)
    assert ran == ["a 0", "a 1", "best of them 0"]
    cells.run_missing(plan, work, places)
    assert len(ran) == 3
    assert list(cells.read_rows(places.output)["test"]) == [50.0, 51.0, 50.0]


def test_a_cell_that_another_process_is_at_is_left_to_it(places) -> None:
    with cells.claim(places.log, Cell("Mixer on 1/4", 0)):
        assert cells.claim(places.log, Cell("Mixer on 1/4", 0)) is None
        both = [Cell("Mixer on 1/4", 0), Cell("b", 0)]
        cells.run_missing(lambda _: both, row, places)
        assert list(cells.read_rows(places.output)["cell"]) == ["b"]


def test_a_cell_may_be_known_by_all_of_its_fields(places) -> None:
    def work(cell: Cell) -> dict[str, object]:
        return vars(cell) | {"test": 1.0}

    few = [Cell("a", 0), Cell("a", 0, "{}")]
    cells.run_missing(lambda _: few, work, places, cells.finished)
    cells.run_missing(lambda _: few, work, places, cells.finished)
    assert list(cells.read_rows(places.output)["options"]) == [few[0].options, "{}"]


def test_tables() -> None:
    assert cells.spread(pd.Series([1.0, 2.0])) == "1.50 ± 0.71"
    assert cells.interval(pd.Series([1.0, 2.0, 3.0])) == "+2.00 (-0.48 to +4.48)"
    assert cells.interval(pd.Series([1.0, float("nan")])) == "+1.00"
    assert cells.line_of("a", 1) == "| a | 1 |"
