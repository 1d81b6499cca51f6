"""The plan of a study as people read it, before anything is trained."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from samix.study.grid import LONG
from samix.study.wording import WHAT
from samix.training.progress import clock

from .summary import cell, say


def print_plan(study: Mapping[str, Any], console: Console) -> None:
    """Print the grid, what it takes, and what it will and will not be able to tell."""
    plan, data = study["plan"], study["data"]
    photos, parts = data["photos"], data["parts"]
    say(
        console,
        f"{data['name']}: {photos['train']} photos to train, {photos['val']} val, "
        f"{photos['test']} test ({parts['test']} independent test parts), "
        f"{len(data['classes'])} classes; {study['train']['backbone']} at "
        f"{data['image_size']} px on {study['train']['device']}",
    )
    console.print(_timings(plan))
    for mode in plan["modes"]:
        say(console, f"{mode}: {', '.join(plan['policies'][mode])}")
    budgets = ", ".join(
        f"{count} ({100 * share:g} %, {_epochs(plan, count)})"
        for count, share in zip(plan["labels"], plan["fractions"], strict=True)
    )
    say(console, f"labels: {budgets}; seeds: {len(plan['seeds'])}")
    if any(name.endswith(LONG) for names in plan["policies"].values() for name in names):
        say(console, f"'{LONG[1:]}': trained for as long as SAMix takes")
    say(
        console,
        f"{plan['trainings']} trainings, {plan['workers']} at a time, about "
        f"{clock(plan['expected_seconds'])} of {clock(plan['budget_seconds'])}",
    )
    for line in _tells(plan, data):
        say(console, line)


def _epochs(plan: Mapping[str, Any], labels: int) -> str:
    if "supervised" not in plan["modes"]:
        return f"{plan['pretrain_epochs']} epochs"
    return f"{plan['epochs'][str(labels)]} epochs"


def _timings(plan: Mapping[str, Any]) -> Table:
    """Return what a step of each policy takes."""
    table = Table()
    table.add_column("time of a step")
    modes = list(plan["timings"])
    for mode in modes:
        table.add_column(mode, justify="right")
    for name in plan["timings"][modes[0]]:
        cells = []
        for mode in modes:
            timings = plan["timings"][mode]
            best = {policy: t.get("best") or t["step"] for policy, t in timings.items()}
            step = 1000 * timings[name]["step"]
            cells.append(f"{step:.0f} ms  x{best[name] / best['none']:.2f}")
        table.add_row(cell(name), *cells)
    return table


def _tells(plan: Mapping[str, Any], data: Mapping[str, Any]) -> list[str]:
    """Return what the plan can tell, and what it cannot."""
    main = plan["primary"]
    measure = WHAT[plan["measure"]].en
    found = [f"Main question: {measure} of {main['mode']} learning with {main['labels']} labels."]
    smallest = plan["smallest_difference"]
    if math.isfinite(smallest):
        found.append(
            f"It can tell: a true lead of {smallest:.1f} points or more over every rival, in 4 of "
            "5 such studies. Smaller ones will mostly be 'not proven'."
        )
    weak = plan["weak_classes"]
    if weak:
        named = ", ".join(f"{name} ({count})" for name, count in weak.items())
        found.append(f"It cannot tell: recalls of classes with too few test parts: {named}.")
    if plan["left_out"]:
        shares = ", ".join(f"{100 * share:g} %" for share in plan["left_out"])
        found.append(f"Too few labels of the smallest class: {shares}.")
    if plan["not_planned"]:
        shares = ", ".join(f"{100 * share:g} %" for share in plan["not_planned"])
        found.append(f"No time for the label budgets: {shares}.")
    if "self-supervised" not in plan["modes"]:
        found.append("No self-supervised training is planned.")
    return found
