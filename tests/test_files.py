"""Names of new files and folders."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from samix.errors import InputError
from samix.files import file_word, free_path
from samix.training.predict import open_classifier


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("photos", "photos"),
        ("写真", "写真"),
        ("ライン 3（新）", "ライン-3-新"),
        (unicodedata.normalize("NFD", "プレート"), "プレート"),
        ("résumé_2.old/", "résumé-2-old"),
        ("../..", ""),
        ("a\u202eb\x1b[0m\udc82", "a-b-0m"),  # right to left, a terminal's code, no text
    ],
)
def test_letters_of_any_script_stay_in_a_name(name: str, word: str) -> None:
    assert file_word(name) == word


def test_a_word_leaves_room_for_what_follows() -> None:
    assert len((file_word("𠮷" * 300) + "-frozen").encode()) < 255


def test_the_first_free_name_is_taken(tmp_path: Path) -> None:
    assert free_path(tmp_path, "写真", ".csv").name == "写真.csv"
    (tmp_path / "写真.csv").touch()
    (tmp_path / "写真-2.csv").touch()
    assert free_path(tmp_path, "写真", ".csv").name == "写真-3.csv"


def test_a_run_that_is_not_there_names_those_that_are(tmp_path: Path) -> None:
    (tmp_path / "写真-none").mkdir()
    (tmp_path / "写真-none" / "model.json").touch()
    with pytest.raises(InputError, match=r"there is no folder '.*frozen'.*holds: 写真-none"):
        open_classifier(tmp_path / "写真-frozen")
