"""The plan of a study, and the trials that it rests on."""

from __future__ import annotations

import csv

import pytest
import torch

from samix.data import open_images
from samix.errors import InputError
from samix.study import plan as planning
from samix.study.grid import Timing, jobs_of
from samix.study.plan import Wish, _write_few, open_study, plan_study, time_policies

from .test_engine import Here
from .tiny import DATA, NETWORK, opened

POLICIES = ("none", "mixup", "samix")


def wish(**changes):
    return Wish(data=DATA, policies=POLICIES, network=NETWORK, **changes)


@pytest.fixture
def quick(monkeypatch):
    """Trials that take no time."""

    def trials(path, photos, policies, options, engine, announce, *, quick):
        return {m: {n: Timing(1.0, 0.15 if n == "samix" else 0.1, 0.05) for n in names}
                for m, names in policies.items()}  # fmt: skip

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
    assert found["trainings"] == len(jobs_of(study))
    assert found["cells"] == sum(len(job.cells) for job in jobs_of(study))
    assert found["smallest_difference"] > 5  # points, of so few test parts
    assert found["measure"] == "accuracy"  # no side has ten parts
    assert set(found["weak_classes"]) == set(study["data"]["classes"])
    assert found["left_out"] == [0.05, 0.1]  # with one or two labels of a class
    assert study["data"]["photos"]["train"] == found["labels"][-1]
    for job in jobs_of(study):
        assert job.expected > 1


def test_a_longer_time_shows_smaller_differences(tmp_path, quick):
    some = [plan(tmp_path, budget=seconds)["plan"] for seconds in (1500.0, 60_000.0)]
    assert len(some[0]["seeds"]) < len(some[1]["seeds"])
    assert some[0]["smallest_difference"] > some[1]["smallest_difference"]


def test_too_little_time_is_told_with_what_would_do(tmp_path, quick):
    with pytest.raises(InputError, match=r"--budget 1:00 is too little .* take about \d+:00"):
        plan(tmp_path, budget=60.0)


def test_trials_time_real_trainings_and_leave_nothing(tmp_path):
    torch.set_num_threads(1)
    found = time_policies(
        tmp_path / "trials", opened(), {"supervised": ("none", "samix")}, {}, Here(),
        lambda *_: None,
    )  # fmt: skip
    assert list(found["supervised"]) == ["none", "samix"]
    for timing in found["supervised"].values():
        assert timing.step > 0
        assert timing.look > 0
    assert not (tmp_path / "trials").exists()


def test_quick_trials_take_hand_made_policies_to_be_as_quick_as_plain_training(tmp_path):
    torch.set_num_threads(1)
    asked: list[int] = []
    found = time_policies(
        tmp_path / "trials", opened(), {"supervised": ("none", "cutmix", "mixup")}, {}, Here(),
        lambda what, done, total: asked.append(total), quick=True,
    )["supervised"]  # fmt: skip
    assert found["cutmix"] == found["mixup"] == found["none"]
    assert set(asked) == {1}


def test_a_policy_that_cannot_be_trained_is_told_before_anything_long(tmp_path):
    with pytest.raises(InputError, match=r"samix.* cannot be trained here: .*alpha"):
        time_policies(
            tmp_path / "trials", opened(), {"supervised": ("samix",)},
            {"samix": {"alpha": -1.0}}, Here(), lambda *_: None,
        )  # fmt: skip
    assert not (tmp_path / "trials").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"policies": ("none", "mixup")}, "needs 'none', which everything is compared with"),
        ({"policies": ("samix", "mixup")}, "needs 'none'"),
        ({"policies": ("none", "samix", "mixpu")}, "'mixpu' is no policy"),
        ({"policies": ("none", "none", "samix")}, "names a policy twice"),
        ({"modes": ("supervise",)}, "--modes must be some of"),
        ({"fractions": (0.0, 1.0)}, "--labels must be percentages"),
        ({"seeds": 1}, "--seeds must be at least 2, got 1"),
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
    assert large.train["image_size"] == 96
    assert large.train["stem"] is None
    small = opened()
    assert small.train["balance"] == 0.0
    assert large.train["balance"] == 0.5  # four times as many of one class
    with pytest.raises(InputError, match="--good: 'ok' is no class of 'photos'"):
        open_study(Wish(data=str(skewed), good=("ok",)), lambda *_: None)


def test_a_split_for_trials_has_every_class(tmp_path):
    photos = opened()
    _write_few(tmp_path, photos, 2)
    with (tmp_path / "splits.csv").open() as file:
        rows = list(csv.DictReader(file))
    train = [row["path"] for row in rows if row["split"] == "train"]
    of = dict(zip(photos.images.keys, photos.images.targets, strict=True))
    assert {of[path] for path in train} == set(range(len(photos.images.classes)))
    assert len(train) < len(photos.splits.train)
