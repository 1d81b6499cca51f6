"""What the display of a command shows, in the language of the command."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from rich.console import Console

import samix
from samix.pages.words import dictionary, word
from samix.training import Terminal


@pytest.mark.parametrize(
    ("language", "said"),
    [("en", "kNN of pixels: 4.0%\nplain"), ("ja", "画素値の k 近傍法：4.0%\nplain")],
)
def test_sentences_in_both_languages_are_said_in_that_of_the_command(language, said):
    console = Console(width=100)
    display = Terminal(console, language)
    with console.capture() as heard:
        display.say(word("judging-knn", name=word("judging-pixels"), accuracy="4.0%"))
        display.say("plain")
    assert heard.get().strip() == said


def kinds_of_work():
    """Return every kind of work that is announced by a name."""
    found = set()
    for file in Path(samix.__file__).parent.rglob("*.py"):
        for call in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not isinstance(call, ast.Call):
                continue
            name = getattr(call.func, "attr", getattr(call.func, "id", ""))
            at = {"work": 0, "announce": 0, "named": 1}.get(name)
            if at is None or len(call.args) <= max(at, 1):
                continue
            what = call.args[at]
            if isinstance(what, ast.Constant) and isinstance(what.value, str):
                found.add(what.value)
    return found


def test_the_bar_has_a_japanese_name_for_each_kind_of_work():
    kinds = kinds_of_work()
    assert {"checking photos", "comparing photos", "timing the policies"} <= kinds
    english = {key: one.en for key, one in dictionary().items() if key.startswith("work-")}
    only_english = {"peak memory"}  # of commands in English alone
    assert kinds - set(english.values()) == only_english
    for key, text in english.items():
        assert key == f"work-{text.replace(' ', '-')}"
    japanese = Terminal(Console(), "ja")
    assert japanese._spoken("checking photos") == "画像を確認しています"
    assert Terminal(Console())._spoken("checking photos") == "checking photos"
