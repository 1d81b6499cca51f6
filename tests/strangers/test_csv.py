"""CSV files of names: no spreadsheet computes them, and they are read back as they were."""

import csv
import io
import itertools
from collections.abc import Iterable
from pathlib import Path

import pytest
import torch

from samix.data import ImageSet, Splits, read_splits, write_splits
from samix.data.splits import read_table
from samix.shown import NameWriter, cell_of, name_of
from samix.study.cells import _supervised
from samix.study.grid import Cell, Job
from samix.training.run_folder import PREDICTIONS, write_predictions

FORMULAS = [
    "=1+1",
    "+1",
    "-1",
    "@sum",
    "\t=1",
    "\r=1",
    "\n=1",
    "\uff1d1",
    "\uff0b1",
    "\uff0d1",
    "\uff20x",
    '=a("b")',
]
PLAIN = [
    "good",
    "良品",
    "a=b",
    "a-1",
    " =x",
    "'x",
    "''",
    "'",
    "",
    'a"b',
    "a,b",
    "a\nb",
    "a\rb",
    "1.5",
]
NAMES = [*FORMULAS, *PLAIN, *(f"'{name}" for name in FORMULAS), *(f"''{name}" for name in FORMULAS)]


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_a_name_is_no_formula_and_comes_back(name: str) -> None:
    cell = cell_of(name)
    assert not cell.startswith(
        ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
    )
    assert name_of(cell) == name


def test_no_two_names_are_written_alike_and_harmless_ones_are_not_changed() -> None:
    assert len({cell_of(name) for name in NAMES}) == len(set(NAMES))
    assert [cell_of(name) for name in PLAIN] == PLAIN


def test_what_a_user_wrote_by_hand_is_read_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("path,group\n=a.png,-1\nb.png,+2\n", encoding="utf-8")
    rows = read_table(tmp_path / "x.csv", ("path", "group"))
    assert [(row["path"], row["group"]) for row in rows] == [("=a.png", "-1"), ("b.png", "+2")]


def test_rows_end_with_a_line_feed_and_numbers_are_not_touched() -> None:
    text = io.StringIO()
    NameWriter(text).writerow(("=a", "b\rc"), ("-0.5", "1e-05"))
    assert text.getvalue() == '\'=a,"b\rc",-0.5,1e-05\n'


def image_set(names: list[str]) -> ImageSet:
    classes = tuple(name for name in names if name)
    keys = tuple(f"{name}/{n}.png" for name in classes for n in range(3))
    return ImageSet(
        name="x", classes=classes, keys=keys, targets=tuple(i // 3 for i in range(len(keys))),
        given_split=(None,) * len(keys), given_group=(None,) * len(keys), read=None, encoded=None,
    )  # type: ignore[arg-type]  # fmt: skip


def test_splits_and_predictions_are_read_back_as_they_were(tmp_path: Path) -> None:
    images = image_set([*NAMES, "broken\udc80"])
    at = range(len(images.keys))
    groups = tuple(itertools.islice(itertools.cycle([*FORMULAS, None]), len(at)))
    parts = [tuple(at[start::3]) for start in range(3)]
    splits = Splits(parts[0], parts[1], parts[2], groups)
    write_splits(tmp_path / "splits.csv", images, splits)
    assert read_splits(tmp_path / "splits.csv", images) == splits
    said = torch.eye(len(images.classes))
    write_predictions(tmp_path / PREDICTIONS, images, splits, {"test": said})
    with (tmp_path / PREDICTIONS).open(newline="", errors="surrogateescape") as file:
        assert {cell[:1] for row in csv.reader(file) for cell in row} & set("=+-@\t\r\n") == set()
    job = Job("x", "train", {}, (Cell("none", 1, "supervised", 0),))
    ((_, table, _),) = _supervised(tmp_path, job)

    def named(names: Iterable[str]) -> list[str]:
        """A table of parquet has no broken letters."""
        return [name.replace("\udc80", r"\x80") for name in names]

    assert table["photo"].tolist() == named(images.keys[i] for i in splits.test)
    assert table["target"].tolist() == named(images.classes[images.targets[i]] for i in splits.test)
    assert table["predicted"].tolist() == named(images.classes)
    assert table["group"].tolist() == named(groups[i] or images.keys[i] for i in splits.test)
    table.to_parquet(tmp_path / "x.parquet")
