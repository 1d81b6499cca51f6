"""The tidy tables of a study, and the seeds x parts tables that statistics are made of.

`outcomes` has one row for each judged photo of each finished cell:

| column | holds |
|---|---|
| policy | name of the policy |
| seed | int |
| labels | int: labelled training photos, the budget |
| mode | "supervised" or "self-supervised" |
| group | the independent part that the photo shows |
| target, predicted | names of classes |
| defective | optional: probability in [0, 1] that the photo shows a defect |

`cells` has one row for each finished cell: policy, seed, labels, mode, seconds, steps, and alive
(True, False, or missing for a policy without a Mixer).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from samix.errors import InputError
from samix.study.statistics.intervals import Floats, Squares, crossed_squares

Ints = NDArray[np.int64]
Question = tuple[str, int]  # mode and labels

CELL = ("policy", "seed", "labels", "mode")
OUTCOMES = (*CELL, "group", "target", "predicted")
CELLS = (*CELL, "seconds", "steps", "alive")
MODES = ("supervised", "self-supervised")
JUDGED = ("accuracy", "balanced_accuracy", "detection")  # measures of a verdict
MEASURES = "'accuracy', 'balanced_accuracy', 'detection' or 'recall:CLASS'"


@dataclass(frozen=True)
class PartScores:
    """How well each part was judged at each seed. A unit is what a part shows of one class.

    Attributes:
        right: (S, U) in [0, 1]: share of a unit's photos that were judged right.
        photos: (U,) number of photos.
        part: (U,) position in `parts`.
        target: (U,) position in `classes`.
        seeds: S seeds.
        parts: G names of independent parts.
        classes: Names of the classes that the parts show.
    """

    right: Floats
    photos: Ints
    part: Ints
    target: Ints
    seeds: tuple[int, ...]
    parts: tuple[str, ...]
    classes: tuple[str, ...]

    def at(self, seeds: Sequence[int]) -> PartScores:
        """Return the scores of some seeds, in this order."""
        rows = [self.seeds.index(seed) for seed in seeds]
        return PartScores(
            self.right[rows], self.photos, self.part, self.target, tuple(seeds), self.parts,
            self.classes,
        )  # fmt: skip


def part_scores(outcomes: pd.DataFrame, *, policy: str, mode: str, labels: int) -> PartScores:
    """Return the scores of one policy at one budget.

    Raises:
        InputError: A column is missing, the policy has no such cell, or its seeds were tested on
            different parts or photos.
    """
    cell = chosen(outcomes, policy=policy, mode=mode, labels=labels)
    right = (cell["target"] == cell["predicted"]).astype(float)
    keys = [cell["seed"], cell["group"].astype(str), cell["target"].astype(str)]
    grouped = right.groupby(keys)
    share = grouped.mean().unstack(0)
    count = grouped.size().unstack(0)
    differs = count.isna().any(axis=None) or bool((count.nunique(axis=1) != 1).any())
    if differs:
        raise InputError(
            f"The seeds of policy '{policy}' ({mode}, {labels} labels) were tested on different "
            "photos; use the same test part of one split at every seed."
        )
    part, parts = pd.factorize(share.index.get_level_values(0), sort=True)
    target, classes = pd.factorize(share.index.get_level_values(1), sort=True)
    return PartScores(
        right=share.to_numpy(dtype=float).T,
        photos=count.iloc[:, 0].to_numpy(dtype=np.int64),
        part=part.astype(np.int64),
        target=target.astype(np.int64),
        seeds=tuple(int(seed) for seed in share.columns),
        parts=tuple(str(name) for name in parts),
        classes=tuple(str(name) for name in classes),
    )


def chosen(outcomes: pd.DataFrame, *, policy: str, mode: str, labels: int) -> pd.DataFrame:
    """Return the rows of one policy, mode and budget; InputError where something is missing."""
    require(outcomes, OUTCOMES, "outcomes")
    at = (outcomes["mode"] == mode) & (outcomes["labels"] == labels)
    rows = outcomes[at & (outcomes["policy"] == policy)]
    if not len(rows):
        there = ", ".join(sorted(f"'{name}'" for name in outcomes["policy"][at].unique())) or "none"
        raise InputError(
            f"There are no outcomes of policy '{policy}' ({mode}, {labels} labels); those with "
            f"outcomes are {there}."
        )
    empty = [name for name in OUTCOMES if rows[name].isna().any()]
    if empty:
        raise InputError(
            f"Column '{empty[0]}' of the outcomes of policy '{policy}' has rows without a value; "
            "remove the cell or run it again."
        )
    return rows


def two_sides(outcomes: pd.DataFrame, side: Sequence[str]) -> pd.DataFrame:
    """Return outcomes with two classes: some of them together, and all others together.

    Args:
        outcomes: Rows with target and predicted.
        side: Names of the classes of one side.
    """
    one = ", ".join(side)
    names = {True: one, False: f"not {one}"}
    sides = {name: outcomes[name].isin(list(side)).map(names) for name in ("target", "predicted")}
    return outcomes.assign(**sides)


def require(frame: pd.DataFrame, columns: Sequence[str], what: str) -> None:
    """Refuse a table that lacks a column."""
    lacking = [name for name in columns if name not in frame.columns]
    if lacking:
        raise InputError(
            f"The table of {what} has no column '{lacking[0]}'; expected {', '.join(columns)}."
        )


def paired(one: PartScores, other: PartScores) -> tuple[PartScores, PartScores]:
    """Return both at the seeds that they share; InputError where their parts differ."""
    shared = [seed for seed in one.seeds if seed in other.seeds]
    if not shared:
        raise InputError(
            f"Two policies share no seed ({list(one.seeds)} and {list(other.seeds)}); run both "
            "with the same seeds."
        )
    same = (one.parts, one.classes) == (other.parts, other.classes) and all(
        np.array_equal(getattr(one, name), getattr(other, name))
        for name in ("photos", "part", "target")
    )
    if not same:
        raise InputError(
            "Two policies were tested on different photos; compare those of one split only."
        )
    return one.at(shared), other.at(shared)


def weights(scores: PartScores, measure: str) -> tuple[Floats, Ints]:
    """Return the weight of each unit in a measure, and the class within which units are compared.

    Returns:
        (U,) weights that sum to 1, and (U,) strata: 0 everywhere for accuracy and a recall. A unit
        with weight 0 takes no part. Detection is the balanced accuracy of the two classes that
        :func:`two_sides` leaves.

    Raises:
        InputError: Unknown measure or class.
    """
    count = len(scores.photos)
    whole = np.bincount(scores.part, weights=scores.photos)
    zeros = np.zeros(count, dtype=np.int64)
    if measure == "accuracy":
        return scores.photos / whole[scores.part] / len(whole), zeros
    if measure == "detection" and len(scores.classes) != 2:
        raise InputError(
            f"Detection is measured between two classes, got {len(scores.classes)}; put the rest "
            "together with samix.study.two_sides."
        )
    if measure in ("balanced_accuracy", "detection"):
        of_class = np.bincount(scores.target)
        return 1.0 / of_class[scores.target] / len(of_class), scores.target
    name = measure.removeprefix("recall:")
    if name == measure:
        raise InputError(f"Measure '{measure}' is unknown; expected {MEASURES}.")
    if name not in scores.classes:
        raise InputError(
            f"No test part shows class '{name}'; those shown are {', '.join(scores.classes)}."
        )
    mine = scores.target == scores.classes.index(name)
    return mine / mine.sum(), zeros


@dataclass(frozen=True)
class Weighing:
    """How a measure weighs the units of a test, of parts compared within their stratum."""

    used: NDArray[np.bool_]  # (U,) units that take part
    part: Ints  # of each unit that does, from 0
    weight: Floats  # of each, see :func:`weights`
    stratum: Ints  # of each, from 0

    @classmethod
    def of(cls, scores: PartScores, measure: str) -> Weighing:
        """Return that of a measure; see :func:`weights`."""
        weight, stratum = weights(scores, measure)
        used = weight > 0
        part, stratum = (
            np.unique(of_unit[used], return_inverse=True)[1] for of_unit in (scores.part, stratum)
        )
        return cls(used, part, weight[used], stratum)

    def table(self, values: Floats) -> Floats:
        """Return (S,G) what the parts add to the weighted mean of (S,U) values; linear in them."""
        values = values[:, self.used]
        mean = self.weight * values.mean(axis=0)
        total = np.bincount(self.stratum, weights=self.weight)
        centre = np.bincount(self.stratum, weights=mean) / total
        moved = (values - centre[self.stratum]) * self.weight
        table = np.stack([np.bincount(self.part, weights=row) for row in moved])
        return np.asarray(mean.sum() + table.shape[1] * table, dtype=np.float64)

    def squares(self, table: Floats) -> Squares:
        """Return the mean squares of such a table.

        The variance is never less than if one part of each stratum had differed by 1, so that a
        table without differences has no interval of width 0.
        """
        largest = np.zeros(int(self.stratum.max()) + 1)
        np.maximum.at(largest, self.stratum, self.weight)
        return crossed_squares(table, strata=len(largest), floor=float((largest**2).sum()))
