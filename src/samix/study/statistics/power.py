"""What given numbers of seeds and parts can show, before and after a run."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy import optimize, special

from samix.errors import InputError
from samix.study.statistics.candidates import ERROR, FULL_SHARE
from samix.study.statistics.intervals import Squares, error_of, t_quantile

SEED_SD = 0.7  # points: usual spread of one policy over seeds, for a plan
DISAGREE = 0.1  # share of parts on which two trainings disagree at 85 %, for a plan (measured)
# Share of that which two other trainings of the same policies would repeat: 0 to 0.27 measured.
REPEATED = 0.25
MOST_SEEDS = 50
MOST_PARTS = 1_000_000


@dataclass(frozen=True)
class Needed:
    """What would show a difference.

    Attributes:
        seeds: More seeds at the same test parts; None where no 50 would do.
        parts: More independent test parts at the same seeds; None where no million would do.
        together: More seeds and more parts at once, the smallest product of both; only where
            neither alone would do, and None where nothing would.
    """

    seeds: int | None
    parts: int | None
    together: tuple[int, int] | None = None


def smallest_difference(
    seeds: int,
    parts: int,
    *,
    rivals: int = 1,
    seed_sd: float = SEED_SD,
    disagree: float = DISAGREE,
    power: float = 0.8,
    error: float = ERROR * FULL_SHARE,
) -> float:
    """Return the smallest true lead in points that would probably be called proven.

    ``(t(1 - error) + m) * sqrt(2 * seed_sd^2 / S + part / G + rest / (S * G))`` with part + rest =
    ``disagree``, where all of the rivals' normal deviates, which correlate by a half, are above -m
    with probability ``power``: the verdict's rule, by which a policy must be ahead of each one.

    Args:
        seeds: S >= 1.
        parts: G >= 2 independent test parts that count (of one class, for its recall).
        rivals: Policies that it must be ahead of, plain training among them.
        seed_sd: Points by which one policy's trainings differ from seed to seed.
        disagree: Share in (0, 1] of parts on which two policies disagree.
        power: Probability in [0.5, 1) of showing it.
        error: One-sided, in (0, 0.5); the default is that of the full policy beside a light one.

    Returns:
        Points; infinite with one seed, which cannot show anything about training.

    Raises:
        InputError: A number out of range.
    """
    if seeds < 1 or parts < 2 or rivals < 1:
        raise InputError(
            f"Expected at least 1 seed, 2 test parts and 1 rival, got {seeds}, {parts} and "
            f"{rivals}."
        )
    if seed_sd < 0 or not 0 < disagree <= 1 or not 0.5 <= power < 1 or not 0 < error < 0.5:
        raise InputError(
            f"Expected seed_sd >= 0, disagree in (0, 1], power in [0.5, 1) and error in (0, 0.5), "
            f"got {seed_sd}, {disagree}, {power} and {error}."
        )
    if seeds == 1:
        return math.inf
    df = float((rivals + 1) * (seeds - 1))  # the learned policy beside them is pooled too
    part, rest = REPEATED * disagree, (1 - REPEATED) * disagree
    squares = _squares(seeds, parts, 2 * (seed_sd / 100) ** 2, part, rest, df)
    variance, df = error_of(squares)
    return 100 * (t_quantile(1 - error, df) + _all_above(power, rivals)) * math.sqrt(variance)


def _all_above(power: float, count: int) -> float:
    """Return m: so many normal deviates that correlate by a half all lie above -m that often."""
    places, mass = np.polynomial.hermite_e.hermegauss(60)
    mass = mass / mass.sum()

    def missing(m: float) -> float:
        alone = special.ndtr((m + math.sqrt(0.5) * places) / math.sqrt(0.5))
        return float((mass * alone**count).sum()) - power

    return float(optimize.brentq(missing, -10.0, 10.0))


def needed(
    squares: Squares,
    points: float,
    *,
    rivals: int = 1,
    power: float = 0.8,
    confidence: float = 0.95,
) -> Needed:
    """Return how many more seeds, or test parts, would probably show a difference.

    Args:
        squares: Of the comparison so far.
        points: The difference to show, above 0.
        rivals: Policies that are compared with the baseline.
        power: Probability of showing it.
        confidence: Of the decision, before the correction.

    Raises:
        InputError: A difference of 0 or below, which nothing can show.
    """
    if not points > 0:
        raise InputError(f"Expected a difference above 0 points, got {points}.")
    seed, part, rest = squares.seed_variance, squares.part_variance, squares.rest_variance
    if math.isnan(part):
        part, rest = REPEATED * DISAGREE, (1 - REPEATED) * DISAGREE
    if math.isnan(seed):
        seed = 2 * (SEED_SD / 100) ** 2
    if part + rest == 0:
        part = squares.floor * squares.parts
    pooled_by = max(squares.seed_df / max(squares.seeds - 1, 1), 1.0)

    def enough(seeds: int, parts: int) -> bool:
        df = pooled_by * (seeds - 1)
        planned = _squares(seeds, parts, seed, part, rest, df)
        return 100 * _shown(planned, rivals, power, confidence) <= points

    seeds = next(
        (n for n in range(max(squares.seeds, 2), MOST_SEEDS + 1) if enough(n, squares.parts)), None
    )
    more = None if seeds is None else max(seeds - squares.seeds, 1)
    alone = squares.seeds >= 2
    parts = _fewest(squares.parts, partial(enough, squares.seeds)) if alone else None
    if more is not None or parts is not None:
        return Needed(more, None if parts is None else _rounded(max(parts - squares.parts, 1)))
    pairs = []
    for planned in range(squares.seeds + 1, MOST_SEEDS + 1):
        fewest = _fewest(squares.parts, partial(enough, planned))
        if fewest is not None:
            pairs.append((planned, fewest))
    if not pairs:
        return Needed(None, None)
    seeds, parts = min(pairs, key=lambda pair: pair[0] * pair[1])
    return Needed(None, None, (seeds - squares.seeds, _rounded(parts - squares.parts)))


def _fewest(least: int, enough: Callable[[int], bool]) -> int | None:
    """Return the fewest parts that are enough, by halving; None where a million are not."""
    if not enough(MOST_PARTS):
        return None
    low, high = least, MOST_PARTS
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle + 1, high)
    return low


def _squares(
    seeds: int, parts: int, seed: float, part: float, rest: float, seed_df: float
) -> Squares:
    return Squares(
        0.0, seeds, parts, rest + parts * seed, rest + seeds * part, rest, seed_df, float(parts - 1)
    )


def _shown(squares: Squares, rivals: int, power: float, confidence: float) -> float:
    variance, df = error_of(squares)
    tail = (1 - confidence) / 2 / rivals
    return (t_quantile(1 - tail, df) + t_quantile(power, df)) * math.sqrt(variance)


def _rounded(count: int) -> int:
    """Round up to two digits: the plan knows no more."""
    step: int = 10 ** max(len(str(count)) - 2, 0)
    return int(math.ceil(count / step) * step)
