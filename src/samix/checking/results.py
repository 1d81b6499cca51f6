"""What a check of a policy found, as values, as a table for the terminal and as a record."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

Verdict = Literal["pass", "fail", "not applicable"]

_BINS = 10
_BAR = 40  # characters
_WIDTH = 100


@dataclass(frozen=True)
class CheckResult:
    """One thing that was checked.

    Attributes:
        name: What was checked.
        verdict: Whether it holds; "not applicable" where it cannot be said.
        sentence: What was seen.
    """

    name: str
    verdict: Verdict
    sentence: str


@dataclass(frozen=True)
class PolicyCheck:
    """What was found about a mixing transform; made by :func:`samix.check_policy`.

    ``print`` shows it as a table with a histogram.

    Attributes:
        name: What was checked.
        data: Whose photos it was checked with.
        results: What was checked, in order.
        shares: Share of the original in each mix as its label has it, or, where labels do not tell,
            as its pixels do; empty where neither could be read.
        notes: What else a reader should know, a sentence each.
    """

    name: str
    data: str
    results: tuple[CheckResult, ...]
    shares: tuple[float, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Nothing failed."""
        return not self.failures

    @property
    def failures(self) -> tuple[CheckResult, ...]:
        """What failed."""
        return tuple(result for result in self.results if result.verdict == "fail")

    def record(self) -> dict[str, Any]:
        """Return everything as plain values."""
        return {
            "policy": self.name,
            "data": self.data,
            "passed": self.passed,
            "checks": {
                result.name: {"verdict": result.verdict, "sentence": result.sentence}
                for result in self.results
            },
            "share_of_original": {"mixes": len(self.shares), "counts": list(counts(self.shares))},
            "notes": list(self.notes),
        }

    def text(self, width: int = _WIDTH) -> str:
        """Return the table, the histogram and the notes.

        Args:
            width: Of a line in characters.
        """
        lines = [*textwrap.wrap(f"{self.name}, with {self.data}", width), ""]
        lines += table(self.results, width)
        if self.shares:
            lines += ["", *histogram(self.shares, width)]
        for note in self.notes:
            lines += ["", *textwrap.wrap(f"Note: {note}", width)]
        return "\n".join(lines)

    def __str__(self) -> str:
        return self.text()


def table(results: Sequence[CheckResult], width: int = _WIDTH) -> list[str]:
    """Return lines with verdict, name and sentence of each result."""
    words = {"pass": "pass", "fail": "FAIL", "not applicable": "-"}
    longest = max(len(result.name) for result in results)
    indent = " " * (longest + 8)
    lines = []
    for result in results:
        begin = f"{words[result.verdict]:<6}{result.name:<{longest}}  "
        wide = max(width, len(begin) + 20)
        lines += textwrap.wrap(
            result.sentence, wide, initial_indent=begin, subsequent_indent=indent
        )
    return lines


def counts(shares: Sequence[float]) -> tuple[int, ...]:
    """Return how many shares lie in each tenth from 0 to 1; 1 itself lies in the last one."""
    found = [0] * _BINS
    for share in shares:
        found[min(max(int(share * _BINS), 0), _BINS - 1)] += 1
    return tuple(found)


def histogram(shares: Sequence[float], width: int = _WIDTH) -> list[str]:
    """Return lines of bars: how often each share of the original was drawn."""
    found = counts(shares)
    most, longest = max(found), max(min(_BAR, width - 20), 5)
    title = f"share of the original in {len(shares):,} mixes (lam as the label has it)"
    lines = textwrap.wrap(title, width)
    for place, count in enumerate(found):
        bar = "#" * max(round(longest * count / most), int(count > 0))
        low, high = place / _BINS, (place + 1) / _BINS
        lines.append(f"{low:.1f} to {high:.1f}  {bar:<{longest}}  {count / len(shares):4.0%}")
    return lines


def passed_if(name: str, good: bool, sentence: str, otherwise: str) -> CheckResult:
    """Return a result with one of two sentences."""
    return CheckResult(name, "pass" if good else "fail", sentence if good else otherwise)


def skipped(name: str, sentence: str) -> CheckResult:
    """Return a result that says why nothing can be said."""
    return CheckResult(name, "not applicable", sentence)
