"""The Japanese texts: one term for one thing, and punctuation as it is written in Japanese."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from samix.pages.words import Words, dictionary, moment, word

ROOT = Path(__file__).parents[2]
GLOSSARY = ROOT / "docs" / "glossary.yaml"
PAGES = [ROOT / "README.ja.md", *sorted((ROOT / "docs" / "ja").glob("*.md"))]
WIDE = "\u3040-\u30ff\u4e00-\u9fff"


def pairs() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = yaml.safe_load(GLOSSARY.read_text("utf-8"))
    return found


@pytest.mark.parametrize("pair", pairs(), ids=lambda pair: pair["en"])
def test_each_term_has_its_one_translation(pair: dict[str, Any]) -> None:
    stem = re.escape(pair["en"])
    plural = f"{stem[:-1]}ies" if stem.endswith("y") else f"{stem}e?s"
    term = re.compile(rf"(?<![\w-])({stem}|{plural})(?![\w-])", re.IGNORECASE)
    wrong = {key: told.ja for key, told in dictionary().items()
             if term.search(bare(told.en)) and pair["ja"] not in told.ja}  # fmt: skip
    assert wrong == {}


@pytest.mark.parametrize("pair", [p for p in pairs() if "never" in p], ids=lambda pair: pair["en"])
def test_no_other_translation_is_used(pair: dict[str, Any]) -> None:
    for key, told in dictionary().items():
        for term in pair["never"]:
            assert term not in told.ja, f"{key}: {term}"
    for page in PAGES:
        for term in pair["never"]:
            assert term not in page.read_text("utf-8"), f"{page.name}: {term}"


def test_punctuation_is_full_width() -> None:
    """Brackets, colons, commas and stops; those of code and numbers are not Japanese."""
    half = re.compile(rf"[():;!?]|[{WIDE}][,.]|[,.] ?[{WIDE}]")
    for key, told in dictionary().items():
        assert not half.search(bare(told.ja)), f"{key}: {told.ja}"


def test_what_fills_a_place_stands_without_spaces_in_japanese() -> None:
    told = word("gain-of", policy="samix", baseline=word("policy-none"), low="-1", high="+2")
    assert told.ja.startswith("通常学習に対する samix の差")


def test_dates_are_written_as_each_language_does() -> None:
    assert moment("2026-11-30T09:05:07+0900") == Words(
        "30 November 2026, 09:05", "2026年11月30日 09:05"
    )
    assert moment("yesterday") == Words("yesterday", "yesterday")


def bare(text: str) -> str:
    """A sentence without its places, options and extras."""
    return re.sub(r"\{[^{}]*\}|--[a-z-]+|samix\[[a-z]+\]", "x", text)
