"""Ranks in both modes, calibration, words, and how the verdicts are joined."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pandas as pd
import pytest
import torch
from torchmetrics.functional.classification import multiclass_calibration_error

from samix.errors import InputError
from samix.study import Words, find, overall_verdict, primary_question, weigh
from samix.study.overall import rank_correlation
from samix.study.statistics.intervals import calibration_of
from samix.study.wording import said_once, sentence_of

from .simulated import TASKS, simulate, study_costs, study_of
from .whole import study

PLANNED = [("supervised", 50), ("supervised", 400), ("self-supervised", 50)]
PRIMARY = ("supervised", 1000)


def overall(rng: np.random.Generator, truth: str, seeds: int = 3, parts: int = 300) -> str:
    tables = study_of(rng, truth, task=TASKS["90 %, measured"], seeds=seeds, parts=parts)
    verdicts = {where: weigh(scores, study_costs(scores)) for where, scores in tables.items()}
    return overall_verdict(verdicts, PRIMARY).kind


def test_rank_correlation_by_hand() -> None:
    up = np.array([1.0, 2.0, 3.0, 4.0])
    assert rank_correlation(up, 10 * up) == (pytest.approx(1.0), pytest.approx(2 / 24))
    assert rank_correlation(up, -up) == (pytest.approx(-1.0), pytest.approx(2 / 24))
    known, p = rank_correlation(up[:2], up[:2])
    assert math.isnan(known)
    assert p == 1.0
    assert math.isnan(rank_correlation(up, np.ones(4))[0])


def test_rank_correlation_is_rarely_significant_by_chance() -> None:
    rng = np.random.default_rng(0)
    for count in (6, 9):
        p = [rank_correlation(rng.normal(size=count), rng.normal(size=count))[1] for _ in range(60)]
        assert np.mean(np.array(p) < 0.05) <= 0.15


def rows_of(
    sure: np.ndarray, right: np.ndarray, seed: int = 0, group: np.ndarray | None = None
) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "seed": seed, "group": np.arange(len(sure)) if group is None else group,
            "target": "a", "predicted": np.where(right, "a", "b"),
            "p_a": np.where(right, sure, 1 - sure), "p_b": np.where(right, 1 - sure, sure),
        }
    )  # fmt: skip


def test_calibration_is_that_of_torchmetrics() -> None:
    rng = np.random.default_rng(1)
    sure = rng.uniform(0.5, 1.0, 400)
    right = rng.random(400) < 0.8
    found = calibration_of(rows_of(sure, right))
    probabilities = torch.from_numpy(rows_of(sure, right)[["p_a", "p_b"]].to_numpy().copy())
    theirs = multiclass_calibration_error(probabilities, torch.zeros(400, dtype=int), 2, n_bins=15)
    assert found is not None
    assert found.error == pytest.approx(float(theirs), abs=1e-6)
    assert found.low < found.error < found.high
    assert sum(one.photos for one in found.bins) == 400
    assert [one.confidence for one in found.bins] == sorted(one.confidence for one in found.bins)


def test_calibration_interval_covers_and_narrows_with_parts() -> None:
    rng = np.random.default_rng(2)
    covered, widths = 0, {}
    for parts in (100, 1000):
        for _ in range(40):
            seeds = []
            for seed in range(3):
                sure = rng.choice([0.6, 0.9], parts)
                seeds.append(rows_of(sure, rng.random(parts) < sure - 0.2, seed))
            found = calibration_of(pd.concat(seeds))
            assert found is not None
            covered += found.low <= 0.2 <= found.high
            widths[parts] = found.high - found.low
    assert covered / 80 >= 0.9
    assert widths[1000] < widths[100]


def test_calibration_without_probabilities_or_parts() -> None:
    rows = rows_of(np.array([0.9]), np.array([True]))
    one = calibration_of(rows)
    assert one is not None
    assert (one.low, one.high) == (0.0, 1.0)
    assert calibration_of(rows.drop(columns=["p_a", "p_b"])) is None
    with pytest.raises(InputError, match="not in 0 to 1"):
        calibration_of(rows.assign(p_a=1.4))


def test_no_words_in_one_language_alone() -> None:
    with pytest.raises(ValueError, match="both languages"):
        Words("Only English.", "")
    with pytest.raises(ValueError, match="both languages"):
        Words(" ", "日本語のみ")
    assert not Words("", "")


def test_the_main_question() -> None:
    assert primary_question(PLANNED) == ("supervised", 400)
    assert primary_question(PLANNED[2:]) == ("self-supervised", 50)
    assert primary_question(PLANNED, {"mode": "self-supervised"}) == ("self-supervised", 50)
    assert primary_question(PLANNED, {"labels": 50}) == ("supervised", 50)
    assert primary_question(PLANNED, {"labels": "all"}) == ("supervised", 400)


@pytest.mark.parametrize("seeds", [3, 5])
def test_a_large_effect_is_found_and_no_effect_is_not(seeds: int) -> None:
    """300 parts, seven free rivals; 1,000 studies each are in benchmarks/results/verdict.csv."""
    rng = np.random.default_rng(3)
    large = Counter(overall(rng, "large", seeds) for _ in range(60))
    none = Counter(overall(rng, "no effect", seeds) for _ in range(60))
    assert large["adopt"] + large["adopt-light"] >= 51
    assert none["adopt"] + none["adopt-light"] <= 3


@pytest.mark.parametrize("truth", ["longer training", "mixup level, rest far", "lucky seed"])
def test_what_is_no_gain_is_not_adopted(truth: str) -> None:
    rng = np.random.default_rng(4)
    kinds = Counter(overall(rng, truth) for _ in range(80))
    assert kinds["adopt"] + kinds["adopt-light"] <= 8


def test_other_questions_never_turn_into_a_recommendation() -> None:
    rng = np.random.default_rng(5)
    good = simulate(rng, {"none": 0.0, "none-long": 0.0, "samix": 15.0}, parts=300)
    level = simulate(rng, {"none": 0.0, "none-long": 0.0, "samix": 0.0}, parts=300)
    verdicts = {
        PRIMARY: weigh(level, study_costs(level)),
        ("supervised", 50): weigh(good, study_costs(good)),
        ("self-supervised", 1000): weigh(good, study_costs(good)),
    }
    joined = overall_verdict(verdicts, PRIMARY)
    assert joined.kind == verdicts[PRIMARY].kind == "not-proven"
    assert (
        sum("hint for the next study" in risk.en for risk in said_once(joined.verdict.risks)) == 2
    )
    assert (
        "In self-supervised learning with 1,000 labelled photos" in sentence_of(joined.verdict).en
    )


@pytest.mark.slow
def test_no_effect_in_a_whole_study_is_hardly_ever_adopted() -> None:
    """Both modes and two budgets together, from the tables."""
    kinds = Counter(
        find(*study(np.random.default_rng(seed), parts=60, budgets=(50, 400)))["verdict"]["kind"]
        for seed in range(12)
    )
    assert kinds["adopt"] + kinds["adopt-light"] <= 1
