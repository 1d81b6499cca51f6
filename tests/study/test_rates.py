"""Recall by class, escapes, overkill, thresholds and costs."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from samix.errors import InputError
from samix.study import (
    PartProbabilities,
    Prices,
    best_thresholds,
    class_recalls,
    inspect,
    part_probabilities,
    rarest_judgeable,
)
from samix.study.statistics.effects import reason
from samix.study.statistics.inspection import rate
from samix.study.wording import say

from .simulated import outcomes_of, scores_of


def parts_of(probability: list[list[float]], defective: list[bool]) -> PartProbabilities:
    names = tuple(f"p{i}" for i in range(len(defective)))
    return PartProbabilities(
        np.array(probability), np.array(defective), tuple(range(len(probability))), names
    )


def test_rate_of_one_seed_is_clopper_and_pearson() -> None:
    none = rate(np.zeros((1, 20)))
    assert (none.share, none.low) == (0.0, 0.0)
    assert none.high == pytest.approx(1 - 0.025 ** (1 / 20))
    some = rate(np.array([[1.0] * 5 + [0.0] * 15]))
    assert (some.low, some.high) == pytest.approx((0.0866, 0.4910), abs=0.002)


def test_seeds_are_not_new_parts() -> None:
    row = np.array([1.0] * 5 + [0.0] * 15)
    assert rate(np.stack([row] * 10)).high == pytest.approx(rate(row[None]).high, abs=0.01)
    empty = rate(np.zeros((3, 0)))
    assert (empty.low, empty.high, empty.parts) == (0.0, 1.0, 0)


def test_rate_covers_the_truth() -> None:
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(300):
        of_part = rng.beta(1.8, 0.2, 60)
        one = rate((rng.random((3, 60)) < of_part).astype(float))
        covered += one.low <= 0.9 <= one.high
    assert covered / 300 >= 0.93


def test_the_rarest_judgeable_class_is_named_and_why_others_are_not() -> None:
    target = np.array([0] * 4 + [1] * 40 + [2] * 12)
    rng = np.random.default_rng(1)
    table = outcomes_of({"none": scores_of(rng.random((3, 56)) < 0.8, target)})
    recalls = class_recalls(
        table, policy="none", mode="supervised", labels=100, classes=("good", "crack", "dent")
    )
    assert [one.name for one in recalls] == ["dent", "crack", "stain", "good"]
    assert [one.judgeable for one in recalls] == [False, False, True, True]
    why = [say(reason("class-not-judgeable", one=one)) for one in recalls[:2]]
    assert why[0].en == "No test part shows 'dent'."
    assert "are 4 independent test parts of 'crack', fewer than 10" in why[1].en
    rarest = rarest_judgeable(recalls)
    assert rarest is not None
    assert rarest.name == "stain"
    assert rarest_judgeable(recalls[:2]) is None


def test_inspection_by_hand() -> None:
    parts = parts_of([[0.9, 0.2, 0.6, 0.1]], [True, True, False, False])
    found = inspect(parts, 0.5, Prices(escape=100, overkill=2, defect_share=0.1))
    assert (found.escape.share, found.overkill.share) == (0.5, 0.5)
    assert found.cost == pytest.approx(1000 * (0.1 * 0.5 * 100 + 0.9 * 0.5 * 2))
    assert found.cost_low < found.cost < found.cost_high
    assert found.unseen == pytest.approx((1000 * 0.9 * 2, 1000 * 0.1 * 100))  # reject, pass all
    assert inspect(parts, 0.15).escape.share == 0.0
    assert inspect(parts, 0.5).cost == pytest.approx(1000 * (0.5 * 0.5 * 10 + 0.5 * 0.5))


def test_the_best_threshold_follows_the_prices() -> None:
    parts = parts_of([[0.9, 0.4, 0.6, 0.1]], [True, True, False, False])
    assert best_thresholds(parts, Prices(escape=10, overkill=1)) == {0: pytest.approx(0.25)}
    assert best_thresholds(parts, Prices(escape=1, overkill=10)) == {0: pytest.approx(0.75)}
    every = best_thresholds(parts, Prices(escape=1, overkill=0))[0]
    assert inspect(parts, every).overkill.share == 1.0
    none = best_thresholds(parts, Prices(escape=0, overkill=1))[0]
    assert inspect(parts, none).overkill.share == 0.0


def test_the_best_threshold_is_the_cheapest_of_a_thousand() -> None:
    rng = np.random.default_rng(2)
    bad = rng.random(200) < 0.2
    row = np.clip(rng.normal(np.where(bad, 0.6, 0.4), 0.2), 0, 1)
    parts, prices = parts_of([row.tolist()], bad.tolist()), Prices(escape=20, overkill=3)
    chosen = inspect(parts, best_thresholds(parts, prices), prices).cost
    assert chosen <= min(inspect(parts, x, prices).cost for x in np.linspace(0, 1.01, 300)) + 1e-9


def table_of(**columns: list[float]) -> pd.DataFrame:
    frame = pd.DataFrame(
        {
            "group": ["a", "a", "b", "c"],
            "target": ["good", "crack", "good", "good"],
            "predicted": ["good"] * 4,
            **columns,
        }
    )
    return frame.assign(policy="none", seed=0, labels=10, mode="supervised")


def test_a_part_is_as_defective_as_its_worst_photo() -> None:
    asked = {"policy": "none", "mode": "supervised", "labels": 10, "good": ("good",)}
    one = part_probabilities(table_of(defective=[0.1, 0.8, 0.3, 0.2]), **asked)
    assert one.defective.tolist() == [True, False, False]
    assert one.probability.tolist() == [[0.8, 0.3, 0.2]]
    other = part_probabilities(table_of(p_good=[0.9, 0.2, 0.7, 0.8]), **asked)
    assert other.probability == pytest.approx(one.probability)
    with pytest.raises(InputError, match="neither column 'defective' nor 'p_good'"):
        part_probabilities(table_of(), **asked)
    with pytest.raises(InputError, match="not in 0 to 1"):
        part_probabilities(table_of(defective=[0.1, 1.8, 0.3, 0.2]), **asked)
    with pytest.raises(InputError, match="at least one class of good parts"):
        part_probabilities(table_of(), **{**asked, "good": ()})


def test_wrong_prices_and_thresholds_are_refused() -> None:
    with pytest.raises(InputError, match="Prices must be"):
        Prices(escape=-1)
    with pytest.raises(InputError, match="share of defective"):
        Prices(defect_share=3)
    with pytest.raises(InputError, match="no defective part"):
        best_thresholds(parts_of([[0.5]], [False]), Prices())
    with pytest.raises(InputError, match="no threshold for seed 0"):
        inspect(parts_of([[0.5, 0.1]], [False, True]), {7: 0.5})
