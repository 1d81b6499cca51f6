"""Whether probabilities are right: expected calibration error and reliability bins."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from samix.errors import InputError

from .crossed import Floats, t_quantile

BINS = 15  # as in Guo et al. 2017, and as a run's metrics.json has it
DRAWS = 200  # of the parts


@dataclass(frozen=True)
class Bin:
    """Photos whose confidence lies in one bin, all seeds together.

    Attributes:
        confidence: Their mean probability of the predicted class.
        accuracy: Share that was judged right.
        photos: How many, over all seeds.
    """

    confidence: float
    accuracy: float
    photos: int


@dataclass(frozen=True)
class Calibration:
    """Expected calibration error in [0, 1], mean of the seeds, with its interval.

    Attributes:
        error: Mean distance of confidence and accuracy over the bins, weighted by their photos.
        low: Lower end over new seeds and new parts.
        high: Upper end.
        bins: Those that have photos, by rising confidence.
    """

    error: float
    low: float
    high: float
    bins: tuple[Bin, ...]


def calibration_of(rows: pd.DataFrame, *, confidence: float = 0.95) -> Calibration | None:
    """Return the calibration of one policy at one budget.

    The variance is that of the seeds' errors over their number, plus that of the mean error over
    200 draws of the parts (each draw takes the same parts at all seeds); the interval is Student's
    t with Satterthwaite's degrees of freedom. The chance of an answer at one seed is in both, so
    the interval is rather too wide. With few photos a bin the error itself is too high by nature.

    Args:
        rows: Outcomes with one column p_CLASS for each class.
        confidence: Of the interval.

    Returns:
        None where there are no probabilities.

    Raises:
        InputError: A probability is missing or not in 0 to 1.
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
    low, high = _interval(table, errors, confidence)
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


def _interval(table: Floats, errors: Floats, confidence: float) -> tuple[float, float]:
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
