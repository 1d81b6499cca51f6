"""What `samix bench` says at its end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from samix.evaluation.cost.figure import short_number

from .summary import cell, say


def print_costs(record: Mapping[str, Any], console: Console) -> None:
    """Print the costs, the estimate where there is one, and what they say.

    Args:
        record: What bench.json holds.
        console: Where to print.
    """
    console.print()
    console.print(_costs(record))
    console.print()
    if "estimate" in record:
        plan = record["estimate"]
        say(console, f"{plan['images']:,} images, {plan['epochs']:,} epochs, training alone:")
        console.print(_estimate(record["estimate"]))
        console.print()
    for text in (record["summary"], *record["notes"]):
        say(console, text)


def summary_sentence(result: Mapping[str, Any]) -> str:
    """Return what the numbers say, in one sentence.

    Args:
        result: From :func:`samix.evaluation.measure_cost`.
    """
    rows = result["rows"]
    others = {name: row for name, row in rows.items() if row["kind"] != "plain"}
    shown = {name: row for name, row in others.items() if row["kind"] == "learned"} or others
    if not shown:
        rate = short_number(rows["plain"]["images_per_second"])
        return f"Plain training processes {rate} images a second."
    said: list[str] = []
    for name, row in shown.items():
        words = ("", "") if said else (" times the time of plain training", " times its memory")
        takes = f"{name}{'' if said else ' takes'} {row['time_ratio']:.2f}{words[0]}"
        said.append(
            f"{takes} and {row['memory_ratio']:.2f}{words[1]}" if "memory_ratio" in row else takes
        )
    text = "; ".join(said)
    if result["faster_plain"] != "plain":
        over = ", ".join(f"{row['time_ratio_to_faster_plain']:.2f}" for row in shown.values())
        text += f" (time over {result['faster_plain']}, which is faster here: {over})"
    return f"{text}."


def _costs(record: Mapping[str, Any]) -> Table:
    """Return the table of settings."""
    rows = record["rows"]
    faster = record["faster_plain"] != "plain"
    remembered = "memory_ratio" in rows["plain"]
    table = _table(
        *("ms", "images/s", "time /\nplain", "quartiles"),
        *(["time /\nfaster\nplain"] if faster else []),
        *(["MiB", "memory /\nplain"] if remembered else []),
    )
    for name, row in rows.items():
        low, high = row["time_ratio_low"], row["time_ratio_high"]
        cells = [
            short_number(row["milliseconds"]),
            short_number(row["images_per_second"]),
            f"{row['time_ratio']:.2f}",
            "" if name == "plain" else f"{low:.2f}-{high:.2f}",
        ]
        if faster:
            cells.append(f"{row['time_ratio_to_faster_plain']:.2f}")
        if remembered:
            cells += [short_number(row["mebibytes"]), f"{row['memory_ratio']:.2f}"]
        table.add_row(cell(name), *cells)
    return table


def _estimate(plan: Mapping[str, Any]) -> Table:
    """Return the table of what a whole run costs."""
    priced, powered = plan["price"] is not None, plan["watts"] is not None
    table = _table(
        "hours",
        *([plan["currency"] or "money"] if priced else []),
        *(["kWh"] if powered else []),
    )
    for name, run in plan["rows"].items():
        cells = [short_number(run["hours"])]
        cells += [f"{run['money']:,.2f}"] if priced else []
        cells += [short_number(run["kilowatt_hours"])] if powered else []
        table.add_row(cell(name), *cells)
    return table


def _table(*headings: str) -> Table:
    """Return a table of names and numbers."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    table.add_column("")
    for heading in headings:
        table.add_column(Text(heading), justify="right", no_wrap=True)  # of our own, with line ends
    return table
