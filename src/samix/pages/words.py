"""Words in English and in Japanese, from one dictionary, and numbers as people read them.

Every sentence stands in ``words.yaml``, both languages side by side, so that a translator edits
one file. Its places are named, such as ``{policy}``; a number is formatted there, as in
``{share:.0%}``, or arrives as text. Nothing for people is said in one language alone.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from samix.plain_yaml import read_own
from samix.shown import shown

NOT_KNOWN = "\u2014"  # a dash
_LEAST_SHOWN = 5e-4  # of a share
_NARROW = "\u00a0"  # a space that does not break
_WIDE = "\u3001-\u30ff\u4e00-\u9fff\uff01-\uff5e"
_APART = re.compile(f"(?<=[{_WIDE}]) (?=[{_WIDE}])")


@dataclass(frozen=True)
class Words:
    """The same words in both languages; names and numbers are the same in both.

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

    def __add__(self, other: Words | str) -> Words:
        more = both(other)
        return Words(self.en + more.en, self.ja + more.ja)

    def __bool__(self) -> bool:
        return bool(self.en or self.ja)

    def plain(self) -> dict[str, str]:
        """Return plain values for a file."""
        return {"en": self.en, "ja": self.ja}


Text = Words | str
NOTHING = Words("", "")


@cache
def dictionary() -> dict[str, Words]:
    """Return the words of ``words.yaml`` by key."""
    found = read_own("samix.pages", "words.yaml")
    return {key: Words(pair["en"], pair["ja"]) for key, pair in found.items()}


def word(key: str, **values: Text | float) -> Words:
    """Return words of the dictionary."""
    template = dictionary()[key]
    en = {name: v.en if isinstance(v, Words) else v for name, v in values.items()}
    ja = {name: v.ja if isinstance(v, Words) else v for name, v in values.items()}
    # what fills a place may be Japanese, which is written without spaces around it
    return Words(template.en.format(**en), _APART.sub("", template.ja.format(**ja)))


def policy_about(name: str) -> Words:
    """Return what a policy is, in a few words."""
    key = f"about-{name}"
    return word(key if key in dictionary() else "about-other")


def both(value: Text | Mapping[str, Any] | None) -> Words:
    """Return words from words, a sentence of the findings ({"en", "ja"}), or a name."""
    if value is None:
        return NOTHING
    if isinstance(value, Words):
        return value
    if isinstance(value, str):
        return Words(value, value)
    missing = [name for name in ("en", "ja") if name not in value]
    if missing:
        raise ValueError(f"sentence: expected 'en' and 'ja', got no '{missing[0]}' in {value!r}")
    return Words(str(value["en"]), str(value["ja"]))


def paragraph(sentences: Iterable[Text]) -> Words:
    """Return whole sentences one after the other."""
    kept = [both(one) for one in sentences if one]
    return Words(" ".join(_begun(one.en) for one in kept), "".join(one.ja for one in kept))


def in_lines(sentences: Sequence[Words]) -> Words:
    """Return sentences, one a line; a name in them ends no line."""
    en, ja = ("\n".join(shown(getattr(one, name)) for one in sentences) for name in ("en", "ja"))
    return Words(en, ja)


def _begun(sentence: str) -> str:
    """Return a sentence with a capital, where it does not begin with a name that is typed so."""
    described = ("policy-none", "policy-frozen")
    if sentence.startswith(tuple(word(key).en for key in described)):
        return sentence[:1].upper() + sentence[1:]
    return sentence


def chained(clauses: Sequence[Words]) -> Words:
    """Return clauses one after the other within a sentence."""
    return Words("; ".join(one.en for one in clauses), "、".join(one.ja for one in clauses))


def commas(things: Iterable[Text]) -> Words:
    """Return "a, b, c"."""
    kept = [both(thing) for thing in things]
    return Words(", ".join(one.en for one in kept), "、".join(one.ja for one in kept))


def listed(things: Sequence[Text]) -> Words:
    """Return "a, b and c"."""
    if len(things) == 1:
        return both(things[0])
    head, last = commas(things[:-1]), both(things[-1])
    return Words(f"{head.en} and {last.en}", f"{head.ja}、{last.ja}")


def either(things: Sequence[Words]) -> Words:
    """Return "a or b"."""
    return Words(" or ".join(one.en for one in things), "、または".join(one.ja for one in things))


def known(value: Any) -> float | None:
    """Return a finite number, or None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None


def percent(share: Any, digits: int = 1) -> str:
    """Return a share in [0, 1] as percents, such as "84.2 %"; a dash where it is not known."""
    number = known(share)
    return NOT_KNOWN if number is None else f"{100 * number:.{digits}f}{_NARROW}%"


def rounded(share: float) -> str:
    """Return a share in whole percents, with one digit more where that would be 0 or 100."""
    text = f"{100 * share:.0f}"
    if text in ("0", "100") and abs(share - round(share)) >= _LEAST_SHOWN:
        text = f"{100 * share:.1f}"
    return f"{text}{_NARROW}%"


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


def duration(seconds: Any) -> Words:
    """Return a time in the unit that suits it."""
    found = known(seconds)
    if found is None:
        return Words(NOT_KNOWN, NOT_KNOWN)
    if found < 90:
        return word("seconds", number=short(found, 2))
    if found < 5400:
        return word("minutes", number=short(found / 60, 2))
    return word("hours", number=short(found / 3600, 2))


def moment(written: str) -> Words:
    """Return a time of the calendar as people of each language write it."""
    try:
        # Python 3.10 wants a colon in the distance to Greenwich
        at = datetime.fromisoformat(re.sub(r"([+-]\d\d)(\d\d)$", r"\1:\2", written))
    except ValueError:
        return both(written)
    month = Words(f"{at:%B}", str(at.month))
    return word("moment", year=at.year, month=month, day=at.day, clock=f"{at:%H:%M}")


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
