"""Shares of parts, such as a recall or an escape rate, and the rarest class that can be judged."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import special

from samix.data.health import TOO_FEW

from .crossed import Floats, crossed_squares, error_of, t_quantile
from .tables import PartScores, part_scores
from .words import NOTHING, Words


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
        judgeable: Whether there are enough parts to say anything.
        why: Why not; empty where it is judgeable.
    """

    name: str
    recall: Rate
    judgeable: bool
    why: Words


def rate(values: Floats, confidence: float = 0.95) -> Rate:
    """Return a mean share and its interval.

    Clopper and Pearson's interval for as many independent parts as would give the same variance, at
    most as many as there are (Korn and Graubard 1998). It stays in [0, 1], and 0 of 20 is not taken
    for 0.

    Args:
        values: (S, G) in [0, 1].
        confidence: Of the interval.
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
        outcomes: See :mod:`samix.study.tables`.
        policy: The policy.
        mode: "supervised" or "self-supervised".
        labels: The budget.
        classes: All classes, so that one without test parts is named; None is those that are shown.
        least: Independent test parts below which a class is not judgeable.

    Raises:
        InputError: See :func:`samix.study.tables.part_scores`.
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
        found.append(ClassRecall(name, result, result.parts >= least, _why(name, result, least)))
    return tuple(sorted(found, key=lambda one: one.recall.parts))


def rarest_judgeable(recalls: Sequence[ClassRecall]) -> ClassRecall | None:
    """Return the class with the fewest parts that can still be judged, or None."""
    able = [one for one in recalls if one.judgeable]
    return min(able, key=lambda one: one.recall.parts, default=None)


def _why(name: str, result: Rate, least: int) -> Words:
    if result.parts >= least:
        return NOTHING
    if not result.parts:
        return Words(f"No test part shows '{name}'.", f"クラス '{name}' のテスト個体がありません。")
    count = result.parts
    there = "is 1 independent test part" if count == 1 else f"are {count} independent test parts"
    low, high = np.floor(100 * result.low), np.ceil(100 * result.high)
    return Words(
        f"There {there} of '{name}', fewer than {least}: its recall may be anything from "
        f"{low:.0f} to {high:.0f} %.",
        f"クラス '{name}' の独立したテスト個体は {count} 個で、{least} 個に満たないため判定不能"
        f"です: 再現率は {low:.0f}〜{high:.0f} % のどれでもあり得ます。",
    )
