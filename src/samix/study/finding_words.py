"""The sentences of the findings, from their numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .answers import Answers
from .levels import guess_of, only_guesses, score_of
from .rates import ClassRecall, rarest_judgeable, recalls_of
from .wording_study import (
    accuracy_headline,
    balanced_note,
    detection_note,
    failed_note,
    guard_risk,
    guessing_risk,
    intervals_note,
    left_out_note,
    no_curve_note,
    not_planned_note,
    prices_note,
    primary_note,
    rarest_words,
    unfinished_risk,
    unjudged_note,
    weakest_risk,
)
from .words import Words

ACCEPTED = 0.9  # share of mixes below which the guard's work is a risk to name

Row = dict[str, Any]


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
            "sentence": accuracy_headline(found.measure, gain),
        },
        "label_efficiency": labels and {
            "value": labels.equal, "low": labels.low, "high": labels.high,
            "sentence": labels.sentence,
        },
        "consistency": agreement and {
            "value": agreement.correlation, "low": None, "high": None,
            "sentence": agreement.sentence((found.roles.full, *found.roles.light)),
        },
    }  # fmt: skip


def worth_rows(found: Answers) -> list[Row]:
    """Return the labels that each policy is worth."""
    return [
        {
            "mode": mode, "policy": one.policy, "labels": labels, "equals": one.equal,
            "low": one.low, "high": one.high, "outside": one.outside, "sentence": one.sentence,
        }
        for (mode, labels), some in found.worth.items()
        for one in some
    ]  # fmt: skip


def rarest_of(found: Answers) -> Row | None:
    """Return the rarest class that can be judged, by the policy of the verdict."""
    one = rarest_judgeable(_recalls(found))
    if one is None:
        return None
    return {
        "class": one.name, "parts": one.recall.parts, "recall": one.recall.share,
        "sentence": rarest_words(one, found.policy),
    }  # fmt: skip


def risks_of(found: Answers, guard: Sequence[Row]) -> list[Words]:
    """Return weak or unjudgeable classes, and a guard with much to do."""
    recalls = _recalls(found)
    able = [one for one in recalls if one.judgeable]
    risks = []
    if len(able) > 1:
        risks.append(weakest_risk(min(able, key=lambda one: one.recall.share), found.policy))
    risks += [one.why for one in recalls if not one.judgeable]
    return risks + [
        guard_risk(row["mode"], row["policy"], row["accepted"])
        for row in guard
        if row["policy"] == found.policy and row["accepted"] < ACCEPTED
    ]


def plan_notes(plan: Mapping[str, Any]) -> list[Words]:
    """Return which label budgets were asked for and are not in the plan, and why."""
    told = (("left_out", left_out_note), ("not_planned", not_planned_note))
    return [note(plan[name]) for name, note in told if plan.get(name)]


def notes_of(found: Answers, *, prices: object) -> list[Words]:
    """Return what a reader of the numbers must know.

    Args:
        found: The answers.
        prices: Whether usual prices stand in for the user's.
    """
    trained, verdicts, roles = found.trained, found.verdicts, found.roles
    some = next(iter(next(iter(trained.scores.values())).values()))
    notes = [intervals_note(len(some.parts))]
    if len(verdicts) > 1:
        others = [one for one in verdicts if one != found.primary]
        notes.append(primary_note(*found.primary, len(others)))
    if found.measured.skew is not None:
        notes.append(balanced_note(*found.measured.skew))
    if found.measured.side:
        notes.append(detection_note(found.measured.side))
    if prices:
        notes.append(prices_note())
    for (mode, labels), scores in trained.scores.items():
        if (mode, labels) not in verdicts:
            lacking = "learned" if roles.baseline in scores else "baseline"
            notes.append(unjudged_note(mode, labels, lacking))
    if trained.failed or trained.missing:
        notes.append(failed_note(len(trained.failed), len(trained.missing), trained.count))
    budgets = {
        mode: sum(1 for (one, _), scores in trained.scores.items()
                  if one == mode and roles.baseline in scores)
        for mode, _ in trained.scores
    }  # fmt: skip
    if all(count < 2 for count in budgets.values()):
        notes.append(no_curve_note())
    return notes


def _recalls(found: Answers) -> tuple[ClassRecall, ...]:
    scores = found.trained.scores.get(found.primary, {}).get(found.policy)
    return () if scores is None else recalls_of(scores, found.classes)


def training_risks(found: Answers) -> list[Words]:
    """Return signs that trainings were too short, or too hard, for any policy to tell."""
    baseline = found.roles.baseline
    scores = found.scores.get(found.primary, {}).get(baseline)
    risks = []
    if scores is not None and only_guesses(scores, found.measure):
        score, guess = score_of(scores, found.measure), guess_of(scores, found.measure)
        risks.append(guessing_risk(score.estimate, guess))
    longer = found.gains.get(found.primary, {}).get(f"{baseline}-long")
    if longer is not None and longer.low > 0:
        risks.append(unfinished_risk(longer))
    return risks
