"""Studies for the report's tests: findings of simulated trainings, with names that mean harm."""

from __future__ import annotations

import copy
import functools
import io
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from samix.study import find
from tests.study.whole import POLICIES, study

SCRIPT, PATH = "<script>alert(1)</script>", "../../x"
PRICES = {"escape": 50, "overkill": 1, "price": 1.5, "power": 200, "currency": "EUR"}
REASONS = 40  # failed trainings of the long study, with reasons of several lines


def renamed(outcomes: pd.DataFrame) -> pd.DataFrame:
    """The same answers with a script and a path in place of two classes."""
    names = {"stain": SCRIPT, "crack": PATH}
    outcomes = outcomes.replace({"target": names, "predicted": names})
    return outcomes.rename(columns={f"p_{old}": f"p_{new}" for old, new in names.items()})


@functools.cache
def _whole() -> dict[str, Any]:
    gains = {"mixup": 2.0, "samix-p": 3.0, "samix": 12.0}
    losses = {"mixup": -2.0, "samix": -12.0}
    outcomes, cells = study(
        np.random.default_rng(0), gains, self_supervised=losses, parts=60, budgets=(50, 400)
    )
    broken = cells["folder"].eq("supervised/samix-p-400-s1")
    cells.loc[broken, ["status", "reason"]] = ("failed", f"The disk of '{SCRIPT}' is full.")
    gone = cells["folder"].eq("self-supervised/mixup-50-s2")
    cells.loc[gone, ["status", "seconds"]] = ("missing", np.nan)
    return find(renamed(outcomes), cells, good=("good",), prices=PRICES, data={"name": SCRIPT})


@functools.cache
def _bare() -> dict[str, Any]:
    outcomes, cells = study(np.random.default_rng(1), {"samix": 3.0}, parts=36, budgets=(400,))
    one, there = outcomes["mode"] == "supervised", cells["mode"] == "supervised"
    cells, outcomes = cells[there].copy(), outcomes[one].drop(columns=["p_crack", "p_good",
                                                                        "p_stain"])  # fmt: skip
    # a policy of which every training failed
    lost = cells["policy"].eq("mixup")
    cells.loc[lost, ["status", "reason"]] = ("failed", "Out of memory.")
    cells["guard_accepted"] = np.nan
    return find(outcomes[outcomes["policy"] != "mixup"], cells)


def whole_findings() -> dict[str, Any]:
    """Both modes, two budgets, inspection, prices, a failed and a missing training."""
    return copy.deepcopy(_whole())


def bare_findings() -> dict[str, Any]:
    """Supervised alone, one budget, no inspection, no prices, no probabilities, a lost policy."""
    return copy.deepcopy(_bare())


def long_findings() -> dict[str, Any]:
    """The whole study with many failed trainings, whose reasons take several lines."""
    found = whole_findings()
    found["cells"]["failed"] = [
        {
            "cell": f"begin{at:03}",
            "reason": " ".join(f"word{at:03}x{n}" for n in range(30 + 7 * (at % 5)))
            + f" end{at:03}",
        }
        for at in range(REASONS)
    ]
    return found


def study_of(findings: dict[str, Any]) -> dict[str, Any]:
    """poc.yaml beside the findings."""
    return {
        "version": 1, "command": f"samix poc 'photos/{SCRIPT}' --good good",
        "started": "2025-01-02T03:04:05", "versions": {"samix": "0.1.0", "torch": "2.12.0"},
        "machine": {"system": "Linux x86_64", "cores": 2},
        "data": {
            "source": f"photos/{SCRIPT}", "name": SCRIPT, "classes": findings["data"]["classes"],
            "photos": {"train": 400, "val": 30, "test": 60},
            "parts": {"train": 380, "val": 30, "test": 60}, "image_size": 64, "good": ["good"],
        },
        "plan": {
            "policies": {mode: list(POLICIES) for mode in ("supervised", "self-supervised")},
            "modes": ["supervised", "self-supervised"],
            "labels": [50, 400], "fractions": [0.125, 1.0], "seeds": [0, 1, 2],
            "primary": {"mode": "supervised", "labels": 400}, "epochs": {"50": 40, "400": 25},
            "budget_seconds": 7200, "expected_seconds": 5000, "smallest_difference": 4.8,
            "pretrain_epochs": 60, "options": {"samix": {"alpha": 2.0}}, "cells": 60, "workers": 2,
        },
        "train": {"backbone": "resnet18", "lr": 0.1, "tap": None},
        "pretrain": {"method": "moco"}, "prices": PRICES,
    }  # fmt: skip


def health() -> dict[str, Any]:
    """Data with one of everything that can be wrong."""
    twins = [
        {"photo": f"{SCRIPT}/1.png", "class": SCRIPT, "part": "train"},
        {"photo": f"{PATH}/2.png", "class": PATH, "part": "unused"},
    ]
    return {
        "version": 1, "photos": 490, "unused": 0, "unlabelled": 3,
        "classes": [
            {"class": name, "photos": {"train": n, "val": 10, "test": 20},
             "parts": {"train": n, "val": 10, "test": tests}, "recall_within": 0.13}
            for name, n, tests in ((PATH, 40, 20), ("good", 320, 20), (SCRIPT, 40, 6))
        ],
        "imbalance": 8.0, "few": [{"class": SCRIPT, "test_parts": 6, "least": 10}],
        "duplicates": {
            "searched": True, "groups": 4, "photos": 9, "exact": 2, "large": 1, "split": 1,
            "affected": {"val": 0, "test": 1}, "examples": [twins],
        },
        "disagreeing": {"groups": 1, "examples": [twins]},
        "skipped": {"count": 1, "photos": [{"photo": f"{SCRIPT}.png", "reason": "It is torn."}]},
    }  # fmt: skip


def clean_health() -> dict[str, Any]:
    """Data without anything wrong, and without classes."""
    return {
        **health(), "unlabelled": 0, "classes": [], "imbalance": 1.0, "few": [],
        "duplicates": {
            "searched": True, "groups": 0, "photos": 0, "exact": 0, "large": 0, "split": 0,
            "affected": {"val": 0, "test": 0}, "examples": [],
        },
        "disagreeing": {"groups": 0, "examples": []}, "skipped": {"count": 0, "photos": []},
    }  # fmt: skip


def png() -> bytes:
    """A small picture."""
    file = io.BytesIO()
    Image.new("RGB", (80, 20), (200, 30, 30)).save(file, "PNG")
    return file.getvalue()


def pictures() -> list[dict[str, Any]]:
    """A row of mixes, a row of where a model looks, and a reason why there is no third."""
    caption = {"en": "How to read it.", "ja": "見方の説明。"}
    same = {"en": SCRIPT, "ja": SCRIPT}
    return [
        {"part": "mixes", "png": png(), "title": same, "state": "changed", "caption": caption,
         "badge": {"en": "guard: would repair it", "ja": "ガード: 修正対象"},
         "columns": [same, same, {"en": "mask", "ja": "マスク"}, {"en": "mix", "ja": "混合画像"}],
         "lines": [{"en": "lam 0.40", "ja": "lam 0.40 です"}]},
        {"part": "mixes", "png": png(), "title": same, "caption": caption},
        {"part": "where", "png": png(), "title": same, "caption": caption},
        {"part": "wrong", "png": png(), "title": same, "caption": caption, "columns": [same, same],
         "lines": [{"en": "taken for good", "ja": "良品と判定"}]},
        {"part": "where", "caption": {"en": "No picture of samix.", "ja": "画像はありません。"}},
    ]  # fmt: skip
