"""What the tables of a study answer: gains, verdicts, and the verdict that joins them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from samix.data.checking import TOO_FEW
from samix.errors import InputError

from .candidates import Cost, Limits, Roles, costs_of
from .consistency import Consistency, consistency
from .effects import Effect, compare_all
from .finding_rows import Scores, worth_of
from .labels import LabelEfficiency
from .overall import Overall, Question, overall_verdict, primary_question
from .tables import MODES, PartScores, part_scores, two_sides
from .trained import Trained, gather
from .verdict import Verdict, weigh
from .wording import WHAT

SKEWED = 3.0  # times as many test parts of the largest class as of the smallest judgeable one
Gains = Mapping[Question, Mapping[str, Effect]]


@dataclass(frozen=True)
class Measured:
    """What is compared, and why.

    Attributes:
        name: "accuracy", "balanced_accuracy" or "detection".
        skew: Largest and smallest class, where they decided for balanced accuracy.
        side: Of detection, the classes of one side: the good ones, or else the largest.
    """

    name: str
    skew: tuple[str, str] | None = None
    side: tuple[str, ...] = ()


@dataclass(frozen=True)
class Answers:
    """The answers of a study.

    Attributes:
        trained: Finished cells.
        roles: Which policy is what.
        classes: All classes.
        measured: What is compared, and why.
        scores: Of all policies on test parts as the measure sees them, by mode and labels.
        costs: By mode and labels, then by policy.
        gains: Over plain training, by the same keys.
        verdicts: By mode and labels; those that could be judged.
        overall: The verdict for the manager.
        worth: Label efficiencies by mode and labels.
        agreement: Of both modes, where there are both.
    """

    trained: Trained
    roles: Roles
    classes: tuple[str, ...]
    measured: Measured
    scores: Mapping[Question, Mapping[str, PartScores]]
    costs: Mapping[Question, Mapping[str, Cost]]
    gains: Gains
    verdicts: Mapping[Question, Verdict]
    overall: Overall
    worth: Mapping[Question, tuple[LabelEfficiency, ...]]
    agreement: Consistency | None

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
    limits: Limits | None,
) -> Answers:
    """Judge a study; see :func:`samix.study.find`."""
    trained = gather(outcomes, cells)
    primary = primary_question(trained.planned, plan.get("primary"))
    if not trained.scores:
        raise InputError("No training of the study has finished: there is nothing to judge yet.")
    measured = measure_of(trained, plan.get("measure"), good=good)
    measure, scores = measured.name, scores_by(measured, trained)
    costs = {
        (mode, labels): costs_of(trained.cells, mode=mode, labels=labels)
        for mode, labels in trained.scores
    }
    gains = _gains(scores, measure, roles)
    verdicts = _verdicts(scores, costs, measure, roles, limits)
    return Answers(
        trained=trained, roles=roles, classes=classes_of(trained, data), measured=measured,
        scores=scores, costs=costs, gains=gains, verdicts=verdicts,
        overall=overall_verdict(verdicts, primary, full=roles.full),
        worth=worth_of(scores, measure, roles), agreement=_agreement(gains, primary),
    )  # fmt: skip


def measure_of(
    trained: Trained, asked: str | None = None, *, good: Collection[str] = ()
) -> Measured:
    """Return what is compared.

    Only the true classes of the test parts decide, no answer does:

    - balanced accuracy where the largest class has more than three times the test parts of the
      smallest judgeable one;
    - detection where fewer than two classes can be judged, but two sides can: good parts against
      all others, or, where no class is known to be good, the largest class against all others;
    - accuracy otherwise.

    Raises:
        InputError: The plan asks for something else, or for detection where one side is empty.
    """
    if asked is not None and asked not in WHAT:
        raise InputError(f"plan: measure '{asked}' is unknown; expected {', '.join(WHAT)}.")
    one = next(iter(next(iter(trained.scores.values())).values()))
    counts = np.bincount(one.target, minlength=len(one.classes))
    side = tuple(c for c in one.classes if c in good) or (one.classes[int(counts.argmax())],)
    here = int(sum(counts[one.classes.index(name)] for name in side))
    there = int(counts.sum()) - here
    if asked == "detection" and not (here and there):
        raise InputError(f"plan: measure 'detection' needs test parts beside {', '.join(side)}.")
    if asked is not None:
        return Measured(asked, side=side if asked == "detection" else ())
    able = [i for i, count in enumerate(counts) if count >= TOO_FEW]
    if len(able) < 2:
        two = len(one.classes) > 2 and min(here, there) >= TOO_FEW
        return Measured("detection", side=side) if two else Measured("accuracy")
    if counts.max() <= SKEWED * counts[able].min():
        return Measured("accuracy")
    smallest = able[int(np.argmin(counts[able]))]
    skew = one.classes[int(counts.argmax())], one.classes[smallest]
    return Measured("balanced_accuracy", skew=skew)


def scores_by(measured: Measured, trained: Trained) -> Scores:
    """Return the scores on test parts as a measure sees them: of detection those of two classes."""
    if measured.name != "detection":
        return trained.scores
    return {
        (mode, labels): {
            name: part_scores(
                two_sides(table, measured.side), policy=name, mode=mode, labels=labels
            )
            for name, table in of_policy.items()
        }
        for (mode, labels), of_policy in trained.test.items()
    }


def classes_of(trained: Trained, data: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the classes: as given, or those with a column of probabilities, or that are shown."""
    if data.get("classes"):
        return tuple(str(name) for name in data["classes"])
    table = next(iter(next(iter(trained.test.values())).values()))
    named = [str(n).removeprefix("p_") for n in table.columns if str(n).startswith("p_")]
    return tuple(named or sorted(table["target"].astype(str).unique()))


def _gains(by_cell: Scores, measure: str, roles: Roles) -> dict[Question, dict[str, Effect]]:
    found: dict[Question, dict[str, Effect]] = {}
    for where, scores in by_cell.items():
        found[where] = {}
        if roles.baseline in scores:
            seeds = set(scores[roles.baseline].seeds)
            able = {name: one for name, one in scores.items() if seeds & set(one.seeds)}
            compared = compare_all(able, baseline=roles.baseline, measure=measure)
            found[where] = {effect.policy: effect for effect in compared}
    return found


def _verdicts(
    by_cell: Scores,
    costs: Mapping[Question, Mapping[str, Cost]],
    measure: str,
    roles: Roles,
    limits: Limits | None,
) -> dict[Question, Verdict]:
    """Judge every mode and budget that has plain training and a learned policy."""
    found = {}
    for where, scores in by_cell.items():
        if roles.baseline not in scores:
            continue
        seeds = set(scores[roles.baseline].seeds)
        shared = {name: one for name, one in scores.items() if seeds & set(one.seeds)}
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
