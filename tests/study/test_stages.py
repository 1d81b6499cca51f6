"""What a study trains next: the room there is, and what stops."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from samix.study import Roles, VerdictLimits, weigh
from samix.study.cells import PocFolder, collect, read_study, run_job, write_cell, write_study
from samix.study.findings import limits_of, roles_of
from samix.study.grid import Cell, jobs_of
from samix.study.stages import asked, contenders_of, pilot_jobs, stages, stopped_now
from samix.study.statistics.effects import across, compare, compare_all, seed_spread
from samix.study.statistics.looks import Outlook, shares_of

from .simulated import LEVEL, simulate, study_costs
from .test_engine import run_all
from .tiny import Here, tiny_study

TASK = {"accuracy": 90.0, "between": 0.838, "within": 0.896}
LOOKS = shares_of()


def with_frozen(study):
    data = {name: study["train"][name] for name in ("data", "device")}
    study["plan"]["policies"]["supervised"].insert(0, "frozen")
    return {**study, "frozen": {**data, "image_size": 64}}


def test_the_frozen_encoder_answers_all_budgets_and_seeds_from_one_reading(tmp_path):
    path = tmp_path / "poc"
    study = with_frozen(tiny_study(path, policies=("none",)))
    write_study(PocFolder(path), study)
    read_study(path)  # a plan with it can be read again
    job = jobs_of(study)[0]
    ended = run_job(str(path), job)
    assert (ended.status, ended.reason) == ("finished", "")
    assert ended.name.startswith("supervised, frozen encoder with a linear head")
    outcomes, cells = collect(PocFolder(path), study)
    frozen = cells[cells["policy"] == "frozen"]
    assert frozen["status"].eq("finished").all()
    assert len(frozen) == 4  # two budgets, two seeds
    assert (frozen["seconds"] > 0).all()
    # the features of fewer photos cost less, and as much again in a second study that knows them
    cost = frozen.groupby("labels")["seconds"].mean()
    assert cost.is_monotonic_increasing
    again = tmp_path / "again"
    write_study(PocFolder(again), with_frozen(tiny_study(again, policies=("none",))))
    assert run_job(str(again), job).status == "finished"
    known = collect(PocFolder(again), study)[1].groupby("labels")["seconds"].mean()
    assert (known / cost).between(0.7, 1.5).all()
    most = max(study["plan"]["labels"])
    said = outcomes[(outcomes["policy"] == "frozen") & (outcomes["labels"] == most)]
    one, other = (said[said["seed"] == seed].reset_index(drop=True) for seed in (0, 1))
    assert one["predicted"].equals(other["predicted"])  # all labels: nothing is drawn
    test = one[one["part"] == "test"]
    assert (test["target"] == test["predicted"]).mean() > 1 / 6


def answered(path, study, right):
    """Write cells of plain training with so many right answers of 100 validation photos."""
    for labels, count in right.items():
        names = [f"photo{i}" for i in range(100)]
        table = pd.DataFrame(
            {
                "photo": names,
                "part": "val",
                "group": names,
                "target": "good",
                "predicted": ["good" if i < count else "dent" for i in range(100)],
            }
        )
        table["policy"], table["seed"], table["labels"] = "none", 0, labels
        table["mode"] = "supervised"
        record = {"status": "finished", "reason": "", "seconds": 1.0}
        write_cell(PocFolder(path), Cell("none", labels, "supervised", 0), table, record)


@pytest.mark.parametrize(
    ("right", "labels", "ended"), [((70, 80), 1, False), ((70, 98), 0, False), ((97, 99), 1, True)]
)
def test_the_question_is_asked_where_there_is_room(tmp_path, right, labels, ended):
    path = tmp_path / "poc"
    study = tiny_study(path)  # it can tell ten points
    answered(path, study, dict(zip(study["plan"]["labels"], right, strict=True)))
    found = asked(PocFolder(path), study)
    assert found["primary"]["labels"] == study["plan"]["labels"][labels]
    assert found["ended"] is ended
    assert found["room"] == {
        str(n): pytest.approx(100 - r) for n, r in zip(study["plan"]["labels"], right, strict=True)
    }
    assert ("asked_first" in found) == (labels == 0)


def test_a_study_without_room_ends_after_its_pilot(tmp_path):
    path = tmp_path / "poc"
    study = tiny_study(path)
    answered(path, study, dict.fromkeys(study["plan"]["labels"], 99))
    found = list(stages(PocFolder(path), study))
    assert found == [pilot_jobs(study)]
    assert read_study(path)["plan"]["ended"] is True


def test_a_sequential_study_goes_seed_by_seed_and_ends_as_a_table_without_gaps(tmp_path):
    path = tmp_path / "poc"
    study = tiny_study(path, policies=("none", "samix"), seeds=(0, 1, 2, 3), epochs=1, looks=True)
    seen = []
    for jobs in stages(PocFolder(path), study):
        seen.append([job.name for job in jobs])
        assert all(one.status == "finished" for one in run_all(path, study, Here(), jobs=jobs))
    assert len(seen[0]) == 2  # plain training of the first seed, at both budgets
    assert len(seen[1]) == 10  # the rest of three seeds
    few, most = study["plan"]["labels"]
    labels = [name.split(", ")[2] for name in seen[1]]
    assert labels == [f"{most} labels"] * 5 + [f"{few} labels"] * 5  # the main question first
    _, cells = collect(PocFolder(path), study)
    assert cells["status"].eq("finished").all()
    written = read_study(path)
    assert written["looked"] in (3, 4)
    again = list(stages(PocFolder(path), written))
    assert sum(map(len, again)) == len(jobs_of(written))  # the same trainings, after a kill too


def test_what_cannot_win_stops_and_what_is_open_goes_on():
    rng = np.random.default_rng(3)
    gains = {**LEVEL, "samix": 2.0}
    whole = simulate(rng, gains, seeds=3, parts=300, **TASK)
    costs, limits, roles = study_costs(whole), VerdictLimits(looks=LOOKS), Roles()
    running = list(whole)
    stopped = stopped_now(
        contenders_of(whole, costs, roles, limits, "accuracy", running), "none", running, limits
    )
    assert "none" not in stopped
    assert "samix" not in stopped
    assert "mixup" not in stopped  # which it must be ahead of
    assert "cutmix" in stopped  # it is already


def test_the_rivals_of_a_level_policy_stop_early():
    rng = np.random.default_rng(2)
    early = 0
    for _ in range(12):
        whole = simulate(rng, LEVEL, seeds=3, parts=600, **TASK)
        limits, running = VerdictLimits(looks=LOOKS), list(whole)
        found = contenders_of(whole, study_costs(whole), Roles(), limits, "accuracy", running)
        stopped = stopped_now(found, "none", running, limits)
        early += set(running) - {"none", "samix", "samix-p"} <= stopped
    assert early >= 9


def test_the_error_is_shared_by_the_looks():
    rng = np.random.default_rng(3)
    whole = simulate(rng, {"none": 0.0, "mixup": 1.0, "samix": 6.0}, seeds=5, parts=300, **TASK)
    looks = shares_of(5)
    found = compare("samix", "none", whole, looks=looks)
    alone = []
    for seeds in (3, 4, 5):
        here = {name: one.at(range(seeds)) for name, one in whole.items()}
        pool = seed_spread(here, "accuracy")
        alone.append(compare("samix", "none", here, pool=pool))
    expected = min(one.p / looks[one.seeds] for one in alone)
    assert found.p == pytest.approx(min(expected, 1.0))
    assert found.points == alone[-1].points
    assert across(looks, alone).p == found.p
    gains = compare_all(whole, baseline="none", looks=looks)
    assert gains[1].p_holm >= found.p


def test_the_chance_to_be_proven_follows_the_lead_and_is_nothing_at_the_last_look():
    whole = simulate(np.random.default_rng(4), LEVEL, seeds=3, parts=400, **TASK)
    squares = compare("samix", "none", whole, pool=seed_spread(whole, "accuracy")).squares
    outlooks = [Outlook(squares, points, LOOKS) for points in (-2, 0, 2, 4, 9)]
    of = [one.lead(margin=1.0, level=0.04) for one in outlooks]
    assert of == sorted(of)
    assert of[0] < 0.1
    assert of[-1] > 0.9
    little = [one.little(worth=1.0) for one in outlooks]
    assert little == sorted(little, reverse=True)
    assert little[0] > 0.5
    assert little[-1] < 0.01
    last = Outlook(squares, 9.0, shares_of(3))
    assert (last.lead(margin=1.0, level=0.04), last.little(worth=1.0)) == (0.0, 0.0)


def test_a_policy_that_may_still_turn_out_worthless_gets_more_seeds():
    rng = np.random.default_rng(6)
    limits, roles, open_ = VerdictLimits(looks=LOOKS), Roles(), 0
    for _ in range(10):
        whole = simulate(rng, {**LEVEL, "samix": -1.0}, seeds=3, parts=2000, **TASK)
        found = contenders_of(whole, study_costs(whole), roles, limits, "accuracy", list(whole))
        full = next(one for one in found if one.known.policy == "samix")
        gain = full.known.gain
        outlook = Outlook(gain.squares, gain.points, LOOKS)
        if not full.known.hopeless(limits.worth) and outlook.lead(margin=1.0, level=0.04) < 0.1:
            near = outlook.little(worth=limits.worth) >= 0.1
            assert (full.undecided(limits), full.fading(limits)) == ([], near)
            stopped = stopped_now([full], "none", list(whole), limits)
            assert ("samix" in stopped, "none" in stopped) == (not near, not near)
            open_ += near
    assert open_ > 0


def test_a_verdict_of_looks_is_no_less_strict_than_one_at_the_end():
    rng = np.random.default_rng(5)
    for _ in range(10):
        whole = simulate(rng, {**LEVEL, "samix": 3.0}, seeds=4, parts=300, **TASK)
        costs = study_costs(whole)
        fixed = weigh(whole, costs)
        looked = weigh(whole, costs, limits=VerdictLimits(looks=shares_of(4)))
        if looked.kind == "adopt":
            assert fixed.kind.startswith("adopt")


def test_roles_and_limits_follow_the_plan():
    assert roles_of({"subjects": ["samix-p", "samix"]}) == Roles()
    assert roles_of({"subjects": ["own", "cutmix"]}) == Roles(full="cutmix", light=("own",))
    assert limits_of({"looks": {"2": 0.2, "3": 0.8}}).looks == {2: 0.2, 3: 0.8}
    assert limits_of({}).looks is None
