"""Intervals and corrections against a known truth."""

from __future__ import annotations

import math

import numpy as np
import pytest

from samix.errors import InputError
from samix.study import effects, holm, needed, smallest_difference
from samix.study.statistics.effects import compare, compare_all, pooled, reason, seed_spread
from samix.study.statistics.intervals import crossed_interval, crossed_squares
from samix.study.wording import say

from .simulated import CLASSES, outcomes_of, scores_of, simulate


@pytest.mark.parametrize(
    ("seed_sd", "part_sd", "rest_sd"), [(0.0, 0.3, 0.2), (0.03, 0.3, 0.2), (0.1, 0.2, 0.2)]
)
@pytest.mark.parametrize("seeds", [3, 5])
def test_interval_covers_the_truth(
    seeds: int, seed_sd: float, part_sd: float, rest_sd: float
) -> None:
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(500):
        values = (
            rng.normal(0, seed_sd, (seeds, 1))
            + rng.normal(0, part_sd, (1, 40))
            + rng.normal(0, rest_sd, (seeds, 40))
        )
        interval = crossed_interval(crossed_squares(values + 0.1))
        covered += interval.low <= 0.1 <= interval.high
    assert 0.90 <= covered / 500 <= 0.99


def test_interval_of_right_and_wrong_covers_the_truth() -> None:
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(400):
        scores = simulate(rng, {"none": 0.0, "samix": 5.0}, parts=40, seed_sd=2.0)
        effect = compare("samix", "none", scores)
        covered += effect.low <= 5.0 <= effect.high
    assert 0.90 <= covered / 400 <= 0.99


def test_pooling_keeps_the_coverage_and_narrows_the_interval() -> None:
    rng = np.random.default_rng(2)
    covered, alone, together = 0, [], []
    names = dict.fromkeys(("none", "mixup", "cutmix", "samix-p", "samix"), 0.0)
    for _ in range(200):
        scores = simulate(rng, names, parts=300, seed_sd=2.0)
        pool = seed_spread(scores, "accuracy")
        effect = compare("samix", "none", scores, pool=pool)
        covered += effect.low <= 0.0 <= effect.high
        together.append(effect.high - effect.low)
        one = compare("samix", "none", scores)
        alone.append(one.high - one.low)
    assert 0.90 <= covered / 200 <= 0.99
    assert np.mean(together) < np.mean(alone)


def test_a_bootstrap_over_three_seeds_would_be_wrong() -> None:
    """The reason for the t distribution: seeds alone, no chance of the parts."""
    rng = np.random.default_rng(3)
    picks = np.array(np.meshgrid(*[range(3)] * 3)).reshape(3, -1).T
    ours = theirs = 0
    for _ in range(300):
        values = rng.normal(0, 1, (3, 1)) + rng.normal(0, 0.01, (3, 50))
        interval = crossed_interval(crossed_squares(values))
        ours += interval.low <= 0 <= interval.high
        means = values.mean(axis=1)[picks].mean(axis=1)
        theirs += np.quantile(means, 0.025) <= 0 <= np.quantile(means, 0.975)
    assert ours / 300 > 0.9 > theirs / 300 + 0.05


def test_squares_against_a_hand_calculation() -> None:
    squares = crossed_squares(np.array([[1.0, 2.0], [3.0, 6.0]]))
    assert squares.estimate == 3.0
    assert squares.seed_square == pytest.approx(2 * (1.5**2 + 1.5**2))
    assert squares.part_square == pytest.approx(2 * (1 + 1))
    assert squares.rest_square == pytest.approx(4 * 0.25)


def test_interval_widens_for_few_seeds_and_for_few_parts() -> None:
    rng = np.random.default_rng(4)

    def width(seeds: int, parts: int) -> float:
        found = []
        for _ in range(40):
            values = (
                rng.normal(0, 0.05, (seeds, 1))
                + rng.normal(0, 0.3, (1, parts))
                + rng.normal(0, 0.2, (seeds, parts))
            )
            interval = crossed_interval(crossed_squares(values))
            found.append(interval.high - interval.low)
        return float(np.mean(found))

    assert width(2, 100) > width(3, 100) > width(8, 100)
    assert width(5, 20) > width(5, 60) > width(5, 400)


def test_one_seed_says_what_it_cannot_tell() -> None:
    scores = simulate(np.random.default_rng(5), {"none": 0.0, "samix": 5.0}, seeds=1, parts=100)
    effect = compare("samix", "none", scores)
    assert effect.high - effect.low > 0
    assert "not the chance of another training" in say(effect.notes[0]).en
    alone = scores_of(np.array([[True]]))
    nothing = compare("samix", "none", {"none": alone, "samix": alone})
    assert (nothing.low, nothing.high, nothing.p) == (-math.inf, math.inf, 1.0)


def test_no_difference_at_all_is_not_an_interval_of_width_zero() -> None:
    right = np.ones((3, 30), dtype=bool)
    effect = compare("a", "b", {"a": scores_of(right), "b": scores_of(right)})
    assert effect.points == 0
    assert effect.low < -3 < 3 < effect.high
    few = compare("a", "b", {"a": scores_of(right[:, :3]), "b": scores_of(~right[:, :3])})
    assert few.points == 100
    assert few.low < 100


def test_holm_against_a_hand_calculation() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.5]) == [1.0, 1.0]
    assert holm([]) == []


def test_holm_with_shares_against_a_hand_calculation() -> None:
    assert holm([0.01, 0.04, 0.03], [1, 1, 1]) == pytest.approx(holm([0.01, 0.04, 0.03]))
    assert holm([0.04, 0.01], [0.8, 0.2]) == pytest.approx([0.05, 0.05])
    assert holm([0.03, 0.2], [0.8, 0.2]) == pytest.approx([0.0375, 0.2])
    assert holm([0.9, 0.002], [0.8, 0.2]) == pytest.approx([0.9, 0.01])


def test_one_sided_p_values() -> None:
    scores = simulate(np.random.default_rng(11), {"none": 0.0, "samix": 5.0}, parts=100)
    up, down = compare("samix", "none", scores), compare("none", "samix", scores)
    assert up.p_better == pytest.approx(up.p / 2)
    assert up.p_better + down.p_better == pytest.approx(1.0)


def test_effects_from_a_table_count_parts_not_photos() -> None:
    scores = simulate(np.random.default_rng(6), {"none": 0.0, "mixup": 2.0, "samix": 5.0}, parts=60)
    table = outcomes_of(scores)
    found = effects(table, mode="supervised", labels=100)
    assert [effect.policy for effect in found] == ["mixup", "samix"]
    assert found == compare_all(scores, baseline="none")
    again = table[table["group"] < "part0010"]
    doubled = effects(
        table.loc[table.index.append(again.index)], mode="supervised", labels=100
    )  # ten parts have a second photo
    assert doubled[1].points == pytest.approx(found[1].points)
    assert doubled[1].parts == 60
    assert found[1].avoided[0] == pytest.approx(10 * found[1].points)


def test_measures_against_a_hand_calculation() -> None:
    target = np.array([0, 0, 0, 1, 1, 2])
    plain = scores_of(np.array([[1, 1, 0, 0, 0, 1]] * 2, dtype=bool), target)
    learned = scores_of(np.array([[1, 1, 1, 1, 0, 0]] * 2, dtype=bool), target)
    scores = {"none": plain, "samix": learned}
    points = {
        measure: compare("samix", "none", scores, measure=measure).points
        for measure in ("accuracy", "balanced_accuracy", f"recall:{CLASSES[0]}")
    }
    assert points["accuracy"] == pytest.approx(100 / 6)
    assert points["balanced_accuracy"] == pytest.approx(100 * (1 / 3 + 1 / 2 - 1) / 3)
    assert points[f"recall:{CLASSES[0]}"] == pytest.approx(100 / 3)


def test_seeds_that_one_policy_lacks_are_left_out_and_told() -> None:
    scores = simulate(np.random.default_rng(7), {"none": 0.0, "samix": 0.0}, seeds=4, parts=20)
    scores["samix"] = scores["samix"].at([1, 3])
    effect = compare("samix", "none", scores)
    assert effect.seeds == 2
    assert "the 2 seeds that both have" in say(effect.notes[0]).en


def test_a_policy_that_varies_more_than_the_others_keeps_its_own_spread() -> None:
    squares = crossed_squares(np.array([[0.0, 0.01], [0.5, 0.52], [1.0, 0.99]]))
    assert pooled(squares, (1e-6, 10)) is squares
    assert pooled(squares, (0.2, 10)).seed_df == 10


def test_wrong_tables_are_refused() -> None:
    scores = simulate(np.random.default_rng(8), {"none": 0.0, "samix": 0.0}, parts=20)
    table = outcomes_of(scores)
    with pytest.raises(InputError, match="no column 'predicted'"):
        effects(table.drop(columns="predicted"), mode="supervised", labels=100)
    with pytest.raises(InputError, match=r"no outcomes of policy 'none' .* 7 labels"):
        effects(table, mode="supervised", labels=7)
    other = table["seed"].eq(2) & table["group"].eq("part0003")
    with pytest.raises(InputError, match="different photos"):
        effects(table[~other], mode="supervised", labels=100)
    whole = table["policy"].eq("samix") & table["group"].eq("part0003")
    with pytest.raises(InputError, match="different photos"):
        effects(table[~whole], mode="supervised", labels=100)
    with pytest.raises(InputError, match="Measure 'f1' is unknown"):
        effects(table, mode="supervised", labels=100, measure="f1")
    with pytest.raises(InputError, match="No test part shows class 'dent'"):
        effects(table, mode="supervised", labels=100, measure="recall:dent")


@pytest.mark.parametrize("rivals", [1, 8])
def test_smallest_difference_is_shown_as_often_as_promised(rivals: int) -> None:
    rng = np.random.default_rng(9)
    points = smallest_difference(4, 200, seed_sd=2.0, disagree=0.1, rivals=rivals)
    pool = (0.02**2 + 0.0375 / 200 + 1e-6, 3 * (rivals + 1))
    shown = 0
    for _ in range(300):
        trained = [
            rng.normal(0, 0.02, (4, 1))
            + rng.normal(0, np.sqrt(0.0125), (1, 200))
            + rng.normal(0, np.sqrt(0.0375), (4, 200))
            for _ in range(rivals + 1)
        ]
        squares = [crossed_squares(points / 100 + trained[0] - other) for other in trained[1:]]
        found = [crossed_interval(pooled(one, pool)) for one in squares]
        shown += all(one.estimate > 0 and one.p / 2 < 0.04 for one in found)
    assert 0.7 <= shown / 300 <= 0.9


def test_smallest_difference_falls_with_seeds_and_parts() -> None:
    assert smallest_difference(1, 300) == math.inf
    assert smallest_difference(3, 300) > smallest_difference(5, 300) > smallest_difference(5, 3000)
    assert smallest_difference(3, 300, rivals=8) > smallest_difference(3, 300, rivals=1)
    with pytest.raises(InputError, match="at least 1 seed"):
        smallest_difference(0, 300)
    with pytest.raises(InputError, match="disagree"):
        smallest_difference(3, 300, disagree=0.0)
    with pytest.raises(InputError, match="error in"):
        smallest_difference(3, 300, error=0.7)


def test_needed_numbers_would_be_enough() -> None:
    scores = simulate(np.random.default_rng(10), {"none": 0.0, "samix": 4.0}, parts=100)
    squares = compare("samix", "none", scores).squares
    more = needed(squares, 4.0)
    assert say(reason("needed", more=more)).en.endswith("would tell")
    parts = more.parts if more.parts is not None else (more.together or (0, 0))[1]
    assert parts > 0
    assert needed(squares, 30.0).seeds == 1
    hard = needed(squares, 0.5)
    assert hard.seeds is None
    with pytest.raises(InputError, match="above 0"):
        needed(squares, 0.0)
