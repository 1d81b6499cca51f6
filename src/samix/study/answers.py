"""What the tables of a study answer: gains, verdicts, and the verdict that joins them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from samix.errors import InputError

from .candidates import Cost, Limits, Roles, costs_of
from .consistency import Consistency, consistency
from .effects import Effect, compare_all
from .finding_rows import worth_of
from .labels import LabelEfficiency
from .measures import Measured, measure_of, scores_by
from .overall import Overall, Question, overall_verdict, primary_question
from .tables import MODES
from .trained import Scores, Trained, gather
from .verdict import Verdict, weigh

Gains = Mapping[Question, Mapping[str, Effect]]


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
    scores: Scores
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
    measured = measure_of(_test_parts(trained), plan.get("measure"), good=good)
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


def _test_parts(trained: Trained) -> dict[str, int]:
    """Return how many test parts show each class."""
    one = next(iter(next(iter(trained.scores.values())).values()))
    counts = np.bincount(one.target, minlength=len(one.classes))
    return dict(zip(one.classes, counts.tolist(), strict=True))


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
