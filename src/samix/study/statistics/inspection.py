"""Good against defective: what escapes, what is rejected without need, and what both cost.

A part is rejected where any of its photos is at least as probably defective as the threshold, and
it is defective where any of its photos shows a defect.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special

from samix.data.health import TOO_FEW
from samix.errors import InputError
from samix.study.statistics.intervals import Floats, crossed_squares, error_of, t_quantile
from samix.study.statistics.tables import PartScores, chosen, part_scores


@dataclass(frozen=True)
class Prices:
    """What wrong decisions cost, in any currency.

    Attributes:
        escape: A defective part that is passed as good.
        overkill: A good part that is rejected.
        defect_share: Share of defective parts on the line; None is the share in the test.
    """

    escape: float = 10.0
    overkill: float = 1.0
    defect_share: float | None = None

    def __post_init__(self) -> None:
        if not (0 <= self.escape < math.inf and 0 <= self.overkill < math.inf):
            raise InputError(
                f"Prices must be numbers of 0 or more, got {self.escape} for an escape and "
                f"{self.overkill} for overkill."
            )
        if self.defect_share is not None and not 0 <= self.defect_share <= 1:
            raise InputError(
                f"The share of defective parts must be in 0 to 1, got {self.defect_share}."
            )


@dataclass(frozen=True)
class PartProbabilities:
    """How probably each part is defective, at each seed.

    Attributes:
        probability: (S, G) in [0, 1].
        defective: (G,) the truth.
        seeds: S seeds.
        parts: G names.
    """

    probability: Floats
    defective: NDArray[np.bool_]
    seeds: tuple[int, ...]
    parts: tuple[str, ...]


@dataclass(frozen=True)
class Inspection:
    """What a threshold does.

    Attributes:
        escape: Share of the defective parts that were passed as good.
        overkill: Share of the good parts that were rejected.
        cost: Per 1,000 parts, in the currency of the prices; NaN without parts of both kinds.
        cost_low: Lower end of its interval.
        cost_high: Upper end.
        thresholds: By seed.
        unseen: What it would cost, per 1,000 parts, to reject every part, and to pass every part,
            without looking at any.
        defect_share: Of the parts that the costs are about.
    """

    escape: Rate
    overkill: Rate
    cost: float
    cost_low: float
    cost_high: float
    thresholds: Mapping[int, float]
    unseen: tuple[float, float]
    defect_share: float


def part_probabilities(
    outcomes: pd.DataFrame, *, policy: str, mode: str, labels: int, good: Collection[str]
) -> PartProbabilities:
    """Return the probabilities of the parts of one policy at one budget.

    Args:
        outcomes: With column `defective`, or one column `p_CLASS` for each good class.
        policy: The policy.
        mode: "supervised" or "self-supervised".
        labels: The budget.
        good: Names of the classes that are good parts.

    Raises:
        InputError: Probabilities are missing or out of range, or seeds were tested on different
            parts.
    """
    if not good:
        raise InputError("Expected the name of at least one class of good parts, got none.")
    rows = chosen(outcomes, policy=policy, mode=mode, labels=labels)
    probability = _probability(rows, good)
    bad = ~rows["target"].isin(list(good))
    keys = [rows["seed"], rows["group"].astype(str)]
    table = probability.groupby(keys).max().unstack(0)
    if table.isna().any(axis=None):
        raise InputError(f"The seeds of policy '{policy}' were tested on different parts.")
    truth = bad.groupby(rows["group"].astype(str)).any()
    return PartProbabilities(
        probability=table.to_numpy(dtype=float).T,
        defective=truth.loc[table.index].to_numpy(dtype=bool),
        seeds=tuple(int(seed) for seed in table.columns),
        parts=tuple(str(name) for name in table.index),
    )


def best_thresholds(validation: PartProbabilities, prices: Prices) -> dict[int, float]:
    """Return the cheapest threshold of each seed, on parts that are not the test.

    Halfway between the two probabilities where the cost is least; of several, the lowest, which
    lets the fewest escape. 0 rejects every part; a value above 1 passes every part.

    Raises:
        InputError: The parts to choose by are all good or all defective.
    """
    if validation.defective.all() or not validation.defective.any():
        kind = "good" if validation.defective.all() else "defective"
        raise InputError(
            f"The validation part has no {kind} part to choose a threshold by; give a threshold."
        )
    return {
        seed: _cheapest(row, validation.defective, prices)
        for seed, row in zip(validation.seeds, validation.probability, strict=True)
    }


def inspect(
    test: PartProbabilities,
    thresholds: float | Mapping[int, float],
    prices: Prices | None = None,
    confidence: float = 0.95,
) -> Inspection:
    """Return escape rate, overkill rate and cost on test parts.

    The interval of the cost joins those of the two rates (Zou and Donner 2008), which come from
    different parts.

    Args:
        test: The test parts.
        thresholds: One for all seeds, or one for each.
        prices: What wrong decisions cost; None is the default of :class:`Prices`.
        confidence: Of the intervals.

    Raises:
        InputError: A seed has no threshold.
    """
    prices = prices or Prices()
    if not isinstance(thresholds, Mapping):
        thresholds = {seed: float(thresholds) for seed in test.seeds}
    lacking = [seed for seed in test.seeds if seed not in thresholds]
    if lacking:
        raise InputError(f"There is no threshold for seed {lacking[0]}.")
    limit = np.array([thresholds[seed] for seed in test.seeds])
    rejected = (test.probability >= limit[:, None]).astype(float)
    escape = rate(1 - rejected[:, test.defective], confidence)
    overkill = rate(rejected[:, ~test.defective], confidence)
    share = _defect_share(test.defective, prices)
    terms = (
        (1000 * share * prices.escape, escape),
        (1000 * (1 - share) * prices.overkill, overkill),
    )
    cost = sum(weight * one.share for weight, one in terms)
    below = math.hypot(*(weight * (one.share - one.low) for weight, one in terms))
    above = math.hypot(*(weight * (one.high - one.share) for weight, one in terms))
    return Inspection(
        escape, overkill, cost, max(cost - below, 0.0), cost + above, dict(thresholds),
        unseen=(terms[1][0], terms[0][0]), defect_share=share,
    )  # fmt: skip


def _probability(rows: pd.DataFrame, good: Collection[str]) -> pd.Series[float]:
    if "defective" in rows.columns:
        found = rows["defective"].astype(float)
    else:
        names = [f"p_{name}" for name in good]
        lacking = [name for name in names if name not in rows.columns]
        if lacking:
            raise InputError(
                f"The table of outcomes has neither column 'defective' nor '{lacking[0]}'; one of "
                "them is needed for escape and overkill rates."
            )
        found = (1 - rows[names].sum(axis=1, skipna=False)).clip(lower=0.0)
    if not found.between(0.0, 1.0).all():
        raise InputError(
            "A probability of a defect is missing or not in 0 to 1; run the cell again."
        )
    return found


def _defect_share(defective: NDArray[np.bool_], prices: Prices) -> float:
    return float(defective.mean()) if prices.defect_share is None else prices.defect_share


def _cheapest(row: Floats, defective: NDArray[np.bool_], prices: Prices) -> float:
    share = _defect_share(defective, prices)
    levels = np.unique(row)
    limits = np.concatenate([[0.0], (levels[1:] + levels[:-1]) / 2, [np.nextafter(1.0, 2.0)]])
    bad, fine = np.sort(row[defective]), np.sort(row[~defective])
    escape = np.searchsorted(bad, limits, side="left") / len(bad)
    overkill = 1 - np.searchsorted(fine, limits, side="left") / len(fine)
    cost = share * prices.escape * escape + (1 - share) * prices.overkill * overkill
    return float(limits[int(np.flatnonzero(cost <= cost.min() + 1e-12)[0])])


@dataclass(frozen=True)
class Rate:
    """A share with its interval over new seeds and new parts, all in [0, 1].

    Attributes:
        share: Mean over seeds and parts; NaN without parts.
        low: Lower end.
        high: Upper end.
        parts: Independent parts that it was measured on.
    """

    share: float
    low: float
    high: float
    parts: int


@dataclass(frozen=True)
class ClassRecall:
    """The recall of one class.

    Attributes:
        name: The class.
        recall: Share of its parts that were judged right.
        least: Independent test parts below which it is not judgeable.
    """

    name: str
    recall: Rate
    least: int

    @property
    def judgeable(self) -> bool:
        """There are enough parts to say anything."""
        return self.recall.parts >= self.least


def rate(values: Floats, confidence: float = 0.95) -> Rate:
    """Return a mean share of values (S, G) in [0, 1] and its interval.

    Clopper and Pearson's interval for as many independent parts as would give the same variance, at
    most as many as there are (Korn and Graubard 1998). It stays in [0, 1], and 0 of 20 is not taken
    for 0.
    """
    parts = values.shape[1]
    if not parts:
        return Rate(math.nan, 0.0, 1.0, 0)
    share = float(values.mean())
    size = float(parts)
    variance, df = error_of(crossed_squares(values))
    if variance > 0 and 0 < share < 1:
        tail = 0.5 + confidence / 2
        wider = t_quantile(tail, parts - 1.0) / t_quantile(tail, df)
        alone = share * (1 - share) / max(parts - 1, 1)  # as many single answers would have this
        size = min(parts * alone / variance * wider**2, size)
    tail = (1 - confidence) / 2
    wrong, right = size * (1 - share), size * share
    low = float(special.betaincinv(right, wrong + 1, tail)) if right > 0 else 0.0
    high = float(special.betaincinv(right + 1, wrong, 1 - tail)) if wrong > 0 else 1.0
    return Rate(share, low, high, parts)


def class_recalls(
    outcomes: pd.DataFrame,
    *,
    policy: str,
    mode: str,
    labels: int,
    classes: Sequence[str] | None = None,
    least: int = TOO_FEW,
) -> tuple[ClassRecall, ...]:
    """Return the recall of each class, the rarest first.

    Args:
        outcomes: See :mod:`samix.study.statistics.tables`.
        policy: The policy.
        mode: "supervised" or "self-supervised".
        labels: The budget.
        classes: All classes, so that one without test parts is named; None is those that are shown.
        least: Independent test parts below which a class is not judgeable.

    Raises:
        InputError: See :func:`samix.study.statistics.tables.part_scores`.
    """
    scores = part_scores(outcomes, policy=policy, mode=mode, labels=labels)
    return recalls_of(scores, classes, least)


def recalls_of(
    scores: PartScores, classes: Sequence[str] | None = None, least: int = TOO_FEW
) -> tuple[ClassRecall, ...]:
    """Return the recall of each class; see :func:`class_recalls`."""
    found = []
    for name in dict.fromkeys((*(classes or ()), *scores.classes)):
        at = scores.classes.index(name) if name in scores.classes else -1
        result = rate(scores.right[:, scores.target == at])
        found.append(ClassRecall(name, result, least))
    return tuple(sorted(found, key=lambda one: one.recall.parts))


def rarest_judgeable(recalls: Sequence[ClassRecall]) -> ClassRecall | None:
    """Return the class with the fewest parts that can still be judged, or None."""
    able = [one for one in recalls if one.judgeable]
    return min(able, key=lambda one: one.recall.parts, default=None)
