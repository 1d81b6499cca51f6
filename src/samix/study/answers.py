"""What the tables of a study answer: gains, verdicts, and the verdict that joins them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from samix.data.checking import TOO_FEW
from samix.errors import InputError

from .candidates import Cost, Limits, Roles, costs_of
from .consistency import Consistency, consistency
from .effects import Effect, compare_all
from .finding_rows import worth_of
from .labels import LabelEfficiency
from .overall import Overall, Question, overall_verdict, primary_question
from .tables import MODES
from .trained import Trained, gather
from .verdict import Verdict, weigh

SKEWED = 3.0  # times as many test parts of the largest class as of the smallest judgeable one
Gains = Mapping[Question, Mapping[str, Effect]]


@dataclass(frozen=True)
class Answers:
    """The answers of a study.

    Attributes:
        trained: Finished cells.
        roles: Which policy is what.
        classes: All classes.
        measure: What is compared.
        skew: Largest and smallest class, where they decided about the measure.
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
    measure: str
    skew: tuple[str, str] | None
    costs: Mapping[Question, Mapping[str, Cost]]
    gains: Gains
    verdicts: Mapping[Question, Verdict]
    overall: Overall
    worth: Mapping[Question, tuple[LabelEfficiency, ...]]
    agreement: Consistency | None

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
    roles: Roles,
    limits: Limits | None,
) -> Answers:
    """Judge a study; see :func:`samix.study.find`."""
    trained = gather(outcomes, cells)
    primary = primary_question(trained.planned, plan.get("primary"))
    if not trained.scores:
        raise InputError("No training of the study has finished: there is nothing to judge yet.")
    measure, skew = measure_of(trained, plan.get("measure"))
    costs = {
        (mode, labels): costs_of(trained.cells, mode=mode, labels=labels)
        for mode, labels in trained.scores
    }
    gains = _gains(trained, measure, roles)
    verdicts = _verdicts(trained, costs, measure, roles, limits)
    return Answers(
        trained=trained, roles=roles, classes=classes_of(trained, data), measure=measure, skew=skew,
        costs=costs, gains=gains, verdicts=verdicts,
        overall=overall_verdict(verdicts, primary, full=roles.full),
        worth=worth_of(trained, measure, roles), agreement=_agreement(gains, primary),
    )  # fmt: skip


def measure_of(trained: Trained, asked: str | None = None) -> tuple[str, tuple[str, str] | None]:
    """Return what is compared, and the largest and smallest class where that decided.

    Accuracy, or balanced accuracy where the largest class has more than three times the test parts
    of the smallest judgeable one. Only the true classes of the test parts decide, no answer does.

    Raises:
        InputError: The plan asks for something else.
    """
    if asked is not None:
        if asked not in ("accuracy", "balanced_accuracy"):
            raise InputError(
                f"plan: measure '{asked}' is unknown; expected accuracy or balanced_accuracy."
            )
        return asked, None
    one = next(iter(next(iter(trained.scores.values())).values()))
    counts = np.bincount(one.target, minlength=len(one.classes))
    able = [i for i, count in enumerate(counts) if count >= TOO_FEW]
    if len(able) < 2 or counts.max() <= SKEWED * counts[able].min():
        return "accuracy", None
    smallest = able[int(np.argmin(counts[able]))]
    return "balanced_accuracy", (one.classes[int(counts.argmax())], one.classes[smallest])


def classes_of(trained: Trained, data: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the classes: as given, or those with a column of probabilities, or that are shown."""
    if data.get("classes"):
        return tuple(str(name) for name in data["classes"])
    table = next(iter(next(iter(trained.test.values())).values()))
    named = [str(n).removeprefix("p_") for n in table.columns if str(n).startswith("p_")]
    return tuple(named or sorted(table["target"].astype(str).unique()))


def _gains(trained: Trained, measure: str, roles: Roles) -> dict[Question, dict[str, Effect]]:
    found: dict[Question, dict[str, Effect]] = {}
    for where, scores in trained.scores.items():
        found[where] = {}
        if roles.baseline in scores:
            seeds = set(scores[roles.baseline].seeds)
            able = {name: one for name, one in scores.items() if seeds & set(one.seeds)}
            compared = compare_all(able, baseline=roles.baseline, measure=measure)
            found[where] = {effect.policy: effect for effect in compared}
    return found


def _verdicts(
    trained: Trained,
    costs: Mapping[Question, Mapping[str, Cost]],
    measure: str,
    roles: Roles,
    limits: Limits | None,
) -> dict[Question, Verdict]:
    """Judge every mode and budget that has plain training and a learned policy."""
    found = {}
    for where, scores in trained.scores.items():
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
