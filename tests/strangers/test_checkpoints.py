"""Checkpoints, histories and sets of photos of strangers: what cannot be used is a sentence."""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from samix.data import open_images
from samix.errors import InputError
from samix.networks import read_weights
from samix.training.callbacks import read_checkpoint
from samix.training.fit import history_of


@pytest.mark.parametrize(
    "content",
    [b"", b"\x80", b"\x80\x02.", b"\x80\x02K\x01.", b"\x80\x02h\x05.", b"\x80\x02a.", b"PK\x03\x04",
     b"x" * 100],
    ids=repr,
)  # fmt: skip
def test_what_is_no_file_of_torch_is_a_sentence(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "x.pt"
    file.write_bytes(content)
    with pytest.raises(InputError):
        read_weights(file)
    with pytest.raises(InputError):
        read_checkpoint(file)


class Strange:
    """An object of a program, which is neither a tensor nor a plain value."""


@pytest.mark.parametrize("read", [read_weights, read_checkpoint])
def test_an_object_of_a_program_is_not_made(read: Any, tmp_path: Path) -> None:
    torch.save({"state_dict": {}, "samix": {}, "more": Strange()}, tmp_path / "x.pt")
    with pytest.raises(InputError):
        read(tmp_path / "x.pt")


@pytest.mark.parametrize(
    "content", [[1], {"samix": 1, "state_dict": {}}, {"samix": {}}, {"samix": {}, "state_dict": 3}]
)
def test_a_checkpoint_of_something_else_is_a_sentence(content: Any, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "last.ckpt")
    with pytest.raises(InputError, match="was not written by samix"):
        read_checkpoint(tmp_path / "last.ckpt")


@pytest.mark.parametrize(
    "content",
    [{}, {"callbacks": []}, *({"callbacks": {"EpochKeeper": {"rows": rows}}} for rows in (3, [1]))],
    ids=str,
)
def test_a_checkpoint_without_a_history_is_a_sentence(content: Any) -> None:
    with pytest.raises(InputError, match="has no history"):
        history_of(content)


@pytest.mark.parametrize("metadata", ["[" * 50_000, "[1]", '{"info": 3}', "{", ""])
def test_metadata_of_photos_that_is_none_is_passed_over(metadata: str, tmp_path: Path) -> None:
    table = pa.table({"image": [b"no photo"] * 4, "label": ["a", "b"] * 2})
    table = table.replace_schema_metadata({"huggingface": metadata})
    pq.write_table(table, tmp_path / "train.parquet")
    with pytest.raises(InputError, match=r"cannot be (read|used)"):
        open_images(str(tmp_path))


def test_sets_that_could_bring_programs_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def asked(*_: Any) -> None:
        raise AssertionError("datasets was asked")

    old = SimpleNamespace(__version__="3.6.0", get_dataset_split_names=asked)
    monkeypatch.setitem(sys.modules, "datasets", old)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"needs datasets 4, got 3\.6\.0"):
        open_images("hfds/owner/name")


def test_the_list_in_the_page_about_security_names_files_that_exist() -> None:
    root = Path(__file__).parents[2]
    page = (root / "SECURITY.md").read_text(encoding="utf-8")
    rows = [line.split("|") for line in page.splitlines() if line.startswith("| ")][1:]
    assert len(rows) >= 15
    for row in rows:
        named = [word for cell in row[2:] for word in cell.split("`")[1::2] if word.endswith(".py")]
        assert any(word.startswith("tests/") for word in named), row
        for word in named:
            there = root / word if word.startswith("tests/") else root / "src/samix" / word
            assert there.is_file(), word
