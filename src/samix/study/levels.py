"""The score of one policy, and what guessing would score."""

from __future__ import annotations

import numpy as np

from .crossed import Interval, crossed_interval
from .tables import PartScores, weighted_squares, weights


def score_of(scores: PartScores, measure: str) -> Interval:
    """Return a policy's measure with its interval, cut to 0 to 1."""
    found = crossed_interval(weighted_squares(scores.part, scores.right, *weights(scores, measure)))
    return Interval(
        found.estimate, max(found.low, 0.0), min(found.high, 1.0), found.error, found.df, found.p
    )


def guess_of(scores: PartScores, measure: str) -> float:
    """Return what it scores to say the most frequent class of the test parts every time."""
    weight, _ = weights(scores, measure)
    return float(np.bincount(scores.target, weights=weight).max())


def only_guesses(scores: PartScores, measure: str) -> bool:
    """Say whether a policy is not shown to be better than guessing."""
    return score_of(scores, measure).low <= guess_of(scores, measure)
