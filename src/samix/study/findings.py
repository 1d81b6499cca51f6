"""Everything that a study has found, as plain values for the report and the terminal.

:func:`answer` judges the tables and gives numbers; :func:`find` writes them down with their
sentences, which :mod:`samix.study.wording` says.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from samix.errors import InputError
from samix.study.finding_tables import (
    ENERGY,
    Row,
    calibration_rows,
    confusion_rows,
    cost_rows,
    curve_rows,
    guard_rows,
    inspection_rows,
    policy_rows,
    recall_rows,
    worth_of,
    wrong_rows,
)
from samix.study.grid import without_time
from samix.study.overall import Consistency, Overall, consistency, overall_verdict, primary_question
from samix.study.statistics.candidates import (
    PolicyCost,
    Roles,
    VerdictLimits,
    costs_of,
    gains_of,
)
from samix.study.statistics.effects import (
    Effect,
    Reason,
    guess_of,
    only_guesses,
    reason,
    score_of,
)
from samix.study.statistics.inspection import ClassRecall, Prices, rarest_judgeable, recalls_of
from samix.study.statistics.labels import LabelEfficiency
from samix.study.statistics.tables import MODES, PartScores, Question
from samix.study.statistics.trained import (
    VERSION,
    FinishedCells,
    Measured,
    Scores,
    gather,
    measure_of,
    scores_by,
)
from samix.study.verdict import Verdict, weigh
from samix.study.wording import in_words, said_once, sentence_of

_WRONG_PHOTOS = 24  # that are named
WRONG = ("escape", "overkill", "defect_share")
Gains = Mapping[Question, Mapping[str, Effect]]
ACCEPTED = 0.9  # share of mixes below which the guard's work is a risk to name


@dataclass(frozen=True)
class Answers:
    """The answers of a study."""

    trained: FinishedCells  # finished cells
    roles: Roles  # which policy is what
    classes: tuple[str, ...]
    measured: Measured  # what is compared, and why
    scores: Scores  # of all policies on test parts as the measure sees them, by mode and labels
    costs: Mapping[Question, Mapping[str, PolicyCost]]  # by mode and labels, then by policy
    gains: Gains  # over plain training, by the same keys
    verdicts: Mapping[Question, Verdict]  # by mode and labels; those that could be judged
    overall: Overall  # the verdict for the manager
    worth: Mapping[Question, tuple[LabelEfficiency, ...]]  # label efficiencies by mode and labels
    agreement: Consistency | None  # of both modes, where there are both

    @property
    def measure(self) -> str:
        """Name of what is compared."""
        return self.measured.name

    @property
    def primary(self) -> Question:
        """The main question."""
        return self.overall.mode, self.overall.labels

    @property
    def policy(self) -> str:
        """The policy of the verdict."""
        return self.overall.verdict.policy


def answer(
    outcomes: pd.DataFrame,
    cells: pd.DataFrame,
    *,
    plan: Mapping[str, Any],
    data: Mapping[str, Any],
    good: Collection[str],
    roles: Roles,
    limits: VerdictLimits | None,
) -> Answers:
    """Judge a study; see :func:`samix.study.find`."""
    trained = gather(outcomes, cells)
    primary = primary_question(trained.planned, plan.get("primary"))
    if not trained.scores:
        raise InputError("No training of the study has finished: there is nothing to judge yet.")
    measured = measure_of(_test_parts(trained), plan.get("measure"), good=good)
    measure, scores = measured.name, scores_by(measured, trained)
    costs = {
        (mode, labels): costs_of(trained.cells, mode=mode, labels=labels)
        for mode, labels in trained.scores
    }
    gains = _gains(scores, measure, roles, limits)
    verdicts = _judged(scores, costs, measure, roles, limits)
    return Answers(
        trained=trained, roles=roles, classes=classes_of(trained, data), measured=measured,
        scores=scores, costs=costs, gains=gains, verdicts=verdicts,
        overall=overall_verdict(verdicts, primary, full=roles.full),
        worth=worth_of(scores, measure, roles), agreement=_agreement(gains, primary),
    )  # fmt: skip


def roles_of(plan: Mapping[str, Any]) -> Roles:
    """Return which policy is what in a plan; one that names no subjects asks about SAMix."""
    subjects = [str(name) for name in plan.get("subjects") or ()]
    if not set(subjects) - {"samix", "samix-p"}:
        return Roles()
    return Roles(full=subjects[-1], light=tuple(subjects[:-1]))


def limits_of(plan: Mapping[str, Any]) -> VerdictLimits:
    """Return the limits of a plan: with its looks, where it may stop early."""
    looks = {int(seeds): float(share) for seeds, share in (plan.get("looks") or {}).items()}
    return VerdictLimits(looks=looks or None)


def _test_parts(trained: FinishedCells) -> dict[str, int]:
    one = next(iter(next(iter(trained.scores.values())).values()))
    counts = np.bincount(one.target, minlength=len(one.classes))
    return dict(zip(one.classes, counts.tolist(), strict=True))


def classes_of(trained: FinishedCells, data: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the classes: as given, or those with a column of probabilities, or that are shown."""
    if data.get("classes"):
        return tuple(str(name) for name in data["classes"])
    table = next(iter(next(iter(trained.test.values())).values()))
    named = [str(n).removeprefix("p_") for n in table.columns if str(n).startswith("p_")]
    return tuple(named or sorted(table["target"].astype(str).unique()))


def _gains(
    by_cell: Scores, measure: str, roles: Roles, limits: VerdictLimits | None
) -> dict[Question, dict[str, Effect]]:
    looks = limits.looks if limits else None
    return {
        where: gains_of(able, roles, measure, looks) if (able := _comparable(scores, roles)) else {}
        for where, scores in by_cell.items()
    }


def _comparable(scores: Mapping[str, PartScores], roles: Roles) -> dict[str, PartScores]:
    """Return the policies that share a seed with plain training, which is among them."""
    if roles.baseline not in scores:
        return {}
    seeds = set(scores[roles.baseline].seeds)
    return {name: one for name, one in scores.items() if seeds & set(one.seeds)}


def _judged(
    by_cell: Scores,
    costs: Mapping[Question, Mapping[str, PolicyCost]],
    measure: str,
    roles: Roles,
    limits: VerdictLimits | None,
) -> dict[Question, Verdict]:
    """Judge every mode and budget that has plain training and a learned policy."""
    found = {}
    for where, scores in by_cell.items():
        shared = _comparable(scores, roles)
        if any(name in shared for name in (roles.full, *roles.light)):
            found[where] = weigh(shared, costs[where], roles=roles, limits=limits, measure=measure)
    return found


def _agreement(gains: Gains, primary: Question) -> Consistency | None:
    """Compare both modes at the main budget, or at the largest that both have."""
    budgets = [{labels for one, labels in gains if one == mode} for mode in MODES]
    shared = budgets[0] & budgets[1]
    if not shared:
        return None
    labels = primary[1] if primary[1] in shared else max(shared)
    return consistency(gains[MODES[0], labels], gains[MODES[1], labels])


def find(
    outcomes: pd.DataFrame,
    cells: pd.DataFrame,
    *,
    good: Sequence[str] = (),
    prices: Mapping[str, Any] | None = None,
    plan: Mapping[str, Any] | None = None,
    data: Mapping[str, Any] | None = None,
    roles: Roles | None = None,
    limits: VerdictLimits | None = None,
) -> dict[str, Any]:
    """Return the findings of a study: numbers, rows and sentences, ready for a JSON file.

    Policies are judged on test parts alone; thresholds are chosen on validation parts. What did not
    finish is left out and named; a comparison uses the seeds that both have.

    Args:
        outcomes: See :func:`samix.study.statistics.trained.gather`.
        cells: See there.
        good: Classes that are good parts; with them there are escape and overkill rates.
        prices: ``escape``, ``overkill`` and ``defect_share`` of :class:`Prices`; ``price`` of the
            machine for an hour with its ``currency``, and ``power`` in watts.
        plan: As it was before training; ``primary`` (``mode``, ``labels``) and ``measure`` are
            read, see :func:`samix.study.overall.primary_question` and
            :func:`samix.study.statistics.trained.measure_of`.
        data: ``name``, ``classes``, ``photos`` and ``parts`` (by train, val and test), where known.
        roles: Which policy is what; None is the default of :class:`Roles`.
        limits: What counts as much; None is the default of :class:`VerdictLimits`.

    Raises:
        InputError: A table is of another version or malformed, nothing finished, or an option names
            what is not there.
    """
    plan, prices, data = dict(plan or {}), dict(prices or {}), dict(data or {})
    wrong = _wrong_prices(prices)
    found = answer(
        outcomes, cells, plan=plan, data=data, good=good, roles=roles or roles_of(plan),
        limits=limits or limits_of(plan),
    )  # fmt: skip
    stray = [name for name in good if name not in found.classes]
    if stray:
        raise InputError(f"good: '{stray[0]}' is no class; expected of {', '.join(found.classes)}.")
    inspected, unjudged = inspection_rows(found.trained, good, wrong) if good else ([], [])
    guard = guard_rows(found.trained)
    written = {
        "version": VERSION,
        "data": {**_described(found, data), "good": list(good)},
        "plan": plan,
        **_verdicts(found, guard, inspected if {*prices} & {*WRONG} else ()),
        "headline": headline(found),
        **_tables(found),
        "inspection": inspected,
        "rarest": rarest_of(found),
        "labels_worth": worth_rows(found),
        "consistency": _consistency(found.agreement, found.roles),
        "cost": cost_rows(found.trained, found.costs, found.roles, prices),
        "cells": _cells(found),
        "guard": {"accepted": guard} if guard else None,
        "notes": [*notes_of(found, prices=good and not prices), *unjudged, *plan_notes(plan)],
    }
    found_words: dict[str, Any] = in_words(written)
    return found_words


def _wrong_prices(prices: Mapping[str, Any]) -> Prices:
    unknown = [name for name in prices if name not in (*WRONG, *ENERGY)]
    if unknown:
        raise InputError(
            f"prices has an unknown key '{unknown[0]}'; expected {', '.join((*WRONG, *ENERGY))}."
        )
    given = {name: prices[name] for name in WRONG if prices.get(name) is not None}
    words = [name for name, value in given.items() if not isinstance(value, (int, float))]
    if words:
        raise InputError(f"prices: {words[0]} must be a number, got {given[words[0]]!r}.")
    return Prices(**given)


def _verdicts(found: Answers, guard: Sequence[Row], inspected: Sequence[Row]) -> Row:
    main = found.overall.verdict
    risks = (  # what puts the whole study in doubt comes first
        *training_risks(found), *main.risks, *price_risks(found, inspected), *recall_risks(found),
        *guard_risks(found, guard),
    )  # fmt: skip
    mode, labels = found.primary
    return {
        "verdict": {**_said(main), "mode": mode, "labels": labels, "risks": said_once(risks)},
        "verdicts": [
            {**_said(one), "mode": mode, "labels": labels}
            for (mode, labels), one in found.verdicts.items()
        ],
    }


def _tables(found: Answers) -> Row:
    curve = curve_rows(found.scores, found.measure)
    return {
        "curve": curve,
        "policies": policy_rows(curve, found.gains, found.costs, found.roles),
        "recalls": recall_rows(found.trained, found.classes),
        "calibration": calibration_rows(found.trained),
        "confusion": confusion_rows(
            found.trained,
            found.primary,
            list(dict.fromkeys((found.policy, found.roles.baseline))),
            found.classes,
        ),
        "wrong": wrong_rows(found.trained, found.primary, found.policy, _WRONG_PHOTOS),
    }


def _cells(found: Answers) -> Row:
    trained = found.trained
    return {
        "planned": trained.count,
        "finished": len(trained.cells),
        "failed": [{"cell": name, "reason": why} for name, why in trained.failed.items()],
        "missing": list(trained.missing),
    }


def _said(verdict: Verdict) -> Row:
    compared = [
        {
            "policy": one.policy, "baseline": one.baseline, "measure": one.measure,
            "points": one.points, "low": one.low, "high": one.high, "p": one.p_holm,
        }
        for one in verdict.compared
    ]  # fmt: skip
    return {
        "kind": verdict.kind, "policy": verdict.policy, "sentence": sentence_of(verdict),
        "compared": compared, "numbers": dict(verdict.numbers), "risks": list(verdict.risks),
    }  # fmt: skip


def _described(answers: Answers, data: Row) -> Row:
    trained = answers.trained
    photos: dict[str, Any] = {"train": max(labels for _, labels in trained.planned)}
    parts: dict[str, Any] = {"train": None}
    for part, tables in (("val", trained.val), ("test", trained.test)):
        table = next((t for of_policy in tables.values() for t in of_policy.values()), None)
        one = None if table is None else table[table["seed"] == table["seed"].iloc[0]]
        photos[part] = 0 if one is None else len(one)
        parts[part] = 0 if one is None else int(one["group"].nunique())
    return {
        "name": data.get("name", ""), "classes": list(answers.classes),
        "photos": data.get("photos", photos), "parts": data.get("parts", parts),
        "measure": answers.measure,
    }  # fmt: skip


def _consistency(found: Consistency | None, roles: Roles) -> Row | None:
    if found is None:
        return None
    rows = [
        {
            "policy": name, "supervised": one.points, "supervised_low": one.low,
            "supervised_high": one.high,
            "self_supervised": found.self_supervised[name].points,
            "self_supervised_low": found.self_supervised[name].low,
            "self_supervised_high": found.self_supervised[name].high,
        }
        for name, one in found.supervised.items()
    ]  # fmt: skip
    return {
        "policies": rows, "correlation": found.correlation, "p": found.p,
        "sentence": found.reason((roles.full, *roles.light)),
    }  # fmt: skip


def headline(found: Answers) -> Row:
    """Return the three numbers behind the verdict; None for one that cannot be had.

    Label efficiency is taken at the second largest budget of the main mode: the largest at which
    plain training had more labels to be compared with.
    """
    mode, agreement = found.primary[0], found.agreement
    gain = found.gains.get(found.primary, {}).get(found.policy)
    budgets = sorted(labels for one, labels in found.worth if one == mode)
    told = found.worth.get((mode, budgets[-2]), ()) if len(budgets) > 1 else ()
    labels = next((one for one in told if one.policy == found.policy), None)
    return {
        "accuracy": gain and {
            "value": gain.points, "low": gain.low, "high": gain.high,
            "sentence": reason("headline-accuracy", measure=found.measure, gain=gain),
        },
        "label_efficiency": labels and {
            "value": labels.equal, "low": labels.low, "high": labels.high,
            "sentence": reason("efficiency", one=labels),
        },
        "consistency": agreement and {
            "value": agreement.correlation, "low": None, "high": None,
            "sentence": agreement.reason((found.roles.full, *found.roles.light)),
        },
    }  # fmt: skip


def worth_rows(found: Answers) -> list[Row]:
    """Return the labels that each policy is worth."""
    return [
        {
            "mode": mode, "policy": one.policy, "labels": labels, "equals": one.equal,
            "low": one.low, "high": one.high, "outside": one.outside,
            "sentence": reason("efficiency", one=one),
        }
        for (mode, labels), some in found.worth.items()
        for one in some
    ]  # fmt: skip


def rarest_of(found: Answers) -> Row | None:
    """Return the rarest class that can be judged, by the policy of the verdict."""
    one = rarest_judgeable(_verdict_recalls(found))
    if one is None:
        return None
    return {
        "class": one.name, "parts": one.recall.parts, "recall": one.recall.share,
        "sentence": reason("rarest-class", one=one, policy=found.policy),
    }  # fmt: skip


def recall_risks(found: Answers) -> list[Reason]:
    """Return the weakest class, and those that cannot be judged."""
    recalls = _verdict_recalls(found)
    able = [one for one in recalls if one.judgeable]
    risks = []
    if len(able) > 1:
        weakest = min(able, key=lambda one: one.recall.share)
        risks.append(reason("risk-weakest", one=weakest, policy=found.policy))
    unjudged = [one for one in recalls if not one.judgeable]
    if len(unjudged) > 1:
        named = [f"{one.name} ({one.recall.parts})" for one in unjudged]
        return [*risks, reason("classes-not-judgeable", least=unjudged[0].least, named=named)]
    return risks + [reason("class-not-judgeable", one=one) for one in unjudged]


def price_risks(found: Answers, inspected: Sequence[Row]) -> list[Reason]:
    """Return that the errors of the policy cost as much as treating all parts alike, unseen."""
    mode, labels = found.primary
    here = {"mode": mode, "labels": labels, "policy": found.policy}
    risks = []
    for row in inspected:
        kind = min(("reject_all", "pass_all"), key=lambda name: row[name])
        if here.items() <= row.items() and row["cost"] >= row[kind]:
            costs = {"cost": row["cost"], "unseen": row[kind], "share": 100 * row["defect_share"]}
            risks.append(reason(f"risk-{kind.replace('_', '-')}", policy=found.policy, **costs))
    return risks


def guard_risks(found: Answers, guard: Sequence[Row]) -> list[Reason]:
    """Return where the guard had much to do."""
    return [
        reason("risk-guard", mode=row["mode"], policy=row["policy"], replaced=1 - row["accepted"])
        for row in guard
        if row["policy"] == found.policy and row["accepted"] < ACCEPTED
    ]


def plan_notes(plan: Mapping[str, Any]) -> list[Reason]:
    """Return which policies and label budgets were asked for and are not planned, and why."""
    notes = [
        reason(f"note-{name}", shares=[f"{100 * share:g} %" for share in plan[name]])
        for name in ("left_out", "not_planned")
        if plan.get(name)
    ]
    policies = without_time(plan)
    return [*notes, *([reason("note-without-time", policies=policies)] if policies else [])]


def notes_of(found: Answers, *, prices: object) -> list[Reason]:
    """Return what a reader of the numbers must know."""
    trained, verdicts, roles = found.trained, found.verdicts, found.roles
    some = next(iter(next(iter(trained.scores.values())).values()))
    notes = [reason("note-intervals", parts=len(some.parts))]
    if len(verdicts) > 1:
        others = [one for one in verdicts if one != found.primary]
        mode, labels = found.primary
        notes.append(reason("note-primary", mode=mode, labels=labels, others=len(others)))
    if found.measured.skew is not None:
        largest, smallest = found.measured.skew
        notes.append(reason("note-balanced", largest=largest, smallest=smallest))
    if found.measured.side:
        notes.append(reason("note-detection", side=[f"'{name}'" for name in found.measured.side]))
    if prices:
        usual = Prices()
        notes.append(reason("note-prices", escape=usual.escape, overkill=usual.overkill))
    for (mode, labels), scores in trained.scores.items():
        if (mode, labels) not in verdicts:
            lacking = "learned" if roles.baseline in scores else "baseline"
            notes.append(reason(f"note-no-{lacking}", mode=mode, labels=labels))
    if trained.failed or trained.missing:
        lost = {"failed": len(trained.failed), "missing": len(trained.missing)}
        notes.append(reason("note-failed", planned=trained.count, **lost))
    budgets = {
        mode: sum(1 for (one, _), scores in trained.scores.items()
                  if one == mode and roles.baseline in scores)
        for mode, _ in trained.scores
    }  # fmt: skip
    if all(count < 2 for count in budgets.values()):
        notes.append(reason("note-no-curve"))
    return notes


def _verdict_recalls(found: Answers) -> tuple[ClassRecall, ...]:
    scores = found.trained.scores.get(found.primary, {}).get(found.policy)
    return () if scores is None else recalls_of(scores, found.classes)


def training_risks(found: Answers) -> list[Reason]:
    """Return signs that trainings were too short, or too hard, for any policy to tell."""
    baseline = found.roles.baseline
    scores = found.scores.get(found.primary, {}).get(baseline)
    risks = []
    if scores is not None and only_guesses(scores, found.measure):
        score, guess = score_of(scores, found.measure), guess_of(scores, found.measure)
        risks.append(reason("risk-guessing", score=100 * score.estimate, guess=100 * guess))
    longer = found.gains.get(found.primary, {}).get(f"{baseline}-long")
    if longer is not None and longer.low > 0:
        risks.append(reason("risk-unfinished", longer=longer))
    return risks
