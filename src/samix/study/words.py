"""A sentence in English and in Japanese: nothing for people is said in one language alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Words:
    """The same words in both languages.

    Attributes:
        en: English.
        ja: Japanese.
    """

    en: str
    ja: str

    def __post_init__(self) -> None:
        if bool(self.en.strip()) != bool(self.ja.strip()):
            raise ValueError(
                f"Expected words in both languages or in none, got '{self.en}' and '{self.ja}'; "
                "write the one that is missing."
            )

    def __add__(self, other: Words) -> Words:
        return Words(self.en + other.en, self.ja + other.ja)

    def __bool__(self) -> bool:
        return bool(self.en)

    def plain(self) -> dict[str, str]:
        """Return plain values for a file."""
        return {"en": self.en, "ja": self.ja}


NOTHING = Words("", "")


def paragraph(sentences: Sequence[Words]) -> Words:
    """Return whole sentences one after the other."""
    kept = [one for one in sentences if one]
    return Words(" ".join(one.en for one in kept), "".join(one.ja for one in kept))


def chained(clauses: Sequence[Words]) -> Words:
    """Return clauses one after the other within a sentence."""
    return Words("; ".join(one.en for one in clauses), "、".join(one.ja for one in clauses))


def listed(things: Sequence[Words]) -> Words:
    """Return "a, b and c"."""
    if len(things) == 1:
        return things[0]
    head = ", ".join(one.en for one in things[:-1])
    return Words(f"{head} and {things[-1].en}", "、".join(one.ja for one in things))


def either(things: Sequence[Words]) -> Words:
    """Return "a or b"."""
    return Words(" or ".join(one.en for one in things), "、または".join(one.ja for one in things))


def name_words(name: str) -> Words:
    """Return a name, which is the same in both."""
    return Words(name, name)


def amount_words(points: float) -> Words:
    """Return a number of points."""
    return Words(f"{points:g} {'point' if points == 1 else 'points'}", f"{points:g} ポイント")


def range_words(low: float, high: float, form: str = "+.1f") -> Words:
    """Return a 95 % interval."""
    if math.isinf(low) or math.isinf(high):
        return Words("no interval", "信頼区間なし")
    return Words(
        f"95 % interval {low:{form}} to {high:{form}}", f"95 % 信頼区間 {low:{form}}〜{high:{form}}"
    )


def count_words(count: int, one: str, many: str, ja: str) -> Words:
    """Return a count of things; ``ja`` has a place ``{}`` for the number."""
    return Words(f"{count:,} {one if count == 1 else many}", ja.format(f"{count:,}"))


def seeds_words(count: int) -> Words:
    """Return a count of seeds."""
    return count_words(count, "seed", "seeds", "シード {} 個")


def mode_words(mode: str) -> Words:
    """Return the name of a mode."""
    if mode == "supervised":
        return Words("supervised learning", "教師あり学習")
    return Words("self-supervised learning", "自己教師あり学習")


def cell_words(mode: str, labels: int) -> Words:
    """Return a mode with a budget."""
    where = mode_words(mode)
    return Words(
        f"{where.en} with {labels:,} labelled photos", f"{where.ja}(ラベル付き写真 {labels:,} 枚)"
    )
