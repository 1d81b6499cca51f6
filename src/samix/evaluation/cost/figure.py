"""bench.html: what training costs with each way of mixing, beside plain training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from samix.pages.charts import Panel
from samix.pages.panels import Bar, bar_panel
from samix.pages.parts import Chart, Section, Table, write_page
from samix.pages.words import Text, word

_COLOURS = {"plain": "#9a9a9a", "rule": "#0072B2", "learned": "#D55E00"}


def write_costs(path: str | Path, result: Mapping[str, Any], *, title: str) -> None:
    """Write the page of a measurement in both languages."""
    section = Section(word("cost-section"), "", [cost_chart(result)])
    write_page(path, title, [section], lead=str(result["summary"]), language="both")


def cost_chart(result: Mapping[str, Any]) -> Chart:
    """Return bars of time and, where they are there, of peak memory and the hours of a whole run.

    Whiskers are quartiles; the dotted line is plain training.
    """
    rows: Mapping[str, Any] = result["rows"]
    panels = [
        _panel(
            rows, "time", [row["time_ratio"] for row in rows.values()],
            [f"\u00d7 {row['time_ratio']:.2f}" for row in rows.values()],
            [f"{short_number(row['images_per_second'])}/s" for row in rows.values()],
            spans=[(row["time_ratio_low"], row["time_ratio_high"]) for row in rows.values()],
        )
    ]  # fmt: skip
    header: list[Text] = [
        word("bench-setting"), word("col-time-multiple"), word("bench-images"),
    ]  # fmt: skip
    cells: list[list[Text]] = [
        [name, f"{row['time_ratio']:.2f}", short_number(row["images_per_second"])]
        for name, row in rows.items()
    ]
    if all("memory_ratio" in row for row in rows.values()):
        ratios = [row["memory_ratio"] for row in rows.values()]
        sizes = [f"{short_number(row['mebibytes'])} MiB" for row in rows.values()]
        panels.append(_panel(rows, "memory", ratios, [f"\u00d7 {r:.2f}" for r in ratios], sizes))
        header.append(word("bench-memory"))
        cells = [[*line, size] for line, size in zip(cells, sizes, strict=True)]
    if "estimate" in result:
        plan = result["estimate"]
        runs = list(plan["rows"].values())
        hours = [run["hours"] for run in runs]
        told = [_cost_of(run, plan["currency"]) for run in runs]
        plain = plan["rows"]["plain"]["hours"]
        ends = [f"{short_number(value)} h" for value in hours]
        panels.append(_panel(rows, "hours", hours, ends, told, reference=plain))
        header.append(word("bench-hours", images=f"{plan['images']:,}", epochs=plan["epochs"]))
        cells = [
            [*line, f"{end} {more}"] for line, end, more in zip(cells, ends, told, strict=True)
        ]
    return Chart(
        "costs", word("bench-title"), word("bench-read"), panels,
        data=Table(header, cells, title=word("data-behind"), words=[0], folded=True),
    )  # fmt: skip


def short_number(value: float) -> str:
    """Return a number with about three digits that count, and all of those before the point."""
    return f"{value:,.{0 if value >= 100 else 1 if value >= 10 else 2}f}"


def _panel(
    rows: Mapping[str, Any],
    what: str,
    values: Sequence[float],
    ends: Sequence[str],
    notes: Sequence[str],
    *,
    reference: float = 1.0,
    spans: Sequence[tuple[float, float] | None] = (),
) -> Panel:
    bars = [
        Bar(name, value, end, _COLOURS[row["kind"]], note, span)
        for (name, row), value, end, note, span in zip(
            rows.items(), values, ends, notes, spans or [None] * len(values), strict=True
        )
    ]
    axis, title = word(f"axis-bench-{what}"), word(f"bench-{what}-title")
    most = 1.0 if what != "hours" else 1e-9
    return bar_panel(bars, axis, title=title, most=most, reference=reference)


def _cost_of(run: Mapping[str, Any], currency: str) -> str:
    parts = []
    if run["money"] is not None:
        parts.append(f"{run['money']:,.2f} {currency}".strip())
    if run["kilowatt_hours"] is not None:
        parts.append(f"{short_number(run['kilowatt_hours'])} kWh")
    return ", ".join(parts)
