"""Several looks at one study: how the error is shared, and what more seeds could still change.

After each seed from the third on the study may look at its answers and stop a policy. The error of
each comparison is shared by the looks (:func:`shares_of`); at a look with share ``a_k`` a p-value
counts as ``p / a_k``. Where nothing is there, each of these is below 0.05 in at most ``0.05 * a_k``
of the studies, so any of them is in at most 5 %: the union bound, whatever the looks have in common
and whenever the study stops. Independent increments, which the usual spending functions rest on,
are not there: all seeds are judged on the same test parts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from scipy import special

from samix.study.statistics.intervals import Squares, error_of, t_quantile

LEAST_SEEDS = 3  # of anything that a verdict is stated about, and of the first look
MOST_SEEDS = 8  # of a study that looks
_FIRST = 0.5  # of the error at the first look: most studies end there
Looks = Mapping[int, float]
"""Share of the error by number of seeds; the shares sum to 1."""


def shares_of(most: int = MOST_SEEDS) -> dict[int, float]:
    """Return the share of the error of each look: half of it at the first, the rest evenly."""
    if most <= LEAST_SEEDS:
        return {most: 1.0}
    rest = (1 - _FIRST) / (most - LEAST_SEEDS)
    return {LEAST_SEEDS: _FIRST} | dict.fromkeys(range(LEAST_SEEDS + 1, most + 1), rest)


@dataclass(frozen=True)
class Outlook:
    """What the last look can still say, from what is known now.

    The test parts stay the same, so that an estimate moves only by what seeds do: by then it is
    ``d + sqrt(v (1/k - 1/K)) * t``, with the variance ``v`` of one seed and its degrees of freedom.
    """

    squares: Squares  # of the comparison at its k seeds, in shares
    points: float  # the estimate d in percentage points
    looks: Looks  # shares of the error; the last one is at K seeds

    def lead(self, *, margin: float, level: float) -> float:
        """Return the probability that a lead will be shown."""
        return self._above(lambda width: max(margin, width), level * self.looks[max(self.looks)])

    def little(self, *, worth: float, tail: float = 0.025) -> float:
        """Return the probability that the upper end of the interval will lie below what counts."""
        last = max(self.looks)
        if self.squares.seeds >= last:
            return 0.0
        return 1 - self._above(lambda width: worth - width, tail)

    def _above(self, needed: Callable[[float], float], tail: float) -> float:
        """Return the probability that the last estimate lies at what is needed or above."""
        squares, last = self.squares, max(self.looks)
        now = squares.seeds
        if now >= last:
            return 0.0
        if math.isnan(squares.seed_variance) or squares.seed_df <= 0:
            return 1.0
        seed, part, rest = squares.seed_variance, squares.part_variance, squares.rest_variance
        scale = squares.seed_df / max(now - 1, 1)
        planned = Squares(
            0.0, last, squares.parts, rest + squares.parts * seed, rest + last * part, rest,
            scale * (last - 1), squares.part_df,
        )  # fmt: skip
        variance, df = error_of(planned)
        points = needed(100 * t_quantile(1 - tail, df) * math.sqrt(variance))
        moves = 100 * math.sqrt(squares.seed_square / squares.parts * (1 / now - 1 / last))
        if moves == 0:
            return float(self.points >= points)
        return 1.0 - float(special.stdtr(squares.seed_df, (points - self.points) / moves))
