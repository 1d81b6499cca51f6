"""The simulation of sequential studies follows the rules of the product."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from samix.study import Roles, VerdictLimits, weigh
from samix.study.stages import contenders_of, stopped_now
from samix.study.statistics.looks import shares_of

from .simulated import TASKS, TRUTHS, scores_of, study_costs

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
from sequential import POLICIES, drawn, row, studied

LOOKS = shares_of(5)


def by_hand(right):
    """Adopted or not, and the seeds of each policy, by the functions of the product."""
    limits, roles = VerdictLimits(looks=LOOKS), Roles()
    costs = study_costs(dict.fromkeys(POLICIES))
    seeds = dict.fromkeys(POLICIES, max(LOOKS))
    running = list(POLICIES)
    for now in sorted(LOOKS):
        scores = {
            name: scores_of(right[at, : min(now, seeds[name])]) for at, name in enumerate(POLICIES)
        }
        found = contenders_of(scores, costs, roles, limits, "accuracy", running)
        for name in stopped_now(found, "none", running, limits):
            seeds[name] = now
        running = [name for name in running if seeds[name] > now]
        if not running:
            break
    return weigh(scores, costs, limits=limits).kind, [seeds[name] for name in POLICIES]


@pytest.mark.parametrize("truth", ["no effect", "large", "mixup level"])
def test_studies_at_once_are_those_one_by_one(truth):
    gains = TRUTHS[truth]["supervised"]
    rng = np.random.default_rng(len(truth))
    right = drawn(rng, gains, TASKS["90 %, measured"], studies=6, seeds=5, parts=200)
    found = studied(right, LOOKS)
    same = 0
    for at in range(6):
        kind, seeds = by_hand(right[at])
        assert (kind == "adopt") == bool(found["adopt"][at])
        same += seeds == found["seeds"][at].tolist()
    # harm to a class, which the simulation leaves out, ends a policy now and then
    assert same >= 4


def test_nothing_is_adopted_where_nothing_is_and_a_large_effect_is_found():
    nothing = row("no effect", "90 %, measured", shares_of(), 300, 200)
    assert nothing["found"] <= 5
    assert nothing["trainings"] < 0.5
    assert row("large", "90 %, measured", shares_of(), 300, 200)["found"] >= 90
