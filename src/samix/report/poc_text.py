"""Words of the PoC's report in both languages, and numbers as people read them."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .poc_words import WORDS

NOT_KNOWN = "\u2014"  # a dash
_NARROW = "\u00a0"  # a space that does not break


@dataclass(frozen=True)
class Both:
    """The same words in both languages; names and numbers are the same in both.

    Attributes:
        en: English.
        ja: Japanese.
    """

    en: str
    ja: str

    def __add__(self, other: Both | str) -> Both:
        more = both(other)
        return Both(self.en + more.en, self.ja + more.ja)

    def __bool__(self) -> bool:
        return bool(self.en or self.ja)


Text = Both | str
NOTHING = Both("", "")


def both(value: Text | Mapping[str, Any] | None) -> Both:
    """Return words from a pair, a sentence of the findings ({"en", "ja"}), or a name.

    Raises:
        ValueError: A sentence lacks a language.
    """
    if value is None:
        return NOTHING
    if isinstance(value, Both):
        return value
    if isinstance(value, str):
        return Both(value, value)
    missing = [name for name in ("en", "ja") if name not in value]
    if missing:
        raise ValueError(f"sentence: expected 'en' and 'ja', got no '{missing[0]}' in {value!r}")
    return Both(str(value["en"]), str(value["ja"]))


def word(key: str, **values: Text | int) -> Both:
    """Return words of the page's dictionary.

    Args:
        key: In :data:`samix.report.poc_words.WORDS`.
        **values: What its places hold; each in its language.
    """
    en, ja = WORDS[key]
    filled = {name: both(v if isinstance(v, Both) else str(v)) for name, v in values.items()}
    return Both(
        en.format(**{name: value.en for name, value in filled.items()}),
        ja.format(**{name: value.ja for name, value in filled.items()}),
    )


def listed(things: Iterable[Text]) -> Both:
    """Return things one after the other, with commas."""
    kept = [both(thing) for thing in things]
    return Both(", ".join(one.en for one in kept), "、".join(one.ja for one in kept))


def sentences(things: Sequence[Text]) -> Both:
    """Return whole sentences one after the other."""
    kept = [both(thing) for thing in things if thing]
    return Both(" ".join(one.en for one in kept), "".join(one.ja for one in kept))


def known(value: Any) -> float | None:
    """Return a finite number, or None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None


def percent(share: Any, digits: int = 1) -> str:
    """Return a share in [0, 1] as percents, such as "84.2 %"; a dash where it is not known."""
    number = known(share)
    return NOT_KNOWN if number is None else f"{100 * number:.{digits}f}{_NARROW}%"


def span(low: Any, high: Any, digits: int = 1) -> str:
    """Return an interval of shares, in percents without the sign."""
    first, last = (None if (n := known(v)) is None else 100 * n for v in (low, high))
    return between(first, last, digits)


def between(low: Any, high: Any, digits: int = 1, *, signed: bool = False) -> str:
    """Return an interval of numbers, "80.1 … 88.3" in both languages; "?" for an unknown end."""
    ends = [known(low), known(high)]
    if ends == [None, None]:
        return NOT_KNOWN
    told = ["?" if end is None else number(end, digits, signed=signed) for end in ends]
    return f"{told[0]}{_NARROW}\u2026 {told[1]}"


def number(value: Any, digits: int = 1, *, signed: bool = False) -> str:
    """Return a number with a true minus sign; a dash where it is not known."""
    found = known(value)
    if found is None:
        return NOT_KNOWN
    text = f"{found:{'+' if signed else ''},.{digits}f}"
    if not text.strip("+-0.,"):
        text = text.lstrip("+-")
    return text.replace("-", "\u2212")


def short(value: Any, digits: int = 3) -> str:
    """Return a number with so many digits that count, and all of those before the point."""
    found = known(value)
    if found is None:
        return NOT_KNOWN
    if found == 0:
        return "0"
    places = max(digits - 1 - math.floor(math.log10(abs(found))), 0)
    return number(found, places)


def probability(p: Any) -> str:
    """Return a p-value."""
    found = known(p)
    if found is None:
        return NOT_KNOWN
    return "<0.001" if found < 0.001 else f"{found:.3f}"


def count(value: Any) -> str:
    """Return a count, such as "1,234"."""
    found = known(value)
    return NOT_KNOWN if found is None else f"{found:,.0f}"


def times(value: Any) -> str:
    """Return a multiple, such as "2.4 x"."""
    found = known(value)
    return NOT_KNOWN if found is None else f"\u00d7{_NARROW}{short(found, 2)}"


def duration(seconds: Any) -> Both:
    """Return a time in the unit that suits it."""
    found = known(seconds)
    if found is None:
        return Both(NOT_KNOWN, NOT_KNOWN)
    if found < 90:
        return word("seconds", number=short(found, 2))
    if found < 5400:
        return word("minutes", number=short(found / 60, 2))
    return word("hours", number=short(found / 3600, 2))


def memory(megabytes: Any) -> str:
    """Return memory in MB or GB."""
    found = known(megabytes)
    if found is None:
        return NOT_KNOWN
    return f"{found:,.0f}{_NARROW}MB" if found < 10_000 else f"{found / 1024:,.1f}{_NARROW}GB"


def clipped(text: str, width: int) -> str:
    """Return a name that fits into the width of so many Latin letters."""
    wide = [2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text]
    if sum(wide) <= width:
        return text
    kept = 0
    while sum(wide[: kept + 1]) < width:
        kept += 1
    return f"{text[:kept]}\u2026"
