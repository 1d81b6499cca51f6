"""What given numbers of seeds and parts can show, before and after a run."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from samix.errors import InputError

from .crossed import Squares, error_of, t_quantile

SEED_SD = 0.7  # points: usual spread of one policy over seeds, for a plan
DISAGREE = 0.1  # share of parts on which two trainings disagree, for a plan
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

    @property
    def sentence(self) -> str:
        """Return it in words, with the choices that there are."""
        choices = []
        if self.seeds is not None:
            choices.append(f"{self.seeds:,} more {'seed' if self.seeds == 1 else 'seeds'}")
        if self.parts is not None:
            choices.append(f"{self.parts:,} more labelled test parts")
        if self.together is not None:
            seeds, parts = self.together
            choices.append(
                f"{seeds:,} more {'seed' if seeds == 1 else 'seeds'} together with {parts:,} more "
                "labelled test parts"
            )
        if not choices:
            return f"no number of seeds up to {MOST_SEEDS} would tell"
        return " or ".join(choices) + " would tell"


def smallest_difference(
    seeds: int,
    parts: int,
    *,
    rivals: int = 1,
    seed_sd: float = SEED_SD,
    disagree: float = DISAGREE,
    power: float = 0.8,
    confidence: float = 0.95,
) -> float:
    """Return the smallest true difference in points that would probably be shown.

    ``(t(1 - a/2/rivals) + t(power)) * sqrt(2 * seed_sd^2 / S + disagree / G)``, the first of Holm's
    steps.

    Args:
        seeds: S >= 1.
        parts: G >= 2 independent test parts that count (of one class, for its recall).
        rivals: Policies that are compared with the baseline.
        seed_sd: Points by which one policy's trainings differ from seed to seed.
        disagree: Share in (0, 1] of parts on which two policies disagree.
        power: Probability in [0.5, 1) of showing it.
        confidence: Of the decision, before the correction.

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
    if seed_sd < 0 or not 0 < disagree <= 1 or not 0.5 <= power < 1 or not 0 < confidence < 1:
        raise InputError(
            f"Expected seed_sd >= 0, disagree in (0, 1], power in [0.5, 1) and confidence in (0, "
            f"1), got {seed_sd}, {disagree}, {power} and {confidence}."
        )
    if seeds == 1:
        return math.inf
    squares = _squares(seeds, parts, 2 * (seed_sd / 100) ** 2, disagree, 0.0, rivals * (seeds - 1))
    return 100 * _shown(squares, rivals, power, confidence)


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
        part, rest = DISAGREE, 0.0
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
    """Return the expected mean squares of a plan."""
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
