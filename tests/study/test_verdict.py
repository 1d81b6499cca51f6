"""Each rule of the verdict on hand-made cases, and all of them on simulations with known truth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from samix.errors import InputError
from samix.study import PartScores, PolicyCost, Verdict, VerdictLimits, judge, weigh
from samix.study.statistics.candidates import costs_of
from samix.study.statistics.effects import reason
from samix.study.wording import said_once, say, sentence_of

from .simulated import CLASSES, cells_of, costs, outcomes_of, scores_of, simulate

NOTHING = {"none": 0.0, "mixup": 0.0, "none-long": 0.0, "samix-p": 0.0, "samix": 0.0}


def made(parts: int = 900, **shares: float | tuple[float, float, float]) -> dict[str, PartScores]:
    """Shares of right parts in all classes or in each; seeds differ by few parts."""
    order = np.argsort(np.random.default_rng(0).random(parts))
    target = np.arange(parts) % 3
    rank = np.empty(parts)
    for c in range(3):
        mine = order[target[order] == c]
        rank[mine] = (np.arange(len(mine)) + 0.5) / len(mine)
    found = {}
    for name, share in shares.items():
        of_class = np.broadcast_to(np.asarray(share, dtype=float), (3,))
        rows = [rank < of_class[target] + 0.002 * (seed - 1) for seed in range(3)]
        found[name.replace("_", "-")] = scores_of(np.stack(rows), target)
    return found


def kind_of(scores: Mapping[str, PartScores], **alive: float) -> Verdict:
    return weigh(scores, costs(scores, **alive))


def test_adopt() -> None:
    verdict = kind_of(made(none=0.8, mixup=0.81, none_long=0.82, samix=0.9, samix_p=0.82))
    assert (verdict.kind, verdict.policy) == ("adopt", "samix")
    assert "+10.0 points of accuracy" in sentence_of(verdict).en
    assert "better than plain training, longer, the best rival without" in sentence_of(verdict).en
    assert verdict.compared[0].policy == "samix"
    assert verdict.compared[0].points == pytest.approx(10.0)
    assert verdict.numbers["wall_time_ratio"] == pytest.approx(2.5)


def test_what_only_says_the_most_frequent_class_is_never_recommended() -> None:
    """Always "good" is right in 284 of 300 parts; the other classes are too small to show harm."""
    target = np.repeat([0, 1, 2], [8, 284, 8])
    rng = np.random.default_rng(0)

    def rows(share: float) -> PartScores:
        return scores_of(rng.random((3, 300)) < share, target)

    always = scores_of(np.tile(target == 1, (3, 1)), target)
    scores = {"none": rows(0.7), "mixup": rows(0.7), "none-long": rows(0.7), "samix": always}
    verdict = kind_of(scores)
    assert (verdict.kind, verdict.policy) == ("not-proven", "samix")
    assert "not shown to be better than guessing (94.7 % against 94.7 %)" in sentence_of(verdict).en
    assert kind_of({**scores, "samix": rows(0.999)}).kind == "adopt"


def test_adopt_the_light_version_where_it_is_not_worse() -> None:
    verdict = kind_of(made(none=0.8, mixup=0.81, none_long=0.81, samix=0.9, samix_p=0.9))
    assert (verdict.kind, verdict.policy) == ("adopt-light", "samix-p")
    assert "worse than samix by less than 1 point" in sentence_of(verdict).en


def test_adopt_the_light_version_where_the_full_one_is_not_proven() -> None:
    verdict = kind_of(made(none=0.8, mixup=0.81, none_long=0.9, samix=0.9, samix_p=0.9))
    assert (verdict.kind, verdict.policy) == ("adopt-light", "samix-p")
    assert "samix is not proven itself" in sentence_of(verdict).en


def test_the_full_version_where_the_light_one_is_clearly_worse() -> None:
    verdict = kind_of(made(none=0.8, mixup=0.8, none_long=0.8, samix=0.92, samix_p=0.86))
    assert verdict.kind == "adopt"
    assert "samix-p, which costs less, is proven too" in sentence_of(verdict).en


@pytest.mark.parametrize("rival", [0.9, 0.895, 0.95])
def test_a_free_rival_that_is_level_or_better_is_used(rival: float) -> None:
    verdict = kind_of(made(none=0.8, mixup=rival, none_long=0.82, samix=0.9))
    assert (verdict.kind, verdict.policy) == ("use-simple", "mixup")
    assert "samix is not ahead of it" in sentence_of(verdict).en


def test_longer_training_is_a_free_rival() -> None:
    verdict = kind_of(made(none=0.8, mixup=0.81, none_long=0.9, samix=0.9))
    assert (verdict.kind, verdict.policy) == ("use-simple", "none-long")


def test_a_rival_that_took_more_time_does_not_count() -> None:
    scores = made(none=0.8, mixup=0.9, none_long=0.82, samix=0.9)
    slow = {**costs(scores), "mixup": PolicyCost(400.0)}
    assert weigh(scores, slow).kind == "adopt"


def test_time_is_that_of_the_seeds_that_all_policies_have() -> None:
    cells = cells_of({"none": PolicyCost(30.0), "mixup": PolicyCost(31.0)})
    later = cells_of({"none": PolicyCost(90.0)}).assign(seed=lambda rows: rows["seed"] + 3)
    found = costs_of(pd.concat([cells, later]), mode="supervised", labels=100)
    assert {name: cost.seconds for name, cost in found.items()} == {"none": 30.0, "mixup": 31.0}
    apart = pd.concat([cells[cells["policy"] == "mixup"], later])
    found = costs_of(apart, mode="supervised", labels=100)
    assert {name: cost.seconds for name, cost in found.items()} == {"none": 90.0, "mixup": 31.0}


def test_without_a_rival_of_equal_wall_time_nothing_is_adopted() -> None:
    verdict = kind_of(made(none=0.8, mixup=0.81, samix=0.9))
    assert verdict.kind == "not-proven"
    assert "train plainly for as long" in sentence_of(verdict).en


def test_do_not_adopt_where_plain_is_better() -> None:
    verdict = kind_of(made(none=0.9, mixup=0.9, none_long=0.9, samix=0.85))
    assert verdict.kind == "do-not-adopt"
    assert "plain training is better than samix" in sentence_of(verdict).en
    assert "50 errors more per 1,000 parts" in sentence_of(verdict).en


def test_do_not_adopt_where_no_gain_is_left_to_find() -> None:
    verdict = kind_of(made(none=0.9, mixup=0.9, none_long=0.9, samix=0.9, parts=3000))
    assert verdict.kind == "do-not-adopt"
    assert "gains less than 1 point, if anything" in sentence_of(verdict).en


def test_do_not_adopt_where_one_class_is_harmed() -> None:
    shares = {"none": 0.8, "mixup": 0.8, "none_long": 0.8, "samix": (0.7, 1.0, 1.0)}
    verdict = kind_of(made(**shares))
    assert verdict.kind == "do-not-adopt"
    assert f"lowers the recall of '{CLASSES[0]}' by 10.0 points" in sentence_of(verdict).en
    assert any("lowers the recall" in risk.en for risk in said_once(verdict.risks))


def test_many_harmed_classes_are_counted_and_the_worst_is_named() -> None:
    shares = {"none": 0.8, "mixup": 0.8, "none_long": 0.8, "samix": (0.7, 1.0, 1.0)}
    one = next(effect for effect in kind_of(made(**shares)).effects if effect.policy == "samix")
    lost = {"hole": -12.0, "dent": -30.5, "crack": -4.25, "stain": -8.0}
    harms = [replace(one, measure=f"recall:{name}", points=by) for name, by in lost.items()]
    many, three = (
        say(reason("risk-harm", policy="samix", lost=reason("lost-recalls", harms=some)))
        for some in (harms, harms[:3])
    )
    assert many.en == (
        "samix lowers the recall of 4 classes by 4.2 to 30.5 points, most of all 'dent'."
    )
    assert (
        "再現率が下がるクラスがあります：4 クラスで 4.2〜30.5 ポイント（最大は「dent」）" in many.ja
    )
    assert "'hole' by 12.0 points, 'dent' by 30.5 points and 'crack' by 4.2 points" in three.en


def test_a_dead_mixer_is_said_to_be_that() -> None:
    verdict = kind_of(made(none=0.8, mixup=0.8, none_long=0.8, samix=0.9), samix=0.0)
    assert verdict.kind == "mixer-not-alive"
    assert (
        "was alive at the end of no training, so SAMix itself was not tested"
        in sentence_of(verdict).en
    )
    rival = kind_of(made(none=0.8, mixup=0.9, none_long=0.8, samix=0.9), samix=0.0)
    assert rival.kind == "use-simple"
    assert "was alive at the end of no training" in sentence_of(rival).en
    partly = kind_of(made(none=0.8, mixup=0.81, none_long=0.82, samix=0.9), samix=2 / 3)
    assert partly.kind == "adopt"
    assert [risk.en for risk in said_once(partly.risks)] == [
        "The Mixer of samix was alive at the end in 67% of the seeds only."
    ]


def test_one_seed_is_never_enough() -> None:
    scores = {
        name: one.at([0])
        for name, one in made(none=0.6, mixup=0.6, none_long=0.6, samix=0.9).items()
    }
    verdict = kind_of(scores)
    assert verdict.kind == "not-proven"
    assert "more seed" in sentence_of(verdict).en
    assert any("One seed" in risk.en for risk in said_once(verdict.risks))


def test_not_proven_says_how_many_would_tell() -> None:
    scores = simulate(np.random.default_rng(0), {**NOTHING, "samix": 5.0}, parts=60)
    verdict = kind_of(scores)
    assert verdict.kind == "not-proven"
    assert "would tell" in sentence_of(verdict).en
    assert verdict.numbers["difference_to_show"] >= 1.0
    assert verdict.numbers["more_parts"] > 0


def test_no_effect_is_adopted_in_at_most_one_case_of_twenty() -> None:
    rng = np.random.default_rng(1)
    kinds = Counter(kind_of(simulate(rng, NOTHING)).kind for _ in range(200))
    assert kinds["adopt"] + kinds["adopt-light"] <= 10
    assert kinds["not-proven"] >= 150


def test_an_effect_of_longer_training_alone_is_not_adopted() -> None:
    rng = np.random.default_rng(2)
    gains = {**NOTHING, "none-long": 5.0, "samix": 5.0}
    kinds = Counter(kind_of(simulate(rng, gains, parts=1000)).kind for _ in range(60))
    assert kinds["adopt"] + kinds["adopt-light"] <= 3
    assert kinds["use-simple"] >= 45


@pytest.mark.parametrize("seeds", [3, 5])
def test_five_points_are_found_with_enough_parts_and_not_with_few(seeds: int) -> None:
    rng = np.random.default_rng(3)
    gains = {**NOTHING, "samix": 5.0}
    many = [kind_of(simulate(rng, gains, parts=2000, seeds=seeds)).kind for _ in range(40)]
    few = [kind_of(simulate(rng, gains, parts=40, seeds=seeds)).kind for _ in range(40)]
    assert many.count("adopt") >= 36
    assert few.count("not-proven") >= 30


def test_one_lucky_seed_is_not_proof() -> None:
    scores = made(none=0.8, mixup=0.8, none_long=0.8, samix=0.8)
    right = scores["samix"].right.copy()
    right[1] = right[1] + (1 - right[1]) * (np.arange(900) % 3 == 0)
    lucky = scores_of(right, scores["samix"].target)
    assert kind_of({**scores, "samix": lucky}).kind == "not-proven"


def test_tables_give_what_scores_give() -> None:
    scores = made(none=0.8, mixup=0.81, none_long=0.82, samix=0.9, parts=300)
    given = costs(scores)
    asked = {"mode": "supervised", "labels": 100}
    table, cells = outcomes_of(scores), cells_of(given)
    assert judge(table, cells, **asked) == weigh(scores, given)
    dead = cells.assign(alive=cells["alive"].map({True: False}, na_action="ignore"))
    assert "was alive at the end of no training" in sentence_of(judge(table, dead, **asked)).en
    with pytest.raises(InputError, match="needs outcomes of 'samix'"):
        judge(table[table["policy"] != "samix"], cells, **asked)
    with pytest.raises(InputError, match="needs outcomes of 'none'"):
        judge(table[table["policy"] != "none"], cells, **asked)
    with pytest.raises(InputError, match="no row of policy 'mixup'"):
        judge(table, cells[cells["policy"] != "mixup"], **asked)
    with pytest.raises(InputError, match="no wall time"):
        judge(table, cells.assign(seconds=np.nan), **asked)
    with pytest.raises(InputError, match="no column 'alive'"):
        judge(table, cells.drop(columns="alive"), **asked)
    with pytest.raises(InputError, match="about accuracy, balanced_accuracy, detection"):
        judge(table, cells, **asked, measure="recall:good")
    with pytest.raises(InputError, match="no column 'policy'"):
        judge(pd.DataFrame(), cells, **asked)


def test_a_little_more_time_for_the_rivals_is_no_excuse() -> None:
    """Where no rival had the same time, those that had more must be beaten."""
    scores = made(none=0.8, mixup=0.81, none_long=0.82, samix=0.9)
    slower = {**costs(scores), "none-long": PolicyCost(400.0)}
    assert weigh(scores, slower).kind == "adopt"
    better = made(none=0.8, mixup=0.81, none_long=0.9, samix=0.9)
    assert weigh(better, slower).kind == "not-proven"


def test_limits_are_checked() -> None:
    with pytest.raises(InputError, match="worth and margin above 0"):
        VerdictLimits(worth=0.0)
