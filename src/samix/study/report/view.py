"""The findings of a study as the report asks for them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from samix.errors import InputError
from samix.pages.charts import LONG, Style, styles_of
from samix.pages.parts import Table
from samix.pages.words import (
    NOT_KNOWN,
    NOTHING,
    Text,
    Words,
    between,
    both,
    count,
    duration,
    known,
    number,
    percent,
    policy_about,
    probability,
    short,
    span,
    times,
    word,
)
from samix.study.statistics.tables import MODES
from samix.study.subjects import CLEAN
from samix.study.wording import mode_words, policy_words
from samix.training.config import FROZEN

BASELINE = "none"
FULL = "samix"
VERSION = 1
_NEEDED = ("version", "data", "verdict", "headline", "curve", "policies", "cost", "cells", "notes")

Row = Mapping[str, Any]


@dataclass(frozen=True)
class ReportView:
    """Findings with what is asked of them again and again."""

    findings: Mapping[str, Any]  # see ``samix.study.find``
    study: Mapping[str, Any]  # what poc.yaml holds

    @property
    def verdict(self) -> Row:
        """The overall verdict."""
        found: Row = self.findings["verdict"]
        return found

    @property
    def mode(self) -> str:
        """Mode of the main question."""
        return str(self.verdict["mode"])

    @property
    def labels(self) -> int:
        """Labels of the main question."""
        return int(self.verdict["labels"])

    @property
    def policy(self) -> str:
        """The policy that the verdict is about."""
        return str(self.verdict["policy"])

    @cached_property
    def policies(self) -> tuple[str, ...]:
        """All policies: plain training, free ones, those trained longer, learned ones."""
        named = dict.fromkeys(str(row["policy"]) for row in self.findings["curve"])
        of_modes = self.plan.get("policies") or {}
        planned = [name for names in of_modes.values() for name in names]
        return tuple(sorted(dict.fromkeys([*planned, *named]), key=_place))

    @cached_property
    def styles(self) -> dict[str, Style]:
        """How each policy is drawn."""
        return styles_of(self.policies)

    @cached_property
    def modes(self) -> tuple[str, ...]:
        """The modes that there are numbers of, supervised first."""
        there = {str(row["mode"]) for row in self.findings["curve"]}
        return tuple(mode for mode in MODES if mode in there)

    @property
    def plan(self) -> Row:
        """The plan of the study."""
        return self.study.get("plan") or self.findings.get("plan") or {}

    @property
    def shown(self) -> tuple[str, ...]:
        """The policies that stand out: plain training, the verdict's, and SAMix."""
        names = dict.fromkeys((BASELINE, self.policy, FULL))
        return tuple(name for name in names if name in self.policies)

    @property
    def currency(self) -> str:
        """Of all prices; empty where none was named."""
        return str((self.study.get("prices") or {}).get("currency") or "")

    @property
    def measure(self) -> Words:
        """What is compared."""
        return word(f"measure-{self.findings['data'].get('measure') or 'accuracy'}")

    def rows(self, table: str, **where: Any) -> list[Row]:
        """Return the rows of a table of the findings with these values, in the page's order."""
        found = [
            row
            for row in self.findings.get(table) or ()
            if all(row[name] == value for name, value in where.items())
        ]
        return sorted(
            found,
            key=lambda row: (
                MODES.index(row["mode"]), row.get("labels", 0),
                self.policies.index(row["policy"]) if row["policy"] in self.policies else 99,
            ),
        )  # fmt: skip

    def one(self, table: str, **where: Any) -> Row | None:
        """Return the first such row, or None."""
        return next(iter(self.rows(table, **where)), None)

    def budgets(self, mode: str) -> list[int]:
        """Return the label budgets of a mode that there are numbers of, ascending."""
        return sorted({int(row["labels"]) for row in self.findings["curve"] if row["mode"] == mode})

    def strong(self, rows: Sequence[Row]) -> list[int]:
        """Return which rows are those of the policy that the verdict is about."""
        return [at for at, row in enumerate(rows) if row["policy"] == self.policy]

    def legend(self, names: Sequence[str]) -> list[tuple[Text, Style]]:
        """Return names with their styles, in the page's order."""
        return [(policy_words(name), self.styles[name]) for name in self.policies if name in names]

    def grid(
        self, rows: Sequence[Row], *names: str, words: int, title: Words = NOTHING,
        strong: Collection[int] | None = None, folded: bool = True,
        heads: Mapping[str, Words] | None = None,
    ) -> Table:  # fmt: skip
        """Return a table of rows, folded; see :data:`CELLS` for the names of its columns.

        Without a title it holds the numbers behind a chart. Rows of the verdict's policy stand out
        where nothing else is said. ``heads`` of columns come before those of the dictionary.
        """
        own = {"score": self.measure, **(heads or {})}
        header = [own.get(name) or word(f"col-{_HEADS.get(name, name)}") for name in names]
        cells = [[CELLS[name](row) for name in names] for row in rows]
        strong = self.strong(rows) if strong is None else strong
        title = title or word("data-behind")
        return Table(header, cells, title=title, words=range(words), strong=strong, folded=folded)


def ends_of(name: str) -> Callable[[Row], Text]:
    """Return the cell of the interval of a difference."""
    return lambda r: between(r[f"{name}_low"], r[f"{name}_high"], signed=True)


def _worth(row: Row) -> str:
    if known(row["equals"]) is not None:
        return count(row["equals"])
    sign, end = (">", "low") if row["outside"] == "above" else ("<", "high")
    return f"{sign} {count(row[end])}" if known(row[end]) is not None else NOT_KNOWN


CELLS: Mapping[str, Callable[[Row], Text]] = {
    "mode": lambda r: mode_words(r["mode"]),
    "question": lambda r: question_words(r["mode"], r["labels"]),
    "policy": lambda r: policy_words(str(r["policy"])),
    "class": lambda r: str(r["class"]),
    "labels": lambda r: count(r["labels"]),
    "seeds": lambda r: count(r["seeds"]),
    "parts": lambda r: count(r["parts"]),
    "test-parts": lambda r: count(r["parts"]),
    "photos": lambda r: count(r["photos"]),
    "score": lambda r: percent(r["score"]),
    "interval": lambda r: span(r["low"], r["high"]),
    "recall": lambda r: percent(r["recall"]),
    "judgeable": lambda r: word("yes") if r["judgeable"] else word("no-too-few"),
    "gain": lambda r: number(r["gain"], signed=True),
    "gain-or-0": lambda r: "0" if r["policy"] == BASELINE else number(r["gain"], signed=True),
    "gain-ends": ends_of("gain"),
    "p": lambda r: probability(r["p_holm"]),
    "p-short": lambda r: short(r["p_holm"]),
    "avoided": lambda r: number(r["errors_avoided"], 0, signed=True),
    "alive": lambda r: percent(r.get("alive"), 0),  # of seeds; a dash where there is no Mixer
    "time": lambda r: duration(r["seconds"]),
    "time-multiple": lambda r: times(r["multiple"]),
    "memory": lambda r: count(r["memory_mb"]),
    "energy": lambda r: short(r["kwh"]),
    "money": lambda r: short(r["money"]),
    "supervised": lambda r: number(r["supervised"], signed=True),
    "supervised-ends": ends_of("supervised"),
    "alone": lambda r: number(r["self_supervised"], signed=True),
    "alone-ends": ends_of("self_supervised"),
    "confidence": lambda r: percent(r["confidence"]),
    "right": lambda r: percent(r["accuracy"]),
    "calibration": lambda r: percent(r["error"]),
    "escape": lambda r: percent(r["escape"]),
    "escape-ends": lambda r: span(r["escape_low"], r["escape_high"]),
    "overkill": lambda r: percent(r["overkill"]),
    "overkill-ends": lambda r: span(r["overkill_low"], r["overkill_high"]),
    "expected-cost": lambda r: short(r["cost"]),
    "threshold": lambda r: short(r["threshold"]),
    "equals": _worth,
    "equals-ends": lambda r: between(r["low"], r["high"], 0),
    "in-words": lambda r: both(r["sentence"]),
}
"""What a column shows of a row of the findings."""
_HEADS = {"gain-or-0": "gain", "p-short": "p"} | {
    name: "interval" for name in CELLS if name.endswith("-ends")
}


def columns(*names: str | Words) -> list[Text]:
    """Return a header: words as they are, others by their name in the dictionary."""
    return [word(f"col-{name}") if isinstance(name, str) else name for name in names]


def view_of(findings: Mapping[str, Any], study: Mapping[str, Any]) -> ReportView:
    """Return the findings of a study, checked for what every report needs."""
    version = findings.get("version")
    if version != VERSION:
        raise InputError(
            f"The findings have version {version}, expected {VERSION}; they were written by "
            "another version of samix: run samix poc again."
        )
    missing = [name for name in _NEEDED if name not in findings]
    if missing:
        raise InputError(f"The findings have no '{missing[0]}'; run samix poc again.")
    return ReportView(findings, study)


def question_words(mode: str, labels: int) -> Words:
    """Return a mode with its labels."""
    return word("question", mode=mode_words(mode), labels=f"{labels:,}")


def about(policy: str) -> Words:
    """Return what a policy is, in a few words."""
    name = policy.removesuffix(LONG)
    told = policy_about(name.removesuffix(CLEAN))
    if name.endswith(CLEAN) or name == "samix":
        told = word("about-clean", policy=told)
    return told if name == policy else word("about-long", policy=told)


_ORDER = (
    BASELINE, FROZEN, "mixup", "mixup-clean", "cutmix", "mixup-cutmix", "samix-p", "samix-fast",
    "samix",
)  # fmt: skip
_LAST = ("samix-p", "samix-fast", "samix")


def _place(policy: str) -> tuple[int, int, str]:
    """Return where a policy stands in tables and legends."""
    name = policy.removesuffix(LONG)
    kind = 1 if policy == name else 2
    if name in _LAST:
        kind = 3
    if policy == BASELINE:
        kind = 0
    order = _ORDER.index(name) if name in _ORDER else len(_ORDER)
    return kind, order, policy
