"""The findings of a whole study: what is in them, in both languages, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest

from samix.errors import InputError
from samix.study import find

from .whole import BUDGETS, POLICIES, study

PRICES = {"escape": 50, "overkill": 1, "price": 1.5, "power": 200, "currency": "EUR"}
KEYS = {
    "version", "data", "plan", "verdict", "verdicts", "headline", "curve", "policies", "recalls",
    "confusion", "wrong",
    "rarest", "inspection", "labels_worth", "consistency", "calibration", "cost", "cells", "guard",
    "notes",
}  # fmt: skip


@pytest.fixture(scope="module")
def tables() -> tuple[pd.DataFrame, pd.DataFrame]:
    gains = {"mixup": 2.0, "samix-p": 3.0, "samix": 12.0}
    losses = {"mixup": -2.0, "samix-p": -3.0, "samix": -12.0}
    return study(np.random.default_rng(0), gains, self_supervised=losses)


@pytest.fixture(scope="module")
def found(tables: tuple[pd.DataFrame, pd.DataFrame]) -> dict[str, Any]:
    return find(*tables, good=("good",), prices=PRICES, plan={"seeds": 3}, data={"name": "parts"})


def sentences(value: Any) -> list[dict[str, str]]:
    """Every value that holds a language."""
    if isinstance(value, dict):
        if "en" in value or "ja" in value:
            return [value]
        return [one for part in value.values() for one in sentences(part)]
    if isinstance(value, list):
        return [one for part in value for one in sentences(part)]
    return []


def test_the_structure_is_complete_and_plain(found: dict[str, Any]) -> None:
    assert set(found) == KEYS
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    whole = len(BUDGETS) * 2 * len(POLICIES)
    assert len(found["curve"]) == len(found["policies"]) == len(found["calibration"]) == whole
    assert len(found["inspection"]) == whole
    assert len(found["recalls"]) == 3 * whole
    assert len(found["verdicts"]) == len(BUDGETS) * 2
    assert len(found["cost"]) == 2 * len(POLICIES)
    assert len(found["labels_worth"]) == whole - len(BUDGETS) * 2
    assert found["data"]["photos"] == {"train": 400, "val": 60, "test": 120}
    assert found["data"]["parts"] == {"train": None, "val": 60, "test": 120}
    assert found["data"]["measure"] == "accuracy"
    assert found["cells"] == {"planned": 90, "finished": 90, "failed": [], "missing": []}


def test_every_sentence_is_in_both_languages(found: dict[str, Any]) -> None:
    told = sentences(found)
    assert len(told) > 40
    for one in told:
        assert set(one) == {"en", "ja"}
        assert one["en"].isascii(), one
        assert any("\u3040" <= letter <= "\u9fff" for letter in one["ja"]), one
        assert "None" not in one["en"] + one["ja"]
        assert "nan" not in one["en"].lower().split()


def test_a_gain_with_a_loss_is_said_plainly(found: dict[str, Any]) -> None:
    verdict = found["verdict"]
    assert (verdict["kind"], verdict["mode"], verdict["labels"]) == ("adopt", "supervised", 400)
    assert "This is shown for supervised learning only" in verdict["sentence"]["en"]
    assert "samix loses" in verdict["sentence"]["en"]
    assert "教師あり学習に限ります" in verdict["sentence"]["ja"]
    assert any("is worse than plain training" in risk["en"] for risk in verdict["risks"])
    agreement = found["consistency"]
    assert agreement["correlation"] < 0
    assert "The gain of samix" in agreement["sentence"]["en"]
    assert "opposite signs" in agreement["sentence"]["en"]
    assert [row["policy"] for row in agreement["policies"]] == list(POLICIES[1:])


def test_the_three_headlines(found: dict[str, Any]) -> None:
    head = found["headline"]
    assert head["accuracy"]["low"] < head["accuracy"]["value"] < head["accuracy"]["high"]
    assert head["accuracy"]["value"] == found["verdict"]["compared"][0]["points"]
    assert "samix with 200 labels" in head["label_efficiency"]["sentence"]["en"]
    assert head["consistency"]["value"] == found["consistency"]["correlation"]


def test_costs_follow_the_prices(found: dict[str, Any]) -> None:
    row = next(r for r in found["cost"] if r["policy"] == "samix")
    assert row["kwh"] == pytest.approx(150 / 3600 * 0.2)
    assert row["money"] == pytest.approx(150 / 3600 * 1.5)
    assert row["multiple"] == pytest.approx(150 / 62)
    assert row["memory_mb"] == 512.0


def test_without_prices_or_good_classes(tables: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    bare = find(*tables)
    assert bare["inspection"] == []
    assert {row["kwh"] for row in bare["cost"]} == {row["money"] for row in bare["cost"]} == {None}
    usual = find(*tables, good=("good",))
    assert any("No prices were given" in note["en"] for note in usual["notes"])


def test_thresholds_come_from_validation_and_scores_from_test(
    tables: tuple[pd.DataFrame, pd.DataFrame], found: dict[str, Any]
) -> None:
    outcomes, cells = tables
    worse = outcomes.copy()
    val = worse["part"] == "val"
    worse.loc[val, "predicted"] = "crack"
    names = ["p_crack", "p_good", "p_stain"]
    worse.loc[val, names] = np.tile([0.0, 1.0, 0.0], (int(val.sum()), 1))
    again = find(worse, cells, good=("good",), prices=PRICES)
    assert again["curve"] == found["curve"]
    assert again["calibration"] == found["calibration"]
    assert again["inspection"] != found["inspection"]


@pytest.mark.parametrize(
    ("escape", "overkill", "told"),
    [(1e6, 1e-3, "to reject every part without looking"), (1e-3, 1e6, "to pass every part")],
)
def test_errors_that_cost_as_much_as_not_looking_are_a_risk(
    tables: tuple[pd.DataFrame, pd.DataFrame], escape: float, overkill: float, told: str
) -> None:
    dear = find(*tables, good=("good",), prices={"escape": escape, "overkill": overkill})
    said = [risk["en"] for risk in dear["verdict"]["risks"] if "saves nothing" in risk["en"]]
    assert len(said) == 1
    assert told in said[0]


@pytest.mark.parametrize("prices", [{"escape": 2.0, "overkill": 1.0}, {"price": 2.0}])
def test_other_prices_are_no_such_risk(
    tables: tuple[pd.DataFrame, pd.DataFrame], prices: dict[str, float]
) -> None:
    """Errors that cost less than not looking, and the price of the machine alone."""
    found = find(*tables, good=("good",), prices=prices)
    assert "saves nothing" not in str(found["verdict"]["risks"])


def test_what_did_not_finish_is_left_out_and_named(
    tables: tuple[pd.DataFrame, pd.DataFrame],
) -> None:
    outcomes, cells = tables
    cells = cells.copy()
    broken = cells["folder"].eq("supervised/samix-400-s1")
    cells.loc[broken, ["status", "reason"]] = ("failed", "Disk full.")
    gone = cells["folder"].eq("supervised/mixup-400-s2")
    cells.loc[gone, ["status", "seconds"]] = ("missing", np.nan)
    lost = cells["folder"].eq("supervised/none-50-s0")
    kept = ~(outcomes["policy"].eq("none") & outcomes["labels"].eq(50) & outcomes["seed"].eq(0)
             & outcomes["mode"].eq("supervised"))  # fmt: skip
    found = find(outcomes[kept], cells)
    assert lost.any()
    assert found["cells"]["failed"] == [
        {"cell": "supervised/samix-400-s1", "reason": "Disk full."},
        {"cell": "supervised/none-50-s0", "reason": "It left no answers."},
    ]
    assert found["cells"]["missing"] == ["supervised/mixup-400-s2"]
    row = next(r for r in found["policies"] if (r["policy"], r["labels"], r["mode"]) ==
               ("samix", 400, "supervised"))  # fmt: skip
    assert row["seeds"] == 2
    assert any("failed" in note["en"] for note in found["notes"])


def test_a_main_question_without_an_answer_is_not_proven(
    tables: tuple[pd.DataFrame, pd.DataFrame],
) -> None:
    outcomes, cells = tables
    cells = cells.copy()
    at = cells["policy"].eq("none") & cells["labels"].eq(400) & cells["mode"].eq("supervised")
    cells.loc[at, "status"] = "missing"
    found = find(outcomes, cells)
    assert found["verdict"]["kind"] == "not-proven"
    assert "has no answer" in found["verdict"]["sentence"]["en"]
    assert found["headline"]["accuracy"] is None
    assert any("No verdict for" in note["en"] for note in found["notes"])


def test_the_plan_names_the_main_question(tables: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    asked = {"primary": {"mode": "self-supervised", "labels": 50}, "measure": "balanced_accuracy"}
    found = find(*tables, plan=asked)
    assert (found["verdict"]["mode"], found["verdict"]["labels"]) == ("self-supervised", 50)
    assert found["data"]["measure"] == "balanced_accuracy"
    assert found["verdict"]["kind"] == "do-not-adopt"
    hint = "That was not the main question"
    assert any(hint in risk["en"] for risk in found["verdict"]["risks"])


def test_label_budgets_that_were_asked_for_and_not_trained_are_told(
    tables: tuple[pd.DataFrame, pd.DataFrame],
) -> None:
    found = find(*tables, plan={"left_out": [0.05], "not_planned": [0.1, 0.25]})
    told = " ".join(note["en"] for note in found["notes"])
    assert "Not trained with 5 % of the labels: the smallest class has too few" in told
    assert "Not trained with 10 % and 25 % of the labels: the time did not suffice" in told
    assert not any("Not trained" in note["en"] for note in find(*tables)["notes"])


def test_policies_that_were_asked_for_and_not_trained_are_told(
    tables: tuple[pd.DataFrame, pd.DataFrame],
) -> None:
    plan = {
        "policies": {"supervised": ["none", "none-long", "samix"]},
        "timings": {"supervised": {"none": {}, "samix": {}, "mine": {}, "cutmix": {}}},
    }
    notes = [note["en"] for note in find(*tables, plan=plan)["notes"]]
    assert "Not trained: mine and cutmix. The time did not suffice (--budget)." in notes


def test_one_mode_and_one_budget() -> None:
    outcomes, cells = study(np.random.default_rng(1), budgets=(400,), parts=60)
    one = outcomes["mode"] == "supervised"
    found = find(outcomes[one], cells[cells["mode"] == "supervised"])
    assert found["consistency"] is None
    assert found["headline"]["label_efficiency"] is None
    assert found["labels_worth"] == []
    assert any("two label budgets" in note["en"] for note in found["notes"])


def test_many_of_one_class_lead_to_balanced_accuracy() -> None:
    outcomes, cells = study(np.random.default_rng(2), budgets=(400,), parts=120)
    number = outcomes["group"].str.rsplit("-", n=1).str[1].astype(int)
    rare = outcomes["target"].ne("good") & (number > 35)
    found = find(outcomes[~rare], cells)
    assert found["data"]["measure"] == "balanced_accuracy"
    assert found["rarest"]["class"] in ("crack", "stain")
    assert any("has many more test parts" in note["en"] for note in found["notes"])


def few_defects(outcomes: pd.DataFrame) -> pd.DataFrame:
    """Leave fewer than ten parts of each defect class."""
    number = outcomes["group"].str.rsplit("-", n=1).str[1].astype(int)
    rank = number.groupby([outcomes["target"]]).rank("dense")
    return outcomes[outcomes["target"].eq("good") | (rank <= 8)]


@pytest.mark.parametrize("good", [(), ("good",)])
def test_one_judgeable_class_is_told_from_all_others(good: tuple[str, ...]) -> None:
    outcomes, cells = study(np.random.default_rng(2), budgets=(400,), parts=120)
    found = find(few_defects(outcomes), cells, good=good)
    assert found["data"]["measure"] == "detection"
    assert "detection accuracy" in found["headline"]["accuracy"]["sentence"]["en"]
    assert any("Detection accuracy is compared" in note["en"] for note in found["notes"])
    assert {row["class"] for row in found["recalls"]} == {"good", "crack", "stain"}


def test_detection_counts_a_defect_under_another_name_as_found_and_a_guess_as_half() -> None:
    outcomes, cells = study(np.random.default_rng(2), budgets=(400,), parts=120)
    outcomes = few_defects(outcomes)
    swapped = outcomes["target"].map({"good": "good", "crack": "stain", "stain": "crack"})
    named = find(outcomes.assign(predicted=swapped), cells)
    assert {row["score"] for row in named["curve"]} == {1.0}
    blind = find(outcomes.assign(predicted="good"), cells)
    assert {row["score"] for row in blind["curve"]} == {0.5}
    assert any("better than guessing" in risk["en"] for risk in blind["verdict"]["risks"])


def test_detection_is_not_taken_where_the_others_together_are_too_few() -> None:
    outcomes, cells = study(np.random.default_rng(2), budgets=(400,), parts=120)
    few = few_defects(outcomes)
    one = few[few["target"].eq("good") | few["group"].isin(few["group"][few["target"] == "crack"])]
    assert find(one, cells)["data"]["measure"] == "accuracy"
    asked = find(one, cells, plan={"measure": "detection"})
    assert asked["data"]["measure"] == "detection"
    with pytest.raises(InputError, match="needs test parts beside good"):
        find(one[one["target"] == "good"], cells, plan={"measure": "detection"})


def test_classes_without_test_parts_and_a_busy_guard_are_risks(
    tables: tuple[pd.DataFrame, pd.DataFrame],
) -> None:
    outcomes, cells = tables
    busy = cells.assign(guard_accepted=cells["guard_accepted"] - 0.3)
    found = find(outcomes, busy, data={"classes": ["crack", "dent", "good", "stain"]})
    risks = [risk["en"] for risk in found["verdict"]["risks"]]
    assert any("No test part shows 'dent'" in risk for risk in risks)
    assert any("replaced or repaired 33% of the mixes of samix" in risk for risk in risks)
    assert any("weakest class of samix" in risk for risk in risks)
    dent = next(row for row in found["recalls"] if row["class"] == "dent")
    assert (dent["recall"], dent["judgeable"]) == (None, False)


def test_names_that_look_like_html_stay_names(tables: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    outcomes, cells = tables
    bad = "<script>alert(1)</script>"
    renamed = outcomes.replace({"target": {"stain": bad}, "predicted": {"stain": bad}})
    found = find(renamed.rename(columns={"p_stain": f"p_{bad}"}), cells)
    assert bad in found["data"]["classes"]


def test_tables_of_another_version_are_refused(tables: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    outcomes, cells = tables
    other = outcomes.copy()
    other.attrs["version"] = 2
    with pytest.raises(InputError, match="has version 2, expected 1"):
        find(other, cells)
    with pytest.raises(InputError, match=r"no column 'part'.* another version of samix"):
        find(outcomes.drop(columns="part"), cells)
    with pytest.raises(InputError, match=r"no column 'status'"):
        find(outcomes, cells.drop(columns="status"))


def test_values_that_cannot_be_are_refused(tables: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    outcomes, cells = tables
    with pytest.raises(InputError, match="'mode' of the table of outcomes holds 'unsupervised'"):
        find(outcomes.replace({"mode": {"supervised": "unsupervised"}}), cells)
    with pytest.raises(InputError, match="'part' of the table of outcomes holds 'train'"):
        find(outcomes.replace({"part": {"val": "train"}}), cells)
    with pytest.raises(InputError, match="'status' of the table of cells holds 'done'"):
        find(outcomes, cells.replace({"status": {"finished": "done"}}))
    with pytest.raises(InputError, match="two rows of 'supervised/none-50-s0'"):
        find(outcomes, pd.concat([cells, cells.iloc[:1]]))
    with pytest.raises(InputError, match="nothing to judge yet"):
        find(outcomes, cells.assign(status="missing"))
    with pytest.raises(InputError, match="nothing was planned"):
        find(outcomes, cells.iloc[:0])
    with pytest.raises(InputError, match="probability of a class is missing"):
        find(outcomes.assign(p_good=np.nan), cells)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"good": ("fine",)}, "'fine' is no class"),
        ({"prices": {"eskape": 3}}, "unknown key 'eskape'"),
        ({"prices": {"escape": "much"}}, "escape must be a number"),
        ({"prices": {"escape": -1}}, "Prices must be"),
        ({"prices": {"power": -1}}, "power must be a number of at least 0"),
        ({"plan": {"primary": {"mode": "semi"}}}, "mode 'semi' was not planned"),
        ({"plan": {"primary": {"labels": 7}}}, "7 labels were not planned"),
        ({"plan": {"primary": {"label": 50}}}, "unknown key 'label'"),
        ({"plan": {"measure": "f1"}}, "measure 'f1' is unknown"),
    ],
)
def test_wrong_options_are_refused(
    tables: tuple[pd.DataFrame, pd.DataFrame], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        find(*tables, **options)


def test_trainings_too_short_or_too_weak_to_tell_are_said_to_be_that() -> None:
    outcomes, cells = study(np.random.default_rng(1), {"none-long": 12.0})
    risks = [one["en"] for one in find(outcomes, cells)["verdict"]["risks"]]
    assert risks[0].startswith("Plain training gains from longer training alone")
    assert not any("better than guessing" in one for one in risks)
    rng = np.random.default_rng(2)
    guessed = outcomes.assign(predicted=rng.permutation(outcomes["predicted"].to_numpy()))
    risks = [one["en"] for one in find(guessed, cells)["verdict"]["risks"]]
    assert any("not shown to be better than guessing" in one for one in risks)
    assert not any("longer training alone" in one for one in risks)
