"""The end of a study as people read it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from samix.study.cells import Ended, PocFolder
from samix.training import Display
from samix.training.progress import clock

from .summary import cell, say

_RISKS = 6  # that are shown


def print_ended(result: Ended, number: int, count: int, display: Display) -> None:
    """Print one line for a training that ended."""
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
