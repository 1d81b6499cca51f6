"""How many labels a policy is worth: "samix with 100 labels equals none with 180 (120 to 260)"."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from sklearn.isotonic import IsotonicRegression

from samix.errors import InputError
from samix.study.statistics.intervals import Floats, Interval, crossed_interval
from samix.study.statistics.tables import (
    PartScores,
    Weighing,
    chosen,
    paired,
    part_scores,
    require,
)

STEPS = 100  # places of the curve that are tried for the ends of the interval


@dataclass(frozen=True)
class LabelEfficiency:
    """What a policy with some labels equals.

    Attributes:
        policy: The policy.
        baseline: What it is compared with.
        labels: Labels that the policy had.
        equal: Labels with which the baseline is as good; None outside the measured range.
        low: Lower end of the interval; None below the measured range.
        high: Upper end; None above it.
        measured: Fewest and most labels at which the baseline was measured.
        outside: "above" where the policy is better than the baseline with the most labels, "below"
            where it is worse than with the fewest.
        seeds: Seeds that both have.
        parts: Independent test parts.
    """

    policy: str
    baseline: str
    labels: int
    equal: float | None
    low: float | None
    high: float | None
    measured: tuple[int, int]
    outside: Literal["", "above", "below"]
    seeds: int
    parts: int


def label_efficiency(
    outcomes: pd.DataFrame,
    *,
    policy: str,
    labels: int,
    mode: str,
    baseline: str = "none",
    measure: str = "accuracy",
    confidence: float = 0.95,
) -> LabelEfficiency:
    """Return the labels with which the baseline is as good as a policy.

    Args:
        outcomes: See :mod:`samix.study.statistics.tables`.
        policy: The policy.
        labels: Its budget.
        mode: "supervised" or "self-supervised".
        baseline: Needs at least two budgets.
        measure: See :class:`samix.study.statistics.effects.Effect`.
        confidence: Of the interval.

    Raises:
        InputError: A cell is missing, or the baseline has one budget only.
    """
    require(outcomes, ("policy", "mode", "labels"), "outcomes")
    at = (outcomes["policy"] == baseline) & (outcomes["mode"] == mode)
    curve = {
        int(budget): part_scores(outcomes, policy=baseline, mode=mode, labels=budget)
        for budget in sorted(outcomes["labels"][at].unique())
    }
    chosen(outcomes, policy=policy, mode=mode, labels=labels)
    scores = part_scores(outcomes, policy=policy, mode=mode, labels=labels)
    return compare_with_curve(
        scores, curve, policy=policy, baseline=baseline, labels=labels, measure=measure,
        confidence=confidence,
    )  # fmt: skip


def compare_with_curve(
    scores: PartScores,
    curve: Mapping[int, PartScores],
    *,
    policy: str,
    baseline: str,
    labels: int,
    measure: str = "accuracy",
    confidence: float = 0.95,
) -> LabelEfficiency:
    """Compare scores with the baseline's curve; see :func:`label_efficiency`.

    The curve is the isotonic fit of the baseline's means, linear in the logarithm of the labels
    between budgets. The fit is an average of budgets, so it is taken of every seed and part, and
    the difference of the policy and the curve at x labels is a seeds x parts table. The interval
    holds every x where that difference is not proven (Fieller's way); on a flat piece the estimate
    is the fewest labels.
    """
    budgets = sorted(curve)
    if len(budgets) < 2 or budgets[0] < 1:
        raise InputError(
            f"'{baseline}' needs at least two budgets of labels for a curve, got {budgets}."
        )
    shared = [s for s in scores.seeds if all(s in curve[budget].seeds for budget in budgets)]
    if not shared:
        raise InputError(f"'{baseline}' and '{policy}' share no seed at all budgets.")
    scores = scores.at(shared)
    weighing = Weighing.of(scores, measure)
    rival = [paired(scores, curve[budget])[1].right for budget in budgets]
    own, *curves = (weighing.table(right) for right in (scores.right, *rival))
    places = np.log(budgets)
    means = np.array([table.mean() for table in curves])
    blocks = _blocks(places, means)
    tables = np.einsum("bc,csg->bsg", blocks, np.stack(curves))

    def against(x: float) -> Interval:
        at = min(max(int(np.searchsorted(places, x, side="right")) - 1, 0), len(places) - 2)
        part = (x - places[at]) / (places[at + 1] - places[at])
        there = (1 - part) * tables[at] + part * tables[at + 1]
        return crossed_interval(weighing.squares(own - there), confidence)

    tried = np.unique(np.concatenate([places, np.linspace(places[0], places[-1], STEPS)]))
    intervals = [against(float(x)) for x in tried]
    above = [i for i, one in enumerate(intervals) if one.low <= 0]  # not proven better from here on
    below = [i for i, one in enumerate(intervals) if one.high >= 0]
    low = None if above and above[0] == 0 else tried[above[0] if above else -1]
    high = None if below and below[-1] == len(tried) - 1 else tried[below[-1] if below else 0]
    outside, equal = _crossing(places, blocks @ means, float(own.mean()))
    return LabelEfficiency(
        policy, baseline, labels, equal, None if low is None else math.exp(low),
        None if high is None else math.exp(high), (budgets[0], budgets[-1]), outside, len(shared),
        len(scores.parts),
    )  # fmt: skip


def _crossing(
    places: Floats, fitted: Floats, own: float
) -> tuple[Literal["", "above", "below"], float | None]:
    """Return whether a score lies outside a rising curve, and where the curve first reaches it."""
    tiny = 1e-9
    if own > fitted[-1] + tiny:
        return "above", None
    if own < fitted[0] - tiny:
        return "below", None
    first = int(np.argmax(fitted >= own - tiny))
    if first == 0:
        return "", math.exp(places[0])
    part = (own - fitted[first - 1]) / (fitted[first] - fitted[first - 1])
    return "", math.exp(places[first - 1] + min(part, 1.0) * (places[first] - places[first - 1]))


def _blocks(places: Floats, means: Floats) -> Floats:
    """Return (B, B): the isotonic fit as averages of budgets."""
    fitted = IsotonicRegression().fit_transform(places, means)
    same = np.abs(fitted[:, None] - fitted[None, :]) < 1e-12
    return np.asarray(same / same.sum(axis=1, keepdims=True), dtype=np.float64)
