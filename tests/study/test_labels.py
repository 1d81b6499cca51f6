"""Label efficiency on curves that are known exactly."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from samix.errors import InputError
from samix.study import LabelEfficiency, PartScores, label_efficiency
from samix.study.statistics.effects import reason
from samix.study.statistics.labels import compare_with_curve
from samix.study.wording import say

from .simulated import outcomes_of, scores_of

BUDGETS = (50, 100, 200, 400)


def exact(share: float, parts: int = 1000) -> PartScores:
    """The same parts are right at every seed."""
    row = np.arange(parts) < round(share * parts)
    return scores_of(np.stack([row] * 3))


def curve_of(shares: tuple[float, ...] = (0.5, 0.6, 0.7, 0.8)) -> dict[int, PartScores]:
    return {budget: exact(share) for budget, share in zip(BUDGETS, shares, strict=True)}


def equal_of(share: float, **kwargs: tuple[float, ...]) -> LabelEfficiency:
    return compare_with_curve(
        exact(share), curve_of(**kwargs), policy="samix", baseline="none", labels=100
    )


@pytest.mark.parametrize(
    ("share", "labels"), [(0.6, 100), (0.65, 141.42), (0.68, 174.11), (0.8, 400)]
)
def test_labels_on_an_exact_curve(share: float, labels: float) -> None:
    found = equal_of(share)
    assert found.equal == pytest.approx(labels, rel=1e-3)
    assert found.outside == ""


def test_the_interval_holds_the_estimate_and_the_sentence_says_it() -> None:
    found = equal_of(0.68)
    assert found.equal is not None
    assert found.low is not None
    assert found.high is not None
    assert 141 < found.low < found.equal < found.high < 200
    assert say(reason("efficiency", one=found)).en.startswith(
        "samix with 100 labels equals plain training with 174 ("
    )


def test_outside_the_measured_range_nothing_is_extrapolated() -> None:
    above = equal_of(0.9)
    assert (above.equal, above.high, above.outside) == (None, None, "above")
    assert (
        "better than plain training with 400, the most that were measured"
        in say(reason("efficiency", one=above)).en
    )
    below = equal_of(0.4)
    assert (below.equal, below.low, below.outside) == (None, None, "below")
    assert "worse than plain training with 50" in say(reason("efficiency", one=below)).en


def test_what_no_interval_shows_is_not_said() -> None:
    for outside, told in (("above", "scores higher than"), ("below", "scores lower than")):
        unsure = replace(equal_of(0.9), outside=outside, low=None, high=None)
        assert told in say(reason("efficiency", one=unsure)).en
        assert "nothing about it is sure" in say(reason("efficiency", one=unsure)).en
        assert "確実に言えることはありません" in say(reason("efficiency", one=unsure)).ja


def test_a_dip_is_levelled_and_a_flat_piece_gives_the_fewest_labels() -> None:
    assert equal_of(0.65, shares=(0.5, 0.7, 0.6, 0.8)).equal == pytest.approx(100)


def test_the_interval_covers_the_truth_over_seeds_and_parts() -> None:
    rng = np.random.default_rng(0)
    covered, count = 0, 40
    for _ in range(count):
        difficulty = rng.random(150)

        def scores(share: float, difficulty: np.ndarray = difficulty) -> PartScores:
            own = np.clip(share + rng.normal(0, 0.01, (3, 1)), 0, 1)
            return scores_of((difficulty + rng.normal(0, 0.1, (3, 150))) < own)

        curve = {b: scores(s) for b, s in zip(BUDGETS, (0.45, 0.55, 0.65, 0.75), strict=True)}
        found = compare_with_curve(scores(0.6), curve, policy="samix", baseline="none", labels=100)
        covered += (found.low or 0) <= 141.42 <= (found.high or np.inf)
    assert covered / count >= 0.9


def test_from_a_table() -> None:
    import pandas as pd

    table = pd.concat(
        [
            *(outcomes_of({"none": one}, labels=budget) for budget, one in curve_of().items()),
            outcomes_of({"samix": exact(0.65)}, labels=100),
        ]
    )
    asked = {"policy": "samix", "labels": 100, "mode": "supervised"}
    found = label_efficiency(table, **asked)
    assert found.equal == pytest.approx(141.42, rel=1e-3)
    assert (found.seeds, found.parts, found.measured) == (3, 1000, (50, 400))
    with pytest.raises(InputError, match="at least two budgets"):
        label_efficiency(table[table["labels"] == 100], **asked)
