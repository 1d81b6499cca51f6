"""The first screen: the verdict, the three numbers behind it, what it costs, what is risky."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from samix.pages.words import (
    NOT_KNOWN,
    NOTHING,
    Text,
    Words,
    both,
    count,
    duration,
    known,
    memory,
    number,
    percent,
    short,
    times,
    word,
)
from samix.study.report.view import BASELINE, FULL, ReportView, Row, question_words

# what is advised in each kind of verdict, and how it looks
KINDS = {
    "adopt": ("kind-adopt", "ok"),
    "adopt-light": ("kind-adopt-light", "ok"),
    "use-simple": ("kind-use-simple", "changed"),
    "mixer-not-alive": ("kind-mixer-not-alive", "changed"),
    "do-not-adopt": ("kind-do-not-adopt", "bad"),
    "not-proven": ("kind-not-proven", "changed"),
}


@dataclass(frozen=True)
class KeyNumber:
    """A number that a hurried reader must see.

    Attributes:
        name: What it is.
        value: The number.
        unit: Behind it, in small letters.
        line: Below it.
    """

    name: Words
    value: Text
    unit: Words = NOTHING
    line: Words = NOTHING


@dataclass(frozen=True)
class First:
    """The first screen.

    Attributes:
        title: Of the page.
        state: Colour of the verdict.
        advice: What to do, in one short sentence.
        sentence: The verdict with its numbers.
        question: What was asked: mode and labels.
        numbers: Three cards.
        costs: Four cards.
        cost_of: What the costs are of.
        risks: Sentences.
        notes: Sentences.
        facts: Small print.
    """

    title: Words
    state: str
    advice: Words
    sentence: Words
    question: Words
    numbers: Sequence[KeyNumber]
    costs: Sequence[KeyNumber]
    cost_of: Words
    risks: Sequence[Words]
    notes: Sequence[Words]
    facts: Sequence[tuple[Words, Text]]


def first_of(view: ReportView) -> First:
    """Return the first screen of a study."""
    key, state = KINDS[view.verdict["kind"]]
    name = view.findings["data"].get("name") or (view.study.get("data") or {}).get("name") or ""
    return First(
        title=word("title", name=name) if name else word("title-bare"),
        state=state,
        advice=word(key, policy=view.policy),
        sentence=both(view.verdict["sentence"]),
        question=word("asked", question=question_words(view.mode, view.labels)),
        numbers=[_accuracy(view), _efficiency(view), _consistency(view)],
        costs=_costs(view),
        cost_of=word("cost-of", policy=view.policy),
        risks=_risks(view),
        notes=[both(note) for note in view.findings["notes"]],
        facts=_facts(view),
    )


def verdict_name(kind: str, policy: str) -> Words:
    """Return a verdict in a few words."""
    return word(KINDS[kind][0], policy=policy)


def _accuracy(view: ReportView) -> KeyNumber:
    found = view.findings["headline"].get("accuracy")
    name = word("head-accuracy", measure=view.measure)
    if found is None:
        return KeyNumber(name, NOT_KNOWN, line=word("head-no-accuracy"))
    line = word(
        "gain-of", policy=view.policy, baseline=BASELINE, low=number(found["low"], signed=True),
        high=number(found["high"], signed=True),
    )  # fmt: skip
    return KeyNumber(name, number(found["value"], signed=True), word("points"), line)


def _efficiency(view: ReportView) -> KeyNumber:
    found = view.findings["headline"].get("label_efficiency")
    name = word("head-efficiency")
    if found is None:
        own = {row["labels"] for row in view.rows("curve", mode=view.mode, policy=view.policy)}
        alone = len(own) == 1 < len(view.budgets(view.mode))
        line = word("head-one-budget" if alone else "head-no-efficiency", policy=view.policy)
        return KeyNumber(name, NOT_KNOWN, line=line)
    value, low, high = (known(found[key]) for key in ("value", "low", "high"))
    if value is not None:
        shown = f"\u2248\u00a0{count(value)}"
    elif low is not None:
        shown = f"\u2265\u00a0{count(low)}"
    elif high is not None:
        shown = f"\u2264\u00a0{count(high)}"
    else:
        shown = NOT_KNOWN
    return KeyNumber(name, shown, word("labels-of-plain"), both(found["sentence"]))


def _consistency(view: ReportView) -> KeyNumber:
    found = view.findings["headline"].get("consistency")
    name = word("head-consistency")
    if found is None:
        return KeyNumber(name, NOT_KNOWN, line=word("head-no-consistency"))
    return KeyNumber(name, number(found["value"], 2, signed=True), word("rank-correlation"),
                both(found["sentence"]))  # fmt: skip


def _costs(view: ReportView) -> list[KeyNumber]:
    row: Row = view.one("cost", mode=view.mode, policy=view.policy) or {}
    plain: Row = view.one("cost", mode=view.mode, policy=BASELINE) or {}
    currency = str((view.study.get("prices") or {}).get("currency") or "")
    money, energy = known(row.get("money")), known(row.get("kwh"))

    def beside(value: object, shown: Text) -> Words:
        return word("plain-costs", value=shown) if known(value) is not None else NOTHING

    return [
        KeyNumber(word("cost-time"), times(row.get("multiple")), NOTHING,
             word("time-of-one", time=duration(row["seconds"]),
                  plain=duration(plain.get("seconds"))) if row
             else beside(plain.get("seconds"), duration(plain.get("seconds")))),
        KeyNumber(word("cost-memory"), memory(row.get("memory_mb")), NOTHING,
             beside(plain.get("memory_mb"), memory(plain.get("memory_mb")))),
        KeyNumber(word("cost-money"), NOT_KNOWN if money is None else short(money),
             both(currency) if money is not None else NOTHING,
             word("no-price") if money is None
             else beside(plain.get("money"), f"{short(plain.get('money'))} {currency}".strip())),
        KeyNumber(word("cost-energy"), NOT_KNOWN if energy is None else short(energy),
             both("kWh") if energy is not None else NOTHING,
             word("no-power") if energy is None
             else beside(plain.get("kwh"), f"{short(plain.get('kwh'))} kWh")),
    ]  # fmt: skip


def _risks(view: ReportView) -> list[Words]:
    """Return the risks of the verdict, what the guard did, and what did not finish."""
    found = [both(risk) for risk in view.verdict.get("risks") or ()]
    guard = view.findings.get("guard") or {}
    for row in guard.get("accepted") or ():
        if row["mode"] == view.mode and row["policy"] in (view.policy, FULL):
            share = percent(row["accepted"])
            found.append(word("guard-accepted", policy=row["policy"], share=share))
    cells = view.findings["cells"]
    lost = len(cells["failed"]) + len(cells["missing"])
    if lost:
        found.append(word("cells-lost", lost=count(lost), planned=count(cells["planned"])))
    return found or [word("no-risks")]


def _facts(view: ReportView) -> list[tuple[Words, Text]]:
    data, planned = view.findings["data"], view.study.get("data") or {}
    facts: list[tuple[Words, Text]] = []
    for side in ("train", "val", "test"):
        photos, parts = (
            known((planned.get(what) or data.get(what) or {}).get(side))
            for what in ("photos", "parts")
        )
        if photos is not None and parts is not None:
            told = word("photos-and-parts", photos=count(photos), parts=count(parts))
            facts.append((word(f"part-{side}"), told))
        elif photos is not None:
            facts.append((word(f"part-{side}"), word("photos-alone", photos=count(photos))))
    facts.append((word("classes"), count(len(data.get("classes") or ()))))
    if view.study.get("started"):
        facts.append((word("started"), str(view.study["started"])))
    return facts
