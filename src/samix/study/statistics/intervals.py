"""A mean over seeds and parts: its interval widens for few seeds and for few parts.

Each value of the table is ``mean + seed + part + rest``. Seeds and parts are both drawn from many,
so the variance of the mean is ``seed/S + part/G + rest/(S*G)``; it comes from the mean squares of
the two-way table, its degrees of freedom from Satterthwaite. With three seeds a percentile
bootstrap would give an interval that is too short, since it has three values to draw from.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special

from samix.errors import InputError

Floats = NDArray[np.float64]

# The mean square of the seeds contains that of the rest, which has many degrees of freedom. This
# share of it counts as known. By simulation at 3 seeds and 40 or 300 parts, whatever the three
# variances: coverage 91 to 99 %, mean 94. With all of it 88 to 97, with none 92 to 100.
KNOWN = 0.5


@dataclass(frozen=True)
class Squares:
    """The mean squares of a seeds x parts table."""

    estimate: float  # mean of the table
    seeds: int  # S
    parts: int  # G, independent test parts
    # mean square of the seeds; expectation ``rest + G * seed``. NaN with one seed
    seed_square: float
    # mean square of the parts; expectation ``rest + S * part``. NaN where it is unknown
    part_square: float
    rest_square: float  # what is left. NaN with one seed
    seed_df: float  # degrees of freedom of ``seed_square``; more than S - 1 where it was pooled
    part_df: float  # degrees of freedom of ``part_square``
    floor: float = 0.0  # least variance of the mean that is believed, whatever the table shows

    @property
    def seed_variance(self) -> float:
        """Variance of one seed around the mean; NaN with one seed."""
        if self.seeds < 2:
            return math.nan
        return max(self.seed_square - self.rest_square, 0.0) / self.parts

    @property
    def part_variance(self) -> float:
        """Variance of one part around the mean; with one seed the rest is in it."""
        rest = 0.0 if self.seeds < 2 else self.rest_square
        return max(self.part_square - rest, 0.0) / self.seeds

    @property
    def rest_variance(self) -> float:
        """Variance of one value around seed and part; 0 with one seed."""
        return 0.0 if self.seeds < 2 else self.rest_square


@dataclass(frozen=True)
class Interval:
    """A mean with its interval."""

    estimate: float  # the mean
    low: float  # lower end; -inf where nothing can be said
    high: float  # upper end; inf where nothing can be said
    error: float  # standard error
    df: float  # degrees of freedom of the t distribution
    p: float  # two-sided p-value of a mean of zero


def crossed_squares(values: Floats, *, strata: int = 1, floor: float = 0.0) -> Squares:
    """Return the mean squares of a table.

    Args:
        values: (S, G), S >= 1 and G >= 1, all finite.
        strata: Classes that the values were centred within; each takes one degree of freedom.
        floor: See :class:`Squares`.
    """
    seeds, parts = values.shape
    mean = float(values.mean())
    of_seed, of_part = values.mean(axis=1), values.mean(axis=0)
    part_df = float(parts - strata)
    part_sum = seeds * float(((of_part - mean) ** 2).sum())
    part_square = part_sum / part_df if part_df >= 1 else math.nan
    if seeds < 2:
        return Squares(mean, 1, parts, math.nan, part_square, math.nan, 0.0, part_df, floor)
    seed_square = parts * float(((of_seed - mean) ** 2).sum()) / (seeds - 1)
    rest = values - of_seed[:, None] - of_part[None, :] + mean
    rest_df = (seeds - 1) * part_df
    rest_square = float((rest**2).sum()) / rest_df if rest_df >= 1 else math.nan
    return Squares(
        mean, seeds, parts, seed_square, part_square, rest_square, float(seeds - 1), part_df, floor
    )


def crossed_interval(squares: Squares, confidence: float = 0.95) -> Interval:
    """Return the interval of the mean over new seeds and new parts.

    The mean square of the seeds is never taken to be less than that of the rest, which it contains;
    the part's own variance is never less than zero. With one seed the interval is about new parts
    alone; with too few parts it is unbounded.
    """
    variance, df = error_of(squares)
    if math.isnan(variance):
        return Interval(squares.estimate, -math.inf, math.inf, math.inf, 0.0, 1.0)
    error = math.sqrt(variance)
    half = t_quantile(0.5 + confidence / 2, df) * error
    if error == 0.0:
        p = 1.0 if squares.estimate == 0.0 else 0.0
    else:
        p = 2 * float(special.stdtr(df, -abs(squares.estimate) / error))
    return Interval(
        squares.estimate, squares.estimate - half, squares.estimate + half, error, df, p
    )


def error_of(squares: Squares) -> tuple[float, float]:
    """Return variance of the mean and its degrees of freedom; NaN and 0 with too few parts."""
    if math.isnan(squares.part_square):
        return math.nan, 0.0
    size = squares.seeds * squares.parts
    if squares.seeds < 2:
        return max(squares.part_square / size, squares.floor), squares.part_df
    rest_df = (squares.seeds - 1) * squares.part_df
    seed = max(squares.seed_square, squares.rest_square) / size
    part = max(squares.part_square - squares.rest_square, 0.0) / size
    known = KNOWN * squares.rest_square / size if squares.seed_df >= 2 else 0.0
    spread = (seed - known) ** 2 / squares.seed_df + (squares.rest_square / size) ** 2 / rest_df
    if part > 0:
        spread += (squares.part_square / size) ** 2 / squares.part_df
    total = seed + part
    df = total**2 / spread if spread > 0 else squares.seed_df
    return max(total, squares.floor), df


def t_quantile(probability: float, df: float) -> float:
    """Return the quantile of Student's t; df may be a fraction."""
    return float(special.stdtrit(df, probability))


BINS = 15  # as in Guo et al. 2017, and as a run's metrics.json has it
DRAWS = 200  # of the parts


@dataclass(frozen=True)
class Bin:
    """Photos whose confidence lies in one bin, all seeds together."""

    confidence: float  # their mean probability of the predicted class
    accuracy: float  # share that was judged right
    photos: int  # how many, over all seeds


@dataclass(frozen=True)
class Calibration:
    """Expected calibration error in [0, 1], mean of the seeds, with its interval."""

    error: float  # mean distance of confidence and accuracy over the bins, weighted by their photos
    low: float  # lower end over new seeds and new parts
    high: float  # upper end
    bins: tuple[Bin, ...]  # those that have photos, by rising confidence


def calibration_of(rows: pd.DataFrame, *, confidence: float = 0.95) -> Calibration | None:
    """Return the calibration of one policy at one budget; None without probabilities.

    The variance is that of the seeds' errors over their number, plus that of the mean error over
    200 draws of the parts (each draw takes the same parts at all seeds); the interval is Student's
    t with Satterthwaite's degrees of freedom. The chance of an answer at one seed is in both, so
    the interval is rather too wide. With few photos a bin the error itself is too high by nature.
    """
    names = [name for name in rows.columns if str(name).startswith("p_")]
    if not names or not len(rows):
        return None
    probabilities = rows[names].to_numpy(dtype=float)
    if not ((probabilities >= 0) & (probabilities <= 1 + 1e-6)).all():
        raise InputError(
            "A probability of a class is missing or not in 0 to 1; run the cell again."
        )
    sure = probabilities.max(axis=1)
    right = (rows["target"] == rows["predicted"]).to_numpy(dtype=float)
    place = np.clip(np.ceil(sure * BINS).astype(int) - 1, 0, BINS - 1)
    part, parts = pd.factorize(rows["group"].astype(str))
    seed, seeds = pd.factorize(rows["seed"])
    at = (seed * len(parts) + part) * BINS + place
    size = len(seeds) * len(parts) * BINS
    sums = [np.bincount(at, weights=w, minlength=size) for w in (np.ones(len(at)), sure, right)]
    table: Floats = np.stack(sums).astype(np.float64).reshape(3, len(seeds), len(parts), BINS)
    errors = _errors(table.sum(axis=2))
    low, high = _error_interval(table, errors, confidence)
    count, sure_sum, right_sum = table.sum(axis=(1, 2))
    bins = tuple(
        Bin(float(s / n), float(r / n), int(n))
        for n, s, r in zip(count, sure_sum, right_sum, strict=True) if n > 0
    )  # fmt: skip
    return Calibration(float(errors.mean()), low, high, bins)


def _errors(sums: Floats) -> Floats:
    """Return the error from (3, ..., BINS) sums of photos, confidences and right answers."""
    count, sure, right = sums
    error: Floats = np.abs(sure - right).sum(axis=-1) / count.sum(axis=-1)
    return error


def _error_interval(table: Floats, errors: Floats, confidence: float) -> tuple[float, float]:
    _, seeds, parts, _ = table.shape
    if parts < 2:
        return 0.0, 1.0
    draws = np.random.default_rng(0).multinomial(parts, np.full(parts, 1 / parts), DRAWS)
    drawn = np.einsum("dg,ksgb->kdsb", draws.astype(float), table, optimize=True)
    of_parts = float(_errors(drawn).mean(axis=1).var(ddof=1))
    of_seeds = float(errors.var(ddof=1)) / seeds if seeds > 1 else 0.0
    total = of_parts + of_seeds
    if total == 0:
        return float(errors.mean()), float(errors.mean())
    spread = of_parts**2 / (parts - 1) + (of_seeds**2 / (seeds - 1) if seeds > 1 else 0.0)
    half = t_quantile(0.5 + confidence / 2, total**2 / spread) * math.sqrt(total)
    mean = float(errors.mean())
    return max(mean - half, 0.0), min(mean + half, 1.0)
