"""Whether supervised and self-supervised learning say the same about the policies."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from .crossed import Floats
from .effects import Effect
from .wording_study import consistency_words
from .words import Words

LEAST = 3  # policies below which there is nothing to rank
EXACT = 7  # policies up to which every order is tried
ORDERS = 10_000  # beyond that, drawn
TIE = 1e-9


@dataclass(frozen=True)
class Consistency:
    """Gains over plain training in both modes, by policy.

    Attributes:
        supervised: By policy.
        self_supervised: By the same policies.
        correlation: Spearman's of the gains, in [-1, 1]; NaN below three policies or where all of
            one mode are alike.
        p: Two-sided, over orders of the policies; 1 where the correlation is unknown.
    """

    supervised: Mapping[str, Effect]
    self_supervised: Mapping[str, Effect]
    correlation: float
    p: float

    def same_sign(self, policy: str) -> bool | None:
        """Say whether a policy gains in both or loses in both; None where an interval holds 0."""
        both = (self.supervised[policy], self.self_supervised[policy])
        if any(one.low <= 0 <= one.high for one in both):
            return None
        return (both[0].points > 0) == (both[1].points > 0)

    def sentence(self, learned: Sequence[str]) -> Words:
        """Return it in words, with the signs of the learned policies."""
        names = [name for name in learned if name in self.supervised]
        same = [self.same_sign(name) for name in names]
        return consistency_words(len(self.supervised), self.correlation, self.p, names, same)


def consistency(
    supervised: Mapping[str, Effect], self_supervised: Mapping[str, Effect]
) -> Consistency | None:
    """Compare the gains of the policies that both modes have.

    The gains of one mode share its baseline, which moves all of them alike and no rank. The p-value
    is about these policies as they were measured, not about other policies: with three it is at
    least 1/3.

    Returns:
        None where no policy has a gain in both.
    """
    both = [name for name in supervised if name in self_supervised]
    if not both:
        return None
    one = np.array([supervised[name].points for name in both])
    other = np.array([self_supervised[name].points for name in both])
    correlation, p = rank_correlation(one, other)
    return Consistency(
        {name: supervised[name] for name in both},
        {name: self_supervised[name] for name in both}, correlation, p,
    )  # fmt: skip


def rank_correlation(one: Floats, other: Floats) -> tuple[float, float]:
    """Return Spearman's correlation with the two-sided p-value over orders of the second.

    All orders up to seven values, 10,000 drawn beyond.

    Args:
        one: (P,) values.
        other: (P,) values.
    """
    count = len(one)
    ranks = [stats.rankdata(values) for values in (one, other)]
    first, second = (r - r.mean() for r in ranks)
    scale = math.sqrt(float((first**2).sum() * (second**2).sum()))
    if count < LEAST or scale == 0:
        return math.nan, 1.0
    found = float(first @ second) / scale
    if count <= EXACT:
        orders = np.array(list(itertools.permutations(range(count))))
    else:
        random = np.random.default_rng(0)
        drawn = [random.permutation(count) for _ in range(ORDERS - 1)]
        orders = np.stack([np.arange(count), *drawn])
    all_of_them = second[orders] @ first / scale
    return found, float((np.abs(all_of_them) >= abs(found) - TIE).mean())
