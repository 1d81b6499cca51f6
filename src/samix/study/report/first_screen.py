"""The first screen: what to do, what each policy gains and costs, and what is risky."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from samix.pages.charts import LONG
from samix.pages.parts import Chart
from samix.pages.words import (
    NOT_KNOWN,
    NOTHING,
    Text,
    Words,
    both,
    commas,
    count,
    duration,
    known,
    moment,
    number,
    paragraph,
    percent,
    short,
    times,
    word,
)
from samix.study.overall import free_choice
from samix.study.report.forest import forest_chart
from samix.study.report.view import BASELINE, FULL, ReportView, Row, question_words
from samix.study.wording import policy_words
from samix.training.config import FROZEN

# how a verdict looks
KINDS = {
    "adopt": "ok", "adopt-light": "ok", "use-simple": "changed",
    "mixer-not-alive": "changed", "do-not-adopt": "bad", "not-proven": "changed",
}  # fmt: skip
_CEILING = 0.95  # score of plain training from which on little is left to gain
_UNSURE = 0.1  # calibration error from which on confidences mislead
_REJECTED = 0.1  # share of mixes that the guard rejects from which on it is a risk
_RISKS = 7  # that are shown at once


@dataclass(frozen=True)
class KeyNumber:
    """A number that a hurried reader must see."""

    name: Words  # what it is
    value: Text  # the number
    unit: Words = NOTHING  # behind it, in small letters
    line: Words = NOTHING  # below it


@dataclass(frozen=True)
class First:
    """The first screen."""

    title: Words  # of the page
    state: str  # colour of the verdict
    advice: Words  # what to do, in one short sentence
    sentence: Words  # the verdict with its numbers
    question: Words  # what was asked: mode and labels
    # what each policy gains, and what it costs; None where nothing can be compared
    chart: Chart | None
    numbers: Sequence[KeyNumber]  # those that are known
    risks: Sequence[Words]  # sentences
    more: Sequence[Words]  # further risks, folded
    facts: Sequence[tuple[Words, Text]]  # small print


def first_of(view: ReportView, pictures: Sequence[Mapping[str, Any]] = ()) -> First:
    """Return the first screen of a study."""
    name = view.findings["data"].get("name") or (view.study.get("data") or {}).get("name") or ""
    known_numbers = (_plain(view), _gain(view), _efficiency(view), _consistency(view),
                     _calibration(view), _inspection(view), _cost(view))  # fmt: skip
    risks = risks_of(view, pictures)
    return First(
        title=word("title", name=name) if name else word("title-bare"),
        state=KINDS[view.verdict["kind"]],
        advice=advice_of(view),
        sentence=both(view.verdict["sentence"]),
        question=word("asked", question=question_words(view.mode, view.labels)),
        chart=forest_chart(view),
        numbers=[one for one in known_numbers if one is not None],
        risks=risks[:_RISKS],
        more=risks[_RISKS:],
        facts=_facts(view),
    )


def verdict_name(kind: str, policy: str) -> Words:
    """Return a verdict in a few words."""
    return word(f"kind-{kind}", policy=policy_words(policy))


def advice_of(view: ReportView) -> Words:
    """Return what to do, in one or two short sentences."""
    kind, policy = view.verdict["kind"], policy_words(view.policy)
    if kind in ("adopt", "adopt-light"):
        row = view.one("policies", mode=view.mode, labels=view.labels, policy=view.policy) or {}
        return word("act-adopt", policy=policy, points=number(row.get("gain"), signed=True))
    if kind == "use-simple":
        longer = view.policy == f"{BASELINE}{LONG}"
        if view.policy == FROZEN:
            return word("act-frozen")
        return word("act-longer") if longer else word("act-simple", policy=policy)
    free = free_choice(view.rows("policies"), view.mode)
    if free == BASELINE:
        keep = word("act-keep")
    elif free == f"{BASELINE}{LONG}":
        keep = word("act-longer")
    else:
        keep = word("act-use", policy=policy_words(free))
    if kind == "do-not-adopt":
        return paragraph([keep, word("act-not-worth", policy=policy)])
    if kind == "mixer-not-alive":
        return paragraph([keep, word("act-dead", policy=policy)])
    return paragraph([keep, _to_decide(view, policy)])


def _to_decide(view: ReportView, policy: Words) -> Words:
    """Say what would decide: trainings of further seeds with their time, or test parts."""
    numbers = view.verdict.get("numbers") or {}
    if "difference_to_show" not in numbers:
        return word("act-nothing", policy=policy)
    seeds, parts = known(numbers.get("more_seeds")), known(numbers.get("more_parts"))
    if seeds is not None:
        # every policy is trained with each further seed, or the lead over it is not known
        here = view.rows("policies", mode=view.mode, labels=view.labels)
        spent = sum(known(row.get("seconds")) or 0.0 for row in here)
        workers = known(view.plan.get("workers")) or 1.0
        return word(
            "act-decide", policy=policy, trainings=count(seeds * len(here)),
            time=duration(seeds * spent / workers),
        )  # fmt: skip
    if parts is not None:
        return word("act-decide-parts", policy=policy, parts=count(parts))
    return word("act-open", policy=policy)


def _plain(view: ReportView) -> KeyNumber | None:
    row = view.one("policies", mode=view.mode, labels=view.labels, policy=BASELINE)
    if row is None:
        return None
    line = word(
        "card-room-line", measure=view.measure, room=number(100 * (1 - float(row["score"])))
    )
    return KeyNumber(word("card-room"), percent(row["score"]), NOTHING, line)


def _gain(view: ReportView) -> KeyNumber | None:
    found = view.findings["headline"].get("accuracy")
    if found is None:
        return None
    line = word(
        "gain-of", policy=policy_words(view.policy), baseline=policy_words(BASELINE),
        low=number(found["low"], signed=True), high=number(found["high"], signed=True),
    )  # fmt: skip
    name = word("head-accuracy", measure=view.measure)
    return KeyNumber(name, number(found["value"], signed=True), word("points"), line)


def _efficiency(view: ReportView) -> KeyNumber | None:
    found = view.findings["headline"].get("label_efficiency")
    if found is None:
        return None
    value, low, high = (known(found[key]) for key in ("value", "low", "high"))
    if value is not None:
        shown = f"\u2248\u00a0{count(value)}"
    elif low is not None:
        shown = f"\u2265\u00a0{count(low)}"
    elif high is not None:
        shown = f"\u2264\u00a0{count(high)}"
    else:
        return None
    name, unit = word("head-efficiency"), word("labels-of-plain")
    return KeyNumber(name, shown, unit, both(found["sentence"]))


def _consistency(view: ReportView) -> KeyNumber | None:
    found = view.findings["headline"].get("consistency")
    value = None if found is None else known(found["value"])
    if found is None or value is None:
        return None
    name, unit = word("head-consistency"), word("rank-correlation")
    return KeyNumber(name, number(value, 2, signed=True), unit)


def _calibration(view: ReportView) -> KeyNumber | None:
    own, plain = _errors(view)
    if own is None:
        return None
    line = NOTHING if plain is None else word("card-plain", value=percent(plain))
    name = word("card-calibration", policy=policy_words(view.policy))
    return KeyNumber(name, percent(own), NOTHING, line)


def _errors(view: ReportView) -> tuple[float | None, float | None]:
    rows = (
        view.one("calibration", mode=view.mode, labels=view.labels, policy=name)
        for name in (view.policy, BASELINE)
    )
    own, plain = (None if row is None else known(row["error"]) for row in rows)
    return own, plain


def _inspection(view: ReportView) -> KeyNumber | None:
    own, plain = (
        view.one("inspection", mode=view.mode, labels=view.labels, policy=name)
        for name in (view.policy, BASELINE)
    )
    if own is None or known(own["cost"]) is None:
        return None
    line = word("card-inspection-unit", currency=view.currency or word("price-units"))
    if plain is not None:
        line = paragraph([line + word("full-stop"), word("card-plain", value=short(plain["cost"]))])
    name = word("card-inspection", policy=policy_words(view.policy))
    return KeyNumber(name, short(own["cost"]), NOTHING, line)


def _cost(view: ReportView) -> KeyNumber | None:
    row = view.one("cost", mode=view.mode, policy=view.policy)
    plain: Row = view.one("cost", mode=view.mode, policy=BASELINE) or {}
    if row is None:
        return None
    line = commas(_spent(view, row)) + word("full-stop")
    if plain:
        line = paragraph([line, word("card-plain", value=commas(_spent(view, plain)))])
    name = word("card-cost", policy=policy_words(view.policy))
    return KeyNumber(name, times(row.get("multiple")), NOTHING, line)


def _spent(view: ReportView, row: Row) -> list[Text]:
    found: list[Text] = [duration(row.get("seconds"))]
    if known(row.get("money")) is not None:
        found.append(f"{short(row['money'])} {view.currency}".strip())
    if known(row.get("kwh")) is not None:
        found.append(f"{short(row['kwh'])} kWh")
    return found


def risks_of(view: ReportView, pictures: Sequence[Mapping[str, Any]]) -> list[Words]:
    """Return the risks of the verdict, those that its numbers show, and what did not finish."""
    found = [both(risk) for risk in view.verdict.get("risks") or ()]
    own, plain = _errors(view)
    if own is not None and own >= _UNSURE and own > (plain or 0.0):
        told = {"error": percent(own), "plain": percent(plain)}
        found.insert(0, word("risk-calibration", policy=policy_words(view.policy), **told))
    row = view.one("policies", mode=view.mode, labels=view.labels, policy=BASELINE)
    score = None if row is None else known(row["score"])
    if score is not None and score >= _CEILING:
        room = number(100 * (1 - score))
        found.insert(0, word("risk-ceiling", score=percent(score), room=room))
    data = view.study.get("data") or {}
    if seen := data.get("seen"):
        tests = (data.get("photos") or {}).get("test")
        found.insert(0, word("risk-seen", seen=count(seen), tests=count(tests)))
    found += _rejected(pictures)
    guard = view.findings.get("guard") or {}
    for accepted in guard.get("accepted") or ():
        if accepted["mode"] == view.mode and accepted["policy"] in (view.policy, FULL):
            share, policy = percent(accepted["accepted"]), policy_words(accepted["policy"])
            found.append(word("guard-accepted", policy=policy, share=share))
    cells = view.findings["cells"]
    lost = len(cells["failed"]) + len(cells["missing"])
    if lost:
        found.append(word("cells-lost", lost=count(lost), planned=count(cells["planned"])))
    return list(dict.fromkeys(found)) or [word("no-risks")]


def _rejected(pictures: Sequence[Mapping[str, Any]]) -> list[Words]:
    """Return how many mixes of each policy the guard would reject, where those are many."""
    found: dict[str, Words] = {}
    for row in pictures:
        of = row.get("judged") or {}
        if not of.get("mixes") or of["rejected"] / of["mixes"] < _REJECTED:
            continue
        policy, share = str(row["policy"]), percent(of["rejected"] / of["mixes"], 0)
        told = word("risk-rejected", policy=policy_words(policy), share=share, count=of["mixes"])
        found.setdefault(policy, told)
    return list(found.values())


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
    facts.append((word("classes"), count(len(data.get("classes") or ())) or NOT_KNOWN))
    if view.study.get("started"):
        facts.append((word("started"), moment(str(view.study["started"]))))
    return facts
