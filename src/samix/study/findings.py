"""Everything that a study has found, as plain values for the report and the terminal."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from samix.errors import InputError

from .answers import Answers, answer
from .candidates import Limits, Roles
from .consistency import Consistency
from .finding_rows import (
    ENERGY,
    Row,
    calibration_rows,
    cost_rows,
    curve_rows,
    guard_rows,
    inspection_rows,
    policy_rows,
    recall_rows,
)
from .finding_words import (
    headline,
    notes_of,
    plan_notes,
    rarest_of,
    risks_of,
    training_risks,
    worth_rows,
)
from .inspection import Prices
from .trained import VERSION
from .verdict import Verdict
from .words import Words

WRONG = ("escape", "overkill", "defect_share")


def find(
    outcomes: pd.DataFrame,
    cells: pd.DataFrame,
    *,
    good: Sequence[str] = (),
    prices: Mapping[str, Any] | None = None,
    plan: Mapping[str, Any] | None = None,
    data: Mapping[str, Any] | None = None,
    roles: Roles | None = None,
    limits: Limits | None = None,
) -> dict[str, Any]:
    """Return the findings of a study: numbers, rows and sentences, ready for a JSON file.

    Policies are judged on test parts alone; thresholds are chosen on validation parts. What did not
    finish is left out and named; a comparison uses the seeds that both have.

    Args:
        outcomes: See :func:`samix.study.trained.gather`.
        cells: See there.
        good: Classes that are good parts; with them there are escape and overkill rates.
        prices: ``escape``, ``overkill`` and ``defect_share`` of :class:`Prices`; ``price`` of the
            machine for an hour with its ``currency``, and ``power`` in watts.
        plan: As it was before training; ``primary`` (``mode``, ``labels``) and ``measure`` are
            read, see :func:`samix.study.overall.primary_question` and
            :func:`samix.study.measures.measure_of`.
        data: ``name``, ``classes``, ``photos`` and ``parts`` (by train, val and test), where known.
        roles: Which policy is what; None is the default of :class:`Roles`.
        limits: What counts as much; None is the default of :class:`Limits`.

    Raises:
        InputError: A table is of another version or malformed, nothing finished, or an option names
            what is not there.
    """
    plan, prices, data = dict(plan or {}), dict(prices or {}), dict(data or {})
    wrong = _wrong_prices(prices)
    found = answer(
        outcomes, cells, plan=plan, data=data, good=good, roles=roles or Roles(), limits=limits
    )  # fmt: skip
    stray = [name for name in good if name not in found.classes]
    if stray:
        raise InputError(f"good: '{stray[0]}' is no class; expected of {', '.join(found.classes)}.")
    inspected, unjudged = inspection_rows(found.trained, good, wrong) if good else ([], [])
    guard = guard_rows(found.trained)
    written = {
        "version": VERSION,
        "data": {**_described(found, data), "good": list(good)},
        "plan": plan,
        **_verdicts(found, guard),
        "headline": headline(found),
        **_tables(found),
        "inspection": inspected,
        "rarest": rarest_of(found),
        "labels_worth": worth_rows(found),
        "consistency": _consistency(found.agreement, found.roles),
        "cost": cost_rows(found.trained, found.costs, found.roles, prices),
        "cells": _cells(found),
        "guard": {"accepted": guard} if guard else None,
        "notes": [*notes_of(found, prices=good and not prices), *unjudged, *plan_notes(plan)],
    }
    return {name: plain(value) for name, value in written.items()}


def plain(value: Any) -> Any:
    """Return plain values: sentences by language; None for what is no finite number."""
    if isinstance(value, Words):
        return value.plain()
    if isinstance(value, Mapping):
        return {str(name): plain(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _wrong_prices(prices: Mapping[str, Any]) -> Prices:
    unknown = [name for name in prices if name not in (*WRONG, *ENERGY)]
    if unknown:
        raise InputError(
            f"prices has an unknown key '{unknown[0]}'; expected {', '.join((*WRONG, *ENERGY))}."
        )
    given = {name: prices[name] for name in WRONG if prices.get(name) is not None}
    words = [name for name, value in given.items() if not isinstance(value, (int, float))]
    if words:
        raise InputError(f"prices: {words[0]} must be a number, got {given[words[0]]!r}.")
    return Prices(**given)


def _verdicts(found: Answers, guard: Sequence[Row]) -> Row:
    main = found.overall.verdict
    # what puts the whole study in doubt comes first
    risks = dict.fromkeys((*training_risks(found), *main.risks, *risks_of(found, guard)))
    mode, labels = found.primary
    return {
        "verdict": {**_said(main), "mode": mode, "labels": labels, "risks": list(risks)},
        "verdicts": [
            {**_said(one), "mode": mode, "labels": labels}
            for (mode, labels), one in found.verdicts.items()
        ],
    }


def _tables(found: Answers) -> Row:
    curve = curve_rows(found.scores, found.measure)
    return {
        "curve": curve,
        "policies": policy_rows(curve, found.gains, found.costs, found.roles),
        "recalls": recall_rows(found.trained, found.classes),
        "calibration": calibration_rows(found.trained),
    }


def _cells(found: Answers) -> Row:
    trained = found.trained
    return {
        "planned": trained.count,
        "finished": len(trained.cells),
        "failed": [{"cell": name, "reason": why} for name, why in trained.failed.items()],
        "missing": list(trained.missing),
    }


def _said(verdict: Verdict) -> Row:
    return {
        "kind": verdict.kind, "policy": verdict.policy, "sentence": verdict.sentence,
        "numbers": dict(verdict.numbers), "risks": list(verdict.risks),
    }  # fmt: skip


def _described(answers: Answers, data: Row) -> Row:
    trained = answers.trained
    photos: dict[str, Any] = {"train": max(labels for _, labels in trained.planned)}
    parts: dict[str, Any] = {"train": None}
    for part, tables in (("val", trained.val), ("test", trained.test)):
        table = next((t for of_policy in tables.values() for t in of_policy.values()), None)
        one = None if table is None else table[table["seed"] == table["seed"].iloc[0]]
        photos[part] = 0 if one is None else len(one)
        parts[part] = 0 if one is None else int(one["group"].nunique())
    return {
        "name": data.get("name", ""), "classes": list(answers.classes),
        "photos": data.get("photos", photos), "parts": data.get("parts", parts),
        "measure": answers.measure,
    }  # fmt: skip


def _consistency(found: Consistency | None, roles: Roles) -> Row | None:
    if found is None:
        return None
    rows = [
        {
            "policy": name, "supervised": one.points, "supervised_low": one.low,
            "supervised_high": one.high,
            "self_supervised": found.self_supervised[name].points,
            "self_supervised_low": found.self_supervised[name].low,
            "self_supervised_high": found.self_supervised[name].high,
        }
        for name, one in found.supervised.items()
    ]  # fmt: skip
    return {
        "policies": rows, "correlation": found.correlation, "p": found.p,
        "sentence": found.sentence((roles.full, *roles.light)),
    }  # fmt: skip
