"""The plan of a study, and the trials that it rests on."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

import samix
from samix.data import open_images, write_splits
from samix.errors import InputError
from samix.networks import EMBEDDED
from samix.study import plan as planning
from samix.study import subjects, timing
from samix.study.grid import FROM_RANDOM, FROM_WEIGHTS, Timing, jobs_of
from samix.study.plan import open_study, plan_study
from samix.study.subjects import admit, labels_of
from samix.study.timing import time_policies
from samix.study.wish import Wish, good_of

from .tiny import DATA, NETWORK, Here, opened

POLICIES = ("none", "mixup", "samix")


def wish(**changes):
    return Wish(data=DATA, policies=POLICIES, network=NETWORK, **changes)


@pytest.fixture
def quick(monkeypatch):
    """Trials that take no time."""

    def trials(path, photos, mode, policies, plan, engine, *, announce, **_):
        return {n: Timing(1.0, 0.15 if n == "samix" else 0.1, 0.05) for n in policies}, 1.0

    monkeypatch.setattr(planning, "time_policies", trials)


def plan(tmp_path, **changes):
    asked = wish(**changes)
    return plan_study(asked, open_study(asked, lambda *_: None), Here(), tmp_path / "trials",
                      lambda *_: None)  # fmt: skip


def test_a_plan_says_what_is_trained_and_what_it_can_tell(tmp_path, quick):
    study = plan(tmp_path, budget=3000.0)
    found = study["plan"]
    assert found["primary"] == {"mode": "supervised", "labels": found["labels"][-1]}
    assert found["expected_seconds"] <= found["budget_seconds"] == 3000.0
    least = [job for job in jobs_of(study) if job.seed < 3]
    assert found["trainings"] == len(least)
    assert found["cells"] == sum(len(job.cells) for job in least)
    more = [job for job in jobs_of(study) if job not in least]
    assert {cell.labels for job in more for cell in job.cells} == {found["primary"]["labels"]}
    assert {cell.mode for job in more for cell in job.cells} == {"supervised"}
    assert found["smallest_difference"] > 5  # points, of so few test parts
    assert found["measure"] == "accuracy"  # no side has ten parts
    assert set(found["weak_classes"]) == set(study["data"]["classes"])
    assert found["left_out"] == [0.05, 0.1]  # with one or two labels of a class
    assert study["data"]["photos"]["train"] == found["labels"][-1]
    for job in jobs_of(study):
        assert job.expected > 1


def test_time_decides_what_is_trained_and_not_how_many_seeds(tmp_path, quick):
    some = [plan(tmp_path, budget=seconds)["plan"] for seconds in (1500.0, 60_000.0)]
    assert some[0]["seeds"] == some[1]["seeds"] == list(range(8))
    assert some[0]["trainings"] < some[1]["trainings"]
    told = [plan(tmp_path, budget=9000.0, design="fixed", seeds=n)["plan"] for n in (3, 8)]
    assert told[0]["smallest_difference"] > told[1]["smallest_difference"]


def test_too_little_time_is_told_with_what_would_do(tmp_path, quick):
    with pytest.raises(InputError, match=r"budget=1:00 is too little .* take about \d+:00"):
        plan(tmp_path, budget=60.0)


def test_less_time_than_plain_training_needs_is_refused_before_the_policies_are_timed(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(planning, "time_policies", lambda *_, **__: pytest.fail("timed"))
    monkeypatch.setattr(planning, "plain_step", lambda *_: 1.0)  # 2 x 3 x 150 of them, on one
    with pytest.raises(InputError, match=r"budget=10:00 is too little .* take about 18:00 or more"):
        plan(tmp_path, budget=600.0)


@pytest.mark.parametrize(
    ("network", "start"),
    [
        ({}, "at-hand"),
        ({"image_size": 96}, "at-hand"),
        ({"weights": EMBEDDED}, "named"),
        ({"backbone": "resnet18", "pretrained": True}, "named"),
        ({"backbone": EMBEDDED}, "named"),
        ({"backbone": EMBEDDED, "stem": "small"}, None),
        ({"backbone": "resnet18"}, None),
        ({"pretrained": False}, None),
    ],
)
def test_trainings_begin_with_the_weights_that_are_named_or_at_hand(network, start):
    assert Wish(data="demo", network=network).start == start
    minutes = Wish(data="demo", network=network, steps=90)
    assert minutes.start == (start if start == "named" else None)


def open_quietly(data, **network):
    return open_study(Wish(data=data, network=network), lambda *_: None)


def test_from_weights_the_recipe_is_that_of_a_training_from_weights():
    found = open_quietly("demo:photos_per_class=8,size=64", weights=EMBEDDED, lr=2e-4)
    train = found.train
    assert (train["backbone"], train["weights"], train["image_size"]) == (EMBEDDED, EMBEDDED, 96)
    assert (train["probe"], train["optimizer"], train["norms"]) == (True, "adamw", "frozen")
    assert train["lr"] == 2e-4  # what is given comes first
    assert "model_kwargs" not in train
    assert found.otherwise is None  # nothing else was asked for
    assert found.length == FROM_WEIGHTS["cpu"]
    assert (found.frozen["weights"], found.frozen["image_size"]) == (EMBEDDED, 224)
    assert (found.pretrain["weights"], found.pretrain["lr"]) == (EMBEDDED, 3e-4)


def test_small_photos_begin_with_the_weights_at_hand_where_their_network_is_named():
    found = open_quietly("demo:photos_per_class=8,size=64", backbone=EMBEDDED)
    assert (found.train["backbone"], found.train["weights"]) == (EMBEDDED, EMBEDDED)
    assert (found.train["probe"], found.otherwise) == (True, None)


@pytest.mark.parametrize("brought", ["weights", "mixer"])
def test_a_study_says_which_test_photos_weights_and_mixers_learned_from(tmp_path, brought):
    run = tmp_path / "run"
    run.mkdir()
    alone = open_quietly(DATA)
    files = {"weights": run / "model.safetensors", "mixer": run / "mixer.safetensors"}
    files[brought].write_bytes(b"")
    whole = replace(alone.splits, train=tuple(range(len(alone.images))), val=(), test=())
    write_splits(run / "splits.csv", alone.images, whole)
    (run / "config.yaml").write_text(f"config: {{data: '{DATA}'}}\n")
    policies = ("none", "mixup", *([str(run)] if brought == "mixer" else []))
    network = {"backbone": "resnet18", "weights": str(files["weights"])}
    asked = Wish(data=DATA, policies=policies, network=network if brought == "weights" else {})
    begun = open_study(asked, lambda *_: None)
    assert begun.seen == len(begun.splits.test)
    told = [note for note in begun.notes if "learned from" in note]
    test = len(alone.splits.test)
    assert len(told) == 1
    assert told[0].startswith(f"{test} of {test} test photos were learned from in '{run}'")
    assert not [note for note in alone.notes if "learned from" in note]


def test_a_run_that_is_called_like_a_policy_is_not_taken_for_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "samix").mkdir()
    (tmp_path / "samix" / "mixer.safetensors").write_bytes(b"")
    alone = open_quietly(DATA)
    whole = replace(alone.splits, train=tuple(range(len(alone.images))), val=(), test=())
    write_splits(tmp_path / "samix" / "splits.csv", alone.images, whole)
    (tmp_path / "samix" / "config.yaml").write_text(f"config: {{data: '{DATA}'}}\n")
    assert open_quietly(DATA).seen == 0
    assert not [note for note in open_quietly(DATA).notes if "learned from" in note]


def test_large_photos_begin_with_the_weights_at_hand_and_small_ones_do_not():
    large = open_quietly("demo:photos_per_class=8,size=160")
    assert (large.train["weights"], large.train["image_size"]) == (EMBEDDED, 128)
    assert "weights" not in large.otherwise.train
    assert (large.otherwise.train["image_size"], large.otherwise.length) == (96, FROM_RANDOM)
    small = open_quietly("demo:photos_per_class=8,size=64")
    assert (small.train["backbone"], small.otherwise) == ("resnet18", None)
    assert "weights" not in small.train


def test_where_there_is_no_time_for_weights_at_hand_random_ones_are_planned_with_and_told(
    tmp_path, quick, monkeypatch
):
    monkeypatch.setattr(
        planning, "plain_step", lambda _, opened, __: 9.0 if "weights" in opened.train else 0.01
    )
    asked = Wish(data="demo:photos_per_class=20,size=112", policies=POLICIES, budget=3000.0)
    photos = open_study(asked, lambda *_: None)
    study = plan_study(asked, photos, Here(), tmp_path / "trials", lambda *_: None)
    assert "weights" not in study["train"]
    (said,) = [note for note in study["data"]["notes"] if EMBEDDED in note]
    assert "would need 1:02:00 or more here" in said
    named = replace(asked, network={"weights": EMBEDDED})
    with pytest.raises(InputError, match=r"budget=50:00 is too little"):
        plan_study(named, open_study(named, lambda *_: None), Here(), tmp_path, lambda *_: None)


def test_a_study_of_so_many_steps_takes_the_time_that_it_needs_and_says_so(
    tmp_path, quick, monkeypatch
):
    monkeypatch.setattr(planning, "plain_step", lambda *_: 1.0)
    asked = Wish(data=DATA, policies=POLICIES, budget=300.0, steps=90)
    study = plan_study(asked, open_study(asked, lambda *_: None), Here(), tmp_path, lambda *_: None)
    # the leanest design has two trainings of 45 steps with each of three seeds: 6 whole minutes
    assert study["plan"]["budget_seconds"] == 1.5 * 360
    assert set(study["plan"]["steps"].values()) == {90}
    assert "too slow, or too busy, to do this in 5:00." in study["data"]["notes"][-1]


@pytest.mark.parametrize("mode", ["supervised", "self-supervised"])
def test_a_plain_step_is_no_slower_than_the_trial_of_plain_training(tmp_path, mode):
    torch.set_num_threads(1)

    def trial(place):
        found, _ = time_policies(
            tmp_path / place, opened(), mode, ("none",), {}, Here(), announce=lambda *_: None
        )
        return found["none"].step

    # in turn, and the best of both: other work on the machine slows single ones down
    both = [(timing.plain_step(tmp_path, opened(), mode), trial(place)) for place in "abc"]
    step, timed = (min(times) for times in zip(*both, strict=True))
    assert 0 < step < 1.5 * timed


def test_groups_that_can_hardly_be_parts_are_told():
    parts = (
        SimpleNamespace(groups=("a", "a", "b", "b", None)),
        SimpleNamespace(targets=(0, 0, 1, 1, 0)),
    )
    lots = (
        SimpleNamespace(groups=("a", "a", "b", "b", None)),
        SimpleNamespace(targets=(0, 1, 1, 0, 0)),
    )
    assert planning._lots_note(*parts[::-1]) == ()
    (said,) = planning._lots_note(*lots[::-1])
    assert said.startswith("2 of 2 groups hold photos of several classes.")


def test_turns_end_in_time_whether_they_agree_or_not(tmp_path, monkeypatch):
    monkeypatch.setattr(timing, "_agree", lambda _: False)
    job = timing._job(opened(), "supervised", "none", {})
    steps = iter(range(100))
    trial = (lambda _: next(steps) + 1.0, 1.0, lambda: 0.1)
    monkeypatch.setattr(timing, "_opened", lambda *_: trial)
    timing.timed(str(tmp_path), [job], 2, 0.0)
    assert next(steps) == 2  # the first ones, which choose kernels, and one round
    timing.timed(str(tmp_path), [job], 2)
    assert next(steps) == 3 + 1 + 8


def test_policies_take_turns_until_their_times_agree_and_leave_nothing(tmp_path):
    torch.set_num_threads(1)
    found, share = time_policies(
        tmp_path / "trials", opened(), "supervised", ("none", "samix"), {}, Here(),
        announce=lambda *_: None,
    )  # fmt: skip
    assert list(found) == ["none", "samix"]
    for one in found.values():
        assert min(one.step, one.look, one.start) > 0
    assert found["samix"].step > found["none"].step
    assert 0 < share <= 1
    assert not (tmp_path / "trials").exists()


def test_rounds_agree_where_ratios_do_whatever_the_machine_does():
    from samix.study.timing import _agree

    slow = [{"none": n, "samix": 1.7 * n} for n in (1.0, 3.0, 0.5)]
    assert _agree(slow)
    assert not _agree([*slow, {"none": 1.0, "samix": 2.0}])


def test_a_policy_that_cannot_be_trained_is_told_before_anything_long(tmp_path):
    with pytest.raises(InputError, match=r"samix \(supervised\) cannot be trained here: .*alpha"):
        time_policies(
            tmp_path / "trials", opened(), "supervised", ("samix",),
            {"options": {"samix": {"alpha": -1.0}}}, Here(), announce=lambda *_: None,
        )  # fmt: skip
    assert not (tmp_path / "trials").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"policies": ("none",)}, "a study compares policies; .* got none"),
        ({"policies": ("samix",)}, "a study compares policies; .* got samix"),
        ({"policies": ("samix", "mixup")}, "expected 'none'"),
        ({"policies": ("none", "samix", "mixpu")}, "'mixpu' is no policy"),
        ({"policies": ("none", "none", "samix")}, "a policy is named twice"),
        ({"modes": ("supervise",)}, "modes: expected some of"),
        ({"fractions": (0.0, 1.0)}, "labels: expected percentages"),
        ({"policies": ("none", "samix-clean")}, "samix learns from clean images anyway"),
        ({"policies": ("none", "automix-clean")}, "automix learns from clean images anyway"),
        ({"policies": ("none", "none-clean")}, "none learns from clean images anyway"),
        ({"policies": ("none", "mixpu-clean")}, "'mixpu-clean' is no policy"),
        ({"policies": ("none", "mixup-clean")}, "modes: 'mixup-clean' learns .* beside labels"),
        ({"seeds": 2}, "seeds: expected at least 3, got 2"),
        ({"budget": 30.0}, "budget=30s is too little to tell anything"),
        ({"design": "fix"}, "design: expected sequential or fixed, got 'fix'"),
    ],
)
def test_a_wish_is_checked(changes, message):
    with pytest.raises(InputError, match=message):
        Wish(**{"data": DATA, **changes})


def test_settings_follow_the_photos(tmp_path):
    skewed = tmp_path / "photos"
    images = open_images("demo:photos_per_class=24,size=128,views=1")
    for at, target in enumerate(images.targets):
        if target > 1 or (target == 1 and at % 4):
            continue
        folder = skewed / images.classes[target]
        folder.mkdir(parents=True, exist_ok=True)
        images.read(at).save(folder / f"{at}.png")
    large = open_study(Wish(data=str(skewed), network={"device": "cpu"}), lambda *_: None)
    assert large.train["image_size"] == 128
    random = large.otherwise.train
    assert (random["image_size"], random["stem"]) == (96, None)
    small = opened()
    assert small.train["balance"] == 0.0
    assert random["balance"] == 0.5  # four times as many of one class
    with pytest.raises(InputError, match="good: 'ok' is no class of 'photos'"):
        open_study(Wish(data=str(skewed), good=("ok",)), lambda *_: None)


def test_good_parts_are_told_by_their_name():
    assert good_of(("blowhole", "Good", "crack")) == ("Good",)
    assert good_of(("良品", "割れ")) == ("良品",)
    assert good_of(("no_defect", "scratch")) == ("no_defect",)
    assert good_of(("ok", "good", "crack")) == ()  # two: nobody knows which
    assert good_of(("shirt", "dress")) == ()
    assert opened().good == ("good",)
    assert "taken to be the good parts" in opened().notes[-1]
    assert opened(good=("dent",)).good == ("dent",)


def test_the_frozen_encoder_is_in_every_plan_where_its_weights_are(tmp_path, quick):
    study = plan(tmp_path, budget=3000.0)
    assert study["plan"]["policies"]["supervised"][0] == "frozen"
    first = jobs_of(study)[0]
    assert first.command == "frozen"
    assert {cell.seed for cell in first.cells} == {0, 1, 2}
    assert {cell.labels for cell in first.cells} == set(study["plan"]["labels"])


def test_without_a_learned_policy_the_last_one_is_in_question(tmp_path, quick, monkeypatch):
    asked = Wish(data=DATA, policies=("none", "mixup", "cutmix"), network=NETWORK, budget=3000.0)
    assert asked.subjects == ("cutmix",)
    study = plan_study(asked, open_study(asked, lambda *_: None), Here(), tmp_path / "trials",
                       lambda *_: None)  # fmt: skip
    assert study["plan"]["subjects"] == ["cutmix"]
    assert study["plan"]["policies"]["supervised"] == ["frozen", "none", "mixup", "cutmix"]


def test_the_looks_share_the_error(tmp_path, quick):
    looks = plan(tmp_path, budget=3000.0)["plan"]["looks"]
    assert sum(looks.values()) == pytest.approx(1, abs=1e-4)
    assert list(looks) == ["3", "4", "5", "6", "7", "8"]
    assert looks["3"] == 0.5  # most studies end there
    fixed = plan(tmp_path, budget=3000.0, design="fixed")["plan"]
    assert fixed["looks"] == {}
    assert len(fixed["seeds"]) == 3


def test_the_guard_goes_to_policies_that_mix(tmp_path, quick):
    asked = Wish(data=DATA, policies=POLICIES, network={**NETWORK, "guard": {}}, budget=3000.0)
    study = plan_study(asked, open_study(asked, lambda *_: None), Here(), tmp_path / "trials",
                       lambda *_: None)  # fmt: skip
    for job in jobs_of(study):
        mixes = job.settings["policy"] not in ("none", "frozen")
        assert ("guard" in job.settings) == mixes, job.name


def test_a_policy_of_a_file_keeps_its_label_once_it_is_known(tmp_path, monkeypatch):
    (tmp_path / "mine_of_plan.py").write_text(
        "import samix\n\n\ndef halves(images, index, generator):\n    raise NotImplementedError\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    given = ("none", "mine_of_plan:halves", "mine_of_plan:cutmix")
    first = labels_of(given)
    assert list(first) == ["none", "halves", "cutmix-own"]
    monkeypatch.setattr(subjects, "_ADMITTED", {})
    try:
        admit({"halves": first["halves"]})
        assert labels_of(given) == first
    finally:
        samix.POLICIES.pop("halves", None)
