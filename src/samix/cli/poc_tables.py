"""What `samix poc` prints: the plan, each training as it ends, and the verdict."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from samix.cli.running import cell, say

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from samix.study.cells import Ended, PocFolder
    from samix.training import Display

_RISKS = 6  # that are shown


def print_plan(study: Mapping[str, Any], console: Console) -> None:
    """Print the grid, what it takes, and what it will and will not be able to tell."""
    from samix.study.grid import LONG
    from samix.training.progress import clock

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
    upto = "up to " if plan.get("looks") else ""
    say(console, f"labels: {budgets}; seeds: {upto}{len(plan['seeds'])}")
    if any(name.endswith(LONG) for names in plan["policies"].values() for name in names):
        say(console, f"'{LONG[1:]}': trained for as long as SAMix takes")
    say(
        console,
        f"{upto}{plan['trainings']} trainings, {plan['workers']} at a time, about "
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
    from rich.table import Table

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
    from samix.pages.words import word

    main = plan["primary"]
    measure = word(f"measure-{plan['measure']}").en
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


def print_room(study: Mapping[str, Any], console: Console) -> None:
    """Say how much room plain training leaves, and what is asked because of it."""
    plan = study["plan"]
    main = int(plan["primary"]["labels"])
    shown = plan["smallest_difference"]
    left = "; ".join(
        f"{labels} labels: {points:.1f} points" for labels, points in plan["room"].items()
    )
    say(
        console,
        f"Room: plain training leaves, on validation photos, {left}. The study can tell a lead of "
        f"{shown:.1f} points or more.",
    )
    if plan["ended"]:
        say(
            console,
            "So nothing that mixes photos can be shown to pay here, and the study ends. Keep plain "
            "training; or ask again with fewer labels (--labels 1 5), or with more test photos.",
        )
    elif "asked_first" in plan:
        say(
            console,
            f"With {plan['asked_first']} labels that is too little to tell anything: the main "
            f"question is that of {main} labels.",
        )


def print_stopped(study: Mapping[str, Any], known: set[str], display: Display) -> set[str]:
    """Say which policies were stopped since the last time; return all that are."""
    stopped = study.get("stopped") or {}
    new = [name for name in stopped if name not in known]
    if new:
        seeds = max(stopped[name] for name in new)
        display.say(f"Decided after {seeds} seeds, no further training: {', '.join(new)}")
    return set(stopped)


def print_ended(result: Ended, number: int, count: int, display: Display) -> None:
    """Print one line for a training that ended."""
    from samix.training.progress import clock

    if result.status == "failed":
        display.say(f"[{number}/{count}] {result.name}: FAILED, {result.reason}")
        return
    accuracy = "" if result.accuracy is None else f"test {result.accuracy:.1%}, "
    display.say(f"[{number}/{count}] {result.name}: {accuracy}{clock(result.seconds or 0.0)}")


def print_verdict(
    findings: Mapping[str, Any], folder: PocFolder, lang: str, console: Console
) -> None:
    """Print the verdict, what it rests on, its risks, and where to look."""
    one = "ja" if lang == "ja" else "en"
    verdict = findings["verdict"]
    console.print(_table(findings, verdict["mode"], verdict["labels"]))
    say(console, f"Verdict: {verdict['sentence'][one]}")
    if lang == "both":
        say(console, verdict["sentence"]["ja"])
    risks = verdict["risks"]
    for risk in risks[:_RISKS]:
        say(console, f"- {risk[one]}")
    if len(risks) > _RISKS:
        say(console, f"- and {len(risks) - _RISKS} more in the report")
    for failed in findings["cells"]["failed"]:
        say(console, f"- failed: {failed['cell']}: {failed['reason']}")
    say(console, f"Report:      {folder.report}")
    say(console, f"All numbers: {folder.findings}")


def _table(findings: Mapping[str, Any], mode: str, labels: int) -> Table:
    """Return all policies at the main question."""
    from rich import box
    from rich.table import Table

    measure = findings["data"]["measure"].replace("_", " ")
    table = Table(
        title=f"{mode}, {labels} labels: {measure} on the test parts, with 95 % intervals",
        title_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        show_edge=False,
    )
    for heading in ("policy", "score in %", "gain in points", "time", "seeds"):
        table.add_column(heading, justify="left" if heading == "policy" else "right", no_wrap=True)
    for row in findings["policies"]:
        if (row["mode"], row["labels"]) != (mode, labels):
            continue
        gain = (
            "" if row["gain"] is None else f"{row['gain']:+.1f}{_range(row, 'gain', 1.0, '+.1f')}"
        )
        multiple = "" if row["multiple"] is None else f"x{row['multiple']:.2f}"
        table.add_row(
            cell(row["policy"]), f"{100 * row['score']:.1f}{_range(row, '', 100.0, '.1f')}", gain,
            multiple, str(row["seeds"]),
        )  # fmt: skip
    return table


def _range(row: Mapping[str, Any], what: str, scale: float, form: str) -> str:
    """Return an interval; nothing where it is not bounded."""
    low, high = (row[f"{what}_{end}" if what else end] for end in ("low", "high"))
    if low is None or high is None:
        return ""
    return f" ({scale * low:{form}} to {scale * high:{form}})"
