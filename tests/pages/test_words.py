"""The dictionary of sentences: complete, used, and the only place where they stand."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from string import Formatter

import pytest

from samix.pages.words import Words, both, dictionary, listed, paragraph, word

SOURCE = Path(__file__).parents[2] / "src" / "samix"
STUDY = SOURCE / "study"
JAPANESE = re.compile("[\u3040-\u30ff\u4e00-\u9fff]")
SENTENCE = re.compile("[A-Za-z]{2,},? [a-z]{2,},? [a-z]{2,}")
# words that are the same in both languages, but for their names
SAME = {"score-is", "picture-of", "named-side"}


def test_both_languages_have_every_sentence_with_the_same_places() -> None:
    for key, told in dictionary().items():
        assert not JAPANESE.search(told.en), key
        assert key in SAME or JAPANESE.search(told.ja) or "。" in told.ja, key
        assert places(told.en) == places(told.ja), key


def places(text: str) -> set[str]:
    """The names of the places of a sentence; one without a name is refused."""
    found = [name for _, name, _, _ in Formatter().parse(text) if name is not None]
    assert all(re.fullmatch(r"[a-z_]+", name) for name in found), text
    return set(found)


def test_every_key_is_used_and_every_word_that_is_asked_for_is_there() -> None:
    assert set(dictionary()) == keys_used(SOURCE.rglob("*.py"), SOURCE.rglob("*.html"))
    for file in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                key = node.args[0] if node.args and node.func.id in ("word", "reason") else None
                if isinstance(key, ast.Constant):
                    assert key.value in {*dictionary(), *SPECIAL}, f"{file.name}: {key.value}"


SPECIAL = {"class-not-judgeable", "ranks"}
"""Reasons that are said in one of several sentences, none of which has the reason's name."""


def keys_used(files: Iterator[Path], templates: Iterator[Path]) -> set[str]:
    """The keys that stand in source as they are, or that a text with places in it can become."""
    whole: set[str] = set()
    patterns = []
    for file in files:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                whole.add(node.value)
            elif isinstance(node, ast.JoinedStr):
                parts = [p.value if isinstance(p, ast.Constant) else None for p in node.values]
                if len("".join(part for part in parts if part is not None)) > 3:
                    pattern = "".join(".+" if p is None else re.escape(str(p)) for p in parts)
                    patterns.append(re.compile(pattern))
    for template in templates:
        whole |= set(re.findall(r"word\(['\"]([\w-]+)['\"]", template.read_text()))
    return {key for key in dictionary() if key in whole or any(p.fullmatch(key) for p in patterns)}


JUDGING = ("verdict.py", "overall.py", "findings.py", "finding_tables.py", "wording.py")
# names of numbers in findings.json, why a cell failed, and the end of errors about old files
NAMES = re.compile(
    "p of not being ahead|: times the wall time of |It was written by another .*|"
    "It left no answers."
)


def test_no_sentence_of_a_study_stands_in_python() -> None:
    """Errors are in English alone."""
    folders = (STUDY / "report", STUDY / "statistics")
    files = [*(STUDY / name for name in JUDGING), *(f for one in folders for f in one.glob("*.py"))]
    for file in files:
        for text in texts(ast.parse(file.read_text())):
            assert not JAPANESE.search(text), f"{file.name}: {text}"
            assert not SENTENCE.search(text) or NAMES.fullmatch(text), f"{file.name}: {text}"


def texts(node: ast.AST) -> Iterator[str]:
    """All texts but docstrings and those of errors."""
    if isinstance(node, ast.Raise):
        return
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    for child in ast.iter_child_nodes(node):
        yield from texts(child)


def test_statistics_know_no_words() -> None:
    files = [*(STUDY / "statistics").glob("*.py"), STUDY / "verdict.py", STUDY / "overall.py"]
    for file in files:
        names = {
            f"{node.module}.{alias.name}"
            for node in ast.walk(ast.parse(file.read_text()))
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
        }
        assert not [n for n in names if n.startswith("samix.pages") or "wording" in n], file.name
        if file.parent.name == "statistics":
            inside = [n for n in names if n.startswith("samix.study")]
            assert all(n.startswith("samix.study.statistics.") for n in inside), file.name


def test_places_are_filled_by_language() -> None:
    where = word("mode-and-labels", mode=word("mode-supervised"), labels=1234)
    assert where == Words(
        "supervised learning with 1,234 labelled photos", "教師あり学習（ラベル付き画像 1,234 枚）"
    )
    assert word("picture-of", what="{a}", names="b") == Words("{a}: b", "{a}：b")


def test_words_in_one_language_alone_are_refused() -> None:
    with pytest.raises(ValueError, match="write the one that is missing"):
        Words("Nothing.", " ")
    with pytest.raises(ValueError, match="got no 'ja'"):
        both({"en": "a"})


def test_sentences_and_names_are_joined_as_each_language_does() -> None:
    assert paragraph([Words("A.", "あ。"), both(""), "B."]) == Words("A. B.", "あ。B.")
    assert listed(["a", "b", "c"]) == Words("a, b and c", "a、b、c")
    assert listed(["a"]) == both("a")


def test_no_sentence_stands_twice_in_the_dictionary():
    text = (SOURCE / "pages" / "words.yaml").read_text(encoding="utf-8")
    keys = [line[:-1] for line in text.splitlines() if line and line[0] not in " #-"]
    assert len(keys) > 800
    assert [key for key, count in Counter(keys).items() if count > 1] == []
