"""Differences of policies from a baseline, on the same seeds and the same independent parts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from scipy import special

from samix.study.statistics.intervals import Interval, Squares, crossed_interval
from samix.study.statistics.looks import Looks
from samix.study.statistics.tables import (
    PartScores,
    Weighing,
    chosen,
    paired,
    part_scores,
    require,
    weights,
)

# Probability below which a comparison's spread over seeds is not that of the others. A study makes
# about ten: at 0.05 every third study had one by chance alone, with 2 degrees of freedom.
UNEQUAL = 0.01


@dataclass(frozen=True)
class Reason:
    """A code with the numbers that a sentence about it needs; the words are found elsewhere."""

    code: str  # what there is to say, such as "risk-one-seed"
    # numbers, names, effects and further reasons
    values: Mapping[str, Any] = field(default_factory=dict)


def reason(code: str, **values: Any) -> Reason:
    """Return a code with its numbers."""
    return Reason(code, values)


@dataclass(frozen=True)
class Effect:
    """A policy minus a baseline. Points are percentage points.

    Attributes:
        policy: The policy.
        baseline: What it is compared with.
        measure: "accuracy", "balanced_accuracy", "detection" (of outcomes from
            :func:`samix.study.two_sides`) or "recall:CLASS".
        points: The difference.
        low: Lower end of its interval, over new seeds and new parts.
        high: Upper end.
        error: Standard error in points; infinite where nothing can be said.
        p: Two-sided p-value of no difference.
        p_holm: The same after Holm's correction over all effects that were computed together.
        seeds: Seeds that both have.
        parts: Independent test parts that count in the measure.
        df: Degrees of freedom of the t distribution.
        squares: What the interval is made of, in shares.
        notes: What these numbers cannot tell.
    """

    policy: str
    baseline: str
    measure: str
    points: float
    low: float
    high: float
    error: float
    p: float
    p_holm: float
    seeds: int
    parts: int
    df: float
    squares: Squares
    notes: tuple[Reason, ...] = ()

    @property
    def avoided(self) -> tuple[float, float, float]:
        """Errors avoided per 1,000 parts: estimate, low, high; negative where there are more.

        Parts as in the test for accuracy, as many of each class for balanced accuracy, and parts of
        the class for a recall.
        """
        return 10 * self.points, 10 * self.low, 10 * self.high

    @property
    def better(self) -> bool:
        """The policy is proven better, among all effects that were computed together."""
        return self.p_holm < 0.05 and self.points > 0

    @property
    def p_better(self) -> float:
        """One-sided p-value of no gain, without a correction."""
        return self.p / 2 if self.points > 0 else 1 - self.p / 2

    @property
    def worse(self) -> bool:
        """The policy is proven worse, among all effects that were computed together."""
        return self.p_holm < 0.05 and self.points < 0


def effects(
    outcomes: pd.DataFrame,
    *,
    mode: str,
    labels: int,
    baseline: str = "none",
    measure: str = "accuracy",
    policies: Sequence[str] | None = None,
    confidence: float = 0.95,
) -> tuple[Effect, ...]:
    """Compare policies with a baseline, and correct over all of them.

    Args:
        outcomes: See :mod:`samix.study.statistics.tables`.
        mode: "supervised" or "self-supervised".
        labels: The budget.
        baseline: What the others are compared with.
        measure: See :class:`Effect`.
        policies: Which ones; None is all that have outcomes there.
        confidence: Of each interval alone; Holm's correction is in `p_holm`.

    Raises:
        InputError: A column or cell is missing, or the policies were tested on different parts.
    """
    require(outcomes, ("policy", "mode", "labels"), "outcomes")
    at = (outcomes["mode"] == mode) & (outcomes["labels"] == labels)
    if policies is None:
        policies = [name for name in outcomes["policy"][at].unique() if name != baseline]
    chosen(outcomes, policy=baseline, mode=mode, labels=labels)
    scores = {
        name: part_scores(outcomes, policy=name, mode=mode, labels=labels)
        for name in (baseline, *policies)
    }
    return compare_all(scores, baseline=baseline, measure=measure, confidence=confidence)


def compare_all(
    scores: Mapping[str, PartScores],
    *,
    baseline: str,
    measure: str = "accuracy",
    confidence: float = 0.95,
    looks: Looks | None = None,
) -> tuple[Effect, ...]:
    """Compare all policies with one of them; see :func:`effects` and :func:`compare`."""
    pool = seed_spread(scores, measure)
    found = [
        compare(
            name, baseline, scores, measure=measure, pool=pool, confidence=confidence, looks=looks
        )
        for name in scores
        if name != baseline
    ]
    corrected = holm([effect.p for effect in found])
    return tuple(replace(e, p_holm=p) for e, p in zip(found, corrected, strict=True))


def compare(
    policy: str,
    baseline: str,
    scores: Mapping[str, PartScores],
    *,
    measure: str = "accuracy",
    pool: tuple[float, int] | None = None,
    confidence: float = 0.95,
    looks: Looks | None = None,
) -> Effect:
    """Compare one policy with another, without a correction for the number of policies.

    Without the ``pool`` of :func:`seed_spread` the two policies alone count. With ``looks``, the
    share of the error of each look at a study that may stop early, by seeds, the p-value is that of
    all looks so far; None is one look at the end.
    """
    shared = [seed for seed in scores[policy].seeds if seed in scores[baseline].seeds]
    if looks and len(shared) >= min(looks):
        return across(looks, [
            _at_look(shared[:seeds], policy, baseline, scores, measure, confidence)
            for seeds in sorted(looks) if seeds <= len(shared)
        ])  # fmt: skip
    one, other = paired(scores[policy], scores[baseline])
    weighing = Weighing.of(one, measure)
    squares = pooled(weighing.squares(weighing.table(one.right - other.right)), pool)
    interval = crossed_interval(squares, confidence)
    return Effect(
        policy, baseline, measure, 100 * interval.estimate, 100 * interval.low, 100 * interval.high,
        100 * interval.error, interval.p, interval.p, squares.seeds, squares.parts, interval.df,
        squares, _notes(squares, len(scores[policy].seeds), len(scores[baseline].seeds)),
    )  # fmt: skip


def across(looks: Looks, found: Sequence[Effect]) -> Effect:
    """Return the last effect with the p-value of all looks so far.

    Looks whose estimate has another sign than the last one are passed over, which can only make the
    p-value larger.
    """
    last = found[-1]
    same = [one for one in found if (one.points > 0) == (last.points > 0)]
    p = min(1.0, *(one.p / looks[one.seeds] for one in same))
    return replace(last, p=p, p_holm=p)


def _at_look(
    seeds: Sequence[int],
    policy: str,
    baseline: str,
    scores: Mapping[str, PartScores],
    measure: str,
    confidence: float,
) -> Effect:
    """Compare two policies as they were after so many seeds."""
    here = {n: one.at(seeds) for n, one in scores.items() if set(seeds) <= set(one.seeds)}
    pool = seed_spread(here, measure)
    return compare(policy, baseline, here, measure=measure, pool=pool, confidence=confidence)


def seed_spread(scores: Mapping[str, PartScores], measure: str) -> tuple[float, int] | None:
    """Return the variance of one policy at one seed, from all policies together.

    The interaction of seeds and policies of a two-way table: what the seeds do to all policies
    alike falls out of a difference. Three seeds alone have 2 degrees of freedom; with six policies
    they have 10.

    A policy whose answers are the same at every seed, such as a head on frozen features with all
    labels, tells nothing about that and is left out.

    The variance, in shares, contains the chance of the test parts at one seed; its degrees of
    freedom come with it. None with fewer than two seeds or three policies: there is nothing to
    pool.
    """
    kept = [
        one for one in scores.values() if len(one.seeds) == 1 or np.ptp(one.right, axis=0).any()
    ]
    if not kept:
        return None
    shared = [seed for seed in kept[0].seeds if all(seed in other.seeds for other in kept)]
    if len(shared) < 2 or len(kept) < 3:
        return None
    rows = np.stack(
        [one.at(shared).right @ weights(one, measure)[0] for one in kept]
    )  # (policies, seeds)
    rest = rows - rows.mean(axis=0) - rows.mean(axis=1, keepdims=True) + rows.mean()
    df = (len(kept) - 1) * (len(shared) - 1)
    return float((rest**2).sum()) / df, df


def pooled(squares: Squares, pool: tuple[float, int] | None) -> Squares:
    """Return the squares with the seeds' spread of all policies, unless clearly larger here."""
    if pool is None or squares.seeds < 2 or pool[1] <= squares.seed_df:
        return squares
    common = 2 * pool[0] * squares.parts  # a difference has the variance of two policies
    if common > 0:
        ratio = squares.seed_square / common
        if special.fdtrc(squares.seed_df, pool[1], ratio) < UNEQUAL:
            return squares
    return replace(squares, seed_square=common, seed_df=float(pool[1]))


def holm(p_values: Sequence[float], shares: Sequence[float] | None = None) -> list[float]:
    """Return p-values corrected by Holm's step-down method, in the given order.

    In the order of ``p / share``; each is ``p / share`` times the sum of the shares that are left,
    never below an earlier one's, at most 1. All of them together are below alpha in at most alpha
    of the cases where nothing is true.

    Args:
        p_values: Of each test.
        shares: Of the error, of each; None is equal ones.
    """
    shares = shares or [1.0] * len(p_values)
    order = sorted(range(len(p_values)), key=lambda i: p_values[i] / shares[i])
    corrected, highest, left = [1.0] * len(p_values), 0.0, sum(shares)
    for i in order:
        highest = max(highest, min(1.0, p_values[i] / shares[i] * left))
        corrected[i] = highest
        left -= shares[i]
    return corrected


def _notes(squares: Squares, of_policy: int, of_baseline: int) -> tuple[Reason, ...]:
    notes = []
    if squares.seeds == 1:
        notes.append(reason("risk-one-seed"))
    if math.isnan(squares.part_square):
        notes.append(reason("risk-no-interval"))
    if max(of_policy, of_baseline) > squares.seeds:
        seen = {"seeds": squares.seeds, "of_policy": of_policy, "of_baseline": of_baseline}
        notes.append(reason("risk-shared-seeds", **seen))
    return tuple(notes)


def score_of(scores: PartScores, measure: str) -> Interval:
    """Return a policy's measure with its interval, cut to 0 to 1."""
    weighing = Weighing.of(scores, measure)
    found = crossed_interval(weighing.squares(weighing.table(scores.right)))
    return replace(found, low=max(found.low, 0.0), high=min(found.high, 1.0))


def guess_of(scores: PartScores, measure: str) -> float:
    """Return what it scores to say the most frequent class of the test parts every time."""
    weight, _ = weights(scores, measure)
    return float(np.bincount(scores.target, weights=weight).max())


def only_guesses(scores: PartScores, measure: str) -> bool:
    """Say whether a policy is not shown to be better than guessing."""
    return score_of(scores, measure).low <= guess_of(scores, measure)
