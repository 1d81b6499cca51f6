"""The tables of the findings: plain rows, one function a table."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any, TypeVar

import pandas as pd

from samix.errors import InputError
from samix.study.statistics.candidates import PolicyCost, Roles
from samix.study.statistics.effects import Effect, Reason, reason, score_of
from samix.study.statistics.inspection import (
    Inspection,
    Prices,
    best_thresholds,
    inspect,
    part_probabilities,
    recalls_of,
)
from samix.study.statistics.intervals import calibration_of
from samix.study.statistics.labels import LabelEfficiency, compare_with_curve
from samix.study.statistics.tables import PartScores, Question
from samix.study.statistics.trained import FinishedCells, Scores

Row = dict[str, Any]
T = TypeVar("T")
HOUR = 3600.0  # seconds
ENERGY = ("price", "power", "currency")


def curve_rows(by_cell: Scores, measure: str) -> list[Row]:
    """Return score over labels."""
    rows = []
    for where, scores in _each(by_cell):
        score = score_of(scores, measure)
        rows.append(
            {
                **where, "score": score.estimate, "low": score.low, "high": score.high,
                "seeds": len(scores.seeds), "parts": len(scores.parts),
            }
        )  # fmt: skip
    return rows


def policy_rows(
    curve: Sequence[Row],
    gains: Mapping[Question, Mapping[str, Effect]],
    costs: Mapping[Question, Mapping[str, PolicyCost]],
    roles: Roles,
) -> list[Row]:
    """Return scores, gains and costs; a policy without a comparison has none."""
    rows = []
    for one in curve:
        where = (one["mode"], one["labels"])
        effect, cost = gains[where].get(one["policy"]), costs[where][one["policy"]]
        plain = costs[where].get(roles.baseline)
        errors = effect.avoided if effect else (None, None, None)
        kept = ("mode", "labels", "policy", "score", "low", "high")
        rows.append(
            {
                **{name: one[name] for name in kept},
                "gain": effect.points if effect else None,
                "gain_low": effect.low if effect else None,
                "gain_high": effect.high if effect else None,
                "p_holm": effect.p_holm if effect else None,
                "errors_avoided": errors[0], "errors_low": errors[1], "errors_high": errors[2],
                "seconds": cost.seconds,
                "multiple": cost.seconds / plain.seconds if plain else None,
                "alive": cost.alive, "seeds": one["seeds"],
            }
        )  # fmt: skip
    return rows


def recall_rows(trained: FinishedCells, classes: Sequence[str]) -> list[Row]:
    """Return the recall of each class."""
    return [
        {
            **where, "class": one.name, "recall": one.recall.share, "low": one.recall.low,
            "high": one.recall.high, "parts": one.recall.parts, "judgeable": one.judgeable,
        }
        for where, scores in _each(trained.scores)
        for one in recalls_of(scores, classes)
    ]  # fmt: skip


def inspection_rows(
    trained: FinishedCells, good: Collection[str], prices: Prices
) -> tuple[list[Row], list[Reason]]:
    """Return escapes, overkill and costs at the threshold of validation, and notes where not."""
    rows: list[Row] = []
    notes: list[Reason] = []
    for where, test in _each(trained.test):
        mode, labels, policy = where["mode"], where["labels"], where["policy"]
        val = trained.val.get((mode, labels), {}).get(policy, test.iloc[:0])
        lacking = next((kind for table in (test, val) if (kind := _lacks(table, good))), None)
        if lacking is not None:
            note = reason(f"note-no-{lacking}", mode=mode, labels=labels)
            notes += [] if note in notes else [note]
            continue
        judged, chosen = (part_probabilities(table, **where, good=good) for table in (test, val))
        found = inspect(judged, best_thresholds(chosen, prices), prices)
        rows.append({**where, **_rates(found)})
    return rows, notes


def worth_of(
    by_cell: Scores, measure: str, roles: Roles
) -> dict[Question, tuple[LabelEfficiency, ...]]:
    """Return the labels that each policy is worth, where plain training has a curve."""
    found: dict[Question, tuple[LabelEfficiency, ...]] = {}
    for mode, labels in by_cell:
        curve = {
            budget: scores[roles.baseline]
            for (one, budget), scores in by_cell.items()
            if one == mode and roles.baseline in scores
        }
        if len(curve) < 2:
            continue
        found[mode, labels] = tuple(
            compare_with_curve(
                scores, curve, policy=policy, baseline=roles.baseline, labels=labels,
                measure=measure,
            )
            for policy, scores in by_cell[mode, labels].items()
            if policy != roles.baseline and _share_seeds(scores, curve)
        )  # fmt: skip
    return found


def calibration_rows(trained: FinishedCells) -> list[Row]:
    """Return expected calibration errors with their bins."""
    rows = []
    for where, table in _each(trained.test):
        found = calibration_of(table)
        if found is not None:
            bins = [asdict(one) for one in found.bins]
            ends = {"error": found.error, "low": found.low, "high": found.high}
            rows.append({**where, **ends, "bins": bins})
    return rows


def cost_rows(
    trained: FinishedCells,
    costs: Mapping[Question, Mapping[str, PolicyCost]],
    roles: Roles,
    prices: Row,
) -> list[Row]:
    """Return what one training costs at the largest budget of each mode.

    Prices have ``price`` of the machine for an hour and ``power`` in watts, where known.
    """
    for name in ("price", "power"):
        given = prices.get(name)
        if given is not None and not (isinstance(given, (int, float)) and 0 <= given < math.inf):
            raise InputError(f"prices: {name} must be a number of at least 0, got {given!r}.")
    price, power = prices.get("price"), prices.get("power")
    rows = []
    for mode in dict.fromkeys(mode for mode, _ in costs):
        labels = max(budget for one, budget in costs if one == mode)
        here = trained.cells[(trained.cells["mode"] == mode) & (trained.cells["labels"] == labels)]
        plain = costs[mode, labels].get(roles.baseline)
        for policy, cost in costs[mode, labels].items():
            hours = cost.seconds / HOUR
            memory = math.nan
            if "memory_mb" in here.columns:
                memory = float(here.loc[here["policy"] == policy, "memory_mb"].astype(float).max())
            rows.append(
                {
                    "mode": mode, "policy": policy, "seconds": cost.seconds,
                    "multiple": cost.seconds / plain.seconds if plain else None,
                    "memory_mb": memory,
                    "kwh": None if power is None else hours * power / 1000,
                    "money": None if price is None else hours * price,
                }
            )  # fmt: skip
    return rows


def confusion_rows(
    trained: FinishedCells, question: Question, policies: Sequence[str], classes: Sequence[str]
) -> list[Row]:
    """Return how often each class is taken for each by each policy: shares of its photos."""
    rows = []
    for policy in policies:
        table = trained.test.get(question, {}).get(policy)
        if table is None:
            continue
        counts = pd.crosstab(table["target"], table["predicted"])
        counts = counts.reindex(index=list(classes), columns=list(classes), fill_value=0)
        whole = counts.sum(axis=1)
        shares = counts.div(whole.where(whole > 0), axis=0)
        rows.append(
            {
                "policy": policy, "classes": list(classes),
                "shares": shares.to_numpy(float).tolist(), "answers": whole.tolist(),
            }
        )  # fmt: skip
    return rows


def wrong_rows(trained: FinishedCells, question: Question, policy: str, most: int) -> list[Row]:
    """Return the test photos that a policy gets wrong in most seeds, the surest first."""
    table = trained.test.get(question, {}).get(policy)
    if table is None or "photo" not in table.columns:
        return []
    seeds = int(table["seed"].nunique())
    missed = table[table["target"].astype(str) != table["predicted"].astype(str)]
    rows: list[Row] = []
    for photo, some in missed.groupby("photo"):
        said = str(some["predicted"].astype(str).mode().iloc[0])
        sure = float(some[f"p_{said}"].mean()) if f"p_{said}" in some.columns else None
        rows.append(
            {
                "photo": str(photo), "class": str(some["target"].iloc[0]), "said": said,
                "wrong": len(some), "seeds": seeds, "sure": sure,
            }
        )  # fmt: skip
    return sorted(rows, key=lambda row: (-row["wrong"], -(row["sure"] or 0.0)))[:most]


def guard_rows(trained: FinishedCells) -> list[Row]:
    """Return the share of mixes that the guard accepted, where it was on."""
    if "guard_accepted" not in trained.cells.columns:
        return []
    kept = trained.cells.dropna(subset=["guard_accepted"])
    means = kept["guard_accepted"].astype(float).groupby([kept["mode"], kept["policy"]]).mean()
    return [
        {"mode": str(mode), "policy": str(policy), "accepted": float(means.loc[mode, policy])}
        for mode, policy in means.index
    ]


def _each(by_cell: Mapping[Question, Mapping[str, T]]) -> Iterator[tuple[Row, T]]:
    """Yield what there is of each policy at each budget, with the names of its row."""
    for (mode, labels), policies in by_cell.items():
        for policy, one in policies.items():
            yield {"mode": mode, "labels": labels, "policy": policy}, one


def _rates(found: Inspection) -> Row:
    limits = list(found.thresholds.values())
    return {
        "escape": found.escape.share, "escape_low": found.escape.low,
        "escape_high": found.escape.high, "overkill": found.overkill.share,
        "overkill_low": found.overkill.low, "overkill_high": found.overkill.high,
        "cost": found.cost, "cost_low": found.cost_low, "cost_high": found.cost_high,
        "threshold": sum(limits) / len(limits),
        "reject_all": found.unseen[0], "pass_all": found.unseen[1],
        "defect_share": found.defect_share,
    }  # fmt: skip


def _lacks(table: pd.DataFrame, good: Collection[str]) -> str | None:
    bad = (~table["target"].isin(list(good))).groupby(table["group"]).any()
    if not bad.any():
        return "defective"
    return "good" if bad.all() else None


def _share_seeds(scores: PartScores, curve: Mapping[int, PartScores]) -> bool:
    return any(all(seed in one.seeds for one in curve.values()) for seed in scores.seeds)
