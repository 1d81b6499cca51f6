"""Which grid fits a time."""

from __future__ import annotations

import pytest

from samix.study.grid import (
    FROM_RANDOM,
    FROM_WEIGHTS,
    Timing,
    choose,
    ladder,
    long_factors,
    seconds_of,
    steps_of,
    with_mixing,
)
from samix.study.subjects import labels_of

POLICIES = ("none", "mixup", "cutmix", "samix-p", "samix")
MODES = ("supervised", "self-supervised")
SHARES = (0.05, 0.1, 0.25, 1.0)
LABELS = {1.0: 1000, 0.25: 250, 0.1: 100, 0.05: 50}
TIMINGS = {
    mode: {name: Timing(2.0, step * slow, 0.1) for name, step in
           zip(POLICIES, (0.1, 0.1, 0.1, 0.11, 0.15), strict=True)}
    for mode, slow in zip(MODES, (1.0, 2.0), strict=True)
}  # fmt: skip


def fit(seconds: float, steps: int | None = None, **more):
    designs = ladder(POLICIES, SHARES, MODES, steps=steps)
    return choose(designs, TIMINGS, LABELS, seconds=seconds, workers=2, **more)


def test_more_time_buys_a_richer_grid_and_never_more_than_there_is():
    before = 0.0
    for seconds in (600, 1200, 2400, 4800, 10_000, 40_000, 200_000):
        design, took = fit(seconds)
        assert design is not None, seconds
        assert took <= seconds
        work = seconds_of(design, TIMINGS, LABELS)
        assert work >= before
        before = work
    assert design.modes == MODES
    assert design.fractions == (1.0, 0.25, 0.1, 0.05)
    assert design.steps == 2 * FROM_RANDOM.full
    assert design.long_everywhere


def test_the_least_grid_answers_the_main_question_with_plain_training_for_equal_time():
    design, _ = fit(600)
    assert design is not None
    assert design.modes == ("supervised",)
    assert {"none", "none-long", "mixup-long", "samix"} <= set(design.named("supervised"))
    assert design.fractions[0] == 1.0
    assert fit(250)[0].named("supervised") == ["none", "none-long", "samix"]
    nothing, least = fit(60)
    assert nothing is None
    enough, _ = fit(least + 1)
    assert enough is not None
    assert enough.steps >= FROM_RANDOM.least


def test_a_study_that_may_go_on_keeps_time_for_one_more_seed_of_the_main_question():
    design, took = fit(9000)
    assert fit(took)[0] == design
    spare = seconds_of(design, TIMINGS, LABELS, main=True) / 2
    assert spare < seconds_of(design, TIMINGS, LABELS) / 2 / 3  # no small budgets, one mode
    assert fit(took, more=True)[0] != design
    assert fit(took + spare + 1e-6, more=True)[0] == design


def test_trainings_from_weights_are_short_and_never_shorter_than_tells_anything():
    length = FROM_WEIGHTS["cpu"]
    designs = ladder(POLICIES, SHARES, MODES, length=length)
    assert designs[0].steps == 2 * length.full
    assert min(design.steps for design in designs) == length.least
    usual = ladder(POLICIES, SHARES, MODES)
    assert designs[0].policies == usual[0].policies
    assert len(designs) <= len(usual)  # rungs that the least length makes equal are one
    # the last question is about a Mixer that can be alive in so few steps
    assert usual[-1].policies["supervised"] == ("none", "samix")
    assert designs[-1].policies["supervised"] == ("none", "samix-p")
    asked = ladder(("none", "samix"), SHARES, MODES, length=length)
    assert asked[-1].policies["supervised"] == ("none", "samix")


def test_a_study_of_minutes_has_every_policy_and_a_small_part_without_labels():
    design, took = fit(400, steps=100)
    assert design.named("supervised") == ["none", "none-long", *POLICIES[1:]]
    assert design.named("self-supervised") == ["none", "samix"]
    assert (design.steps, design.fractions) == (100, (1.0,))  # whatever the time
    less = fit(took - 1, steps=100)[0]
    assert (less.modes, less.policies["supervised"]) == (("supervised",), POLICIES)


def test_long_policies_make_as_many_steps_as_samix_has_time_for():
    design, _ = fit(200_000)
    factors = long_factors(design, TIMINGS)
    assert factors["supervised"] == {"none-long": 1.5, "mixup-long": 1.5, "cutmix-long": 1.5}
    slow = {m: {**t, "samix": Timing(2.0, 9.0, 0.1)} for m, t in TIMINGS.items()}
    assert long_factors(design, slow)["supervised"]["none-long"] == 3.0  # not without end


def test_the_whole_time_is_the_sum_of_its_trainings():
    design, _ = fit(600)
    named = design.named("supervised")
    total = 0.0
    for at, share in enumerate(design.fractions):
        steps = steps_of(design.steps, LABELS[share], 1000)
        for name in named:
            if name.endswith("-long") and at:
                continue
            timing = TIMINGS["supervised"][name.removesuffix("-long")]
            total += timing.seconds(steps * (1.5 if name.endswith("-long") else 1.0))
    assert seconds_of(design, TIMINGS, LABELS) == pytest.approx(total)


@pytest.mark.parametrize(
    ("labels", "most", "share"), [(1000, 1000, 1.0), (250, 1000, 0.5), (10, 1000, 0.3),
                                  (8000, 8000, 2.0)]
)  # fmt: skip
def test_fewer_labels_have_fewer_steps(labels, most, share):
    assert steps_of(1200, labels, most) == 1200 * share


def test_samix_has_a_rival_that_learns_from_clean_images_too():
    policies = ("none", "mixup", "mixup-clean", "cutmix", "samix")
    designs = ladder(policies, SHARES, MODES)
    for design in designs[:-2]:  # the leanest have plain training alone
        if "supervised" in design.modes:
            assert {"mixup", "mixup-clean"} <= set(design.policies["supervised"])
        assert "mixup-clean" not in design.policies["self-supervised"]
    light = ladder((*policies[:-1], "samix-p"), SHARES, ("supervised",))  # which has none
    assert "mixup-clean" not in light[-3].policies["supervised"]


def test_the_settings_of_a_policy_come_from_its_name_and_the_plan():
    plan = {"options": {"samix": {"alpha": 1.0}}, "sources": {"mixup-clean": "mixup", "own": "/m"}}
    common = {"guard": {}, "lr": 0.1}
    plain = with_mixing(common, "none-long", plan)
    assert plain == {"lr": 0.1, "policy": "none", "policy_options": {}}
    clean = with_mixing(common, "mixup-clean-long", plan)
    assert clean == {**common, "policy": "mixup", "policy_options": {}, "clean_branch": "branch"}
    assert with_mixing({}, "own", plan)["policy"] == "/m"
    assert with_mixing({}, "samix", plan) == {"policy": "samix", "policy_options": {"alpha": 1.0}}


def test_a_folder_whose_name_ends_like_a_clean_rival_is_none(tmp_path):
    folder = tmp_path / "mixer-clean"
    folder.mkdir()
    (folder / "mixer.safetensors").touch()
    assert labels_of(["none", str(folder)]) == {"none": "none", "mixer-clean-own": str(folder)}
