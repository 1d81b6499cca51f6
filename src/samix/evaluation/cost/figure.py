"""bench.png: what training costs with each way of mixing, beside plain training."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from samix.pages.pictures import save, tick_name

_COLOURS = {"plain": "#a9a9a9", "rule": "#3b6ea8", "learned": "#d1731f"}
_LINE = "#333333"
_BEHIND = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.5}
_LETTERS = 12  # of the title to an inch
_ROW, _FRAME, _PANEL = 0.42, 1.5, 3.7  # inches: height of a bar, of the rest; width of a panel


@dataclass(frozen=True)
class _Panel:
    """Bars of one quantity.

    Attributes:
        title: What it is.
        values: One a setting.
        labels: What is written at the end of each bar.
        reference: Where a dotted line marks plain training.
        spans: Lower and upper end of a whisker on each bar, or none.
    """

    title: str
    values: Sequence[float]
    labels: Sequence[str]
    reference: float
    spans: Sequence[tuple[float, float]] = ()


def draw_cost(path: str | Path, result: Mapping[str, Any], *, title: str = "") -> None:
    """Draw bars of time and, where they are there, of peak memory and the hours of a whole run.

    Whiskers are quartiles; the dotted line is plain training.

    Args:
        path: The PNG file to write; it appears as a whole or not at all.
        result: From :func:`samix.evaluation.measure_cost`, with ``estimate`` where there is one.
        title: Line above all.
    """
    rows = result["rows"]
    panels = _panels(result)
    size = (1.9 + _PANEL * len(panels), _FRAME + _ROW * len(rows))
    figure = Figure(figsize=size, dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    title = textwrap.fill(title, int(size[0] * _LETTERS))
    figure.suptitle(title, fontsize=10.5, parse_math=False)
    axes = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
    colours = [_COLOURS[row["kind"]] for row in rows.values()]
    for at, panel in zip(axes, panels, strict=True):
        _draw(at, panel, colours)
    axes[0].set_yticks(range(len(rows)), [tick_name(name) for name in rows])
    axes[0].invert_yaxis()
    save(figure, path)


def short_number(value: float) -> str:
    """Return a number with about three digits that count, and all of those before the point."""
    return f"{value:,.{0 if value >= 100 else 1 if value >= 10 else 2}f}"


def _panels(result: Mapping[str, Any]) -> list[_Panel]:
    """Return what there is to show."""
    rows = list(result["rows"].values())
    panels = [
        _Panel(
            "time of a step over plain training\n(and images a second; whiskers: quartiles)",
            [row["time_ratio"] for row in rows],
            [
                f"{row['time_ratio']:.2f}  ({short_number(row['images_per_second'])})"
                for row in rows
            ],
            1.0,
            [(row["time_ratio_low"], row["time_ratio_high"]) for row in rows],
        )
    ]
    if all("memory_ratio" in row for row in rows):
        panels.append(
            _Panel(
                "peak memory over plain training\n(and MiB)",
                [row["memory_ratio"] for row in rows],
                [_beside(row["memory_ratio"], row["mebibytes"]) for row in rows],
                1.0,
            )
        )
    if "estimate" in result:
        plan = result["estimate"]
        runs = list(plan["rows"].values())
        panels.append(
            _Panel(
                f"hours of a run of {plan['images']:,} images,\n{plan['epochs']:,} epochs",
                [run["hours"] for run in runs],
                [_cost_of(run, plan["currency"]) for run in runs],
                plan["rows"]["plain"]["hours"],
            )
        )
    return panels


def _draw(axes: Axes, panel: _Panel, colours: Sequence[str]) -> None:
    """Draw the bars of a panel, with room for what is written beside them."""
    ends = [high for _, high in panel.spans] or list(panel.values)
    axes.barh(range(len(panel.values)), panel.values, height=0.66, color=list(colours))
    for at, (low, high) in enumerate(panel.spans):
        axes.plot([low, high], [at, at], color=_LINE, linewidth=1.4, solid_capstyle="butt")
    for at, label in enumerate(panel.labels):
        axes.annotate(
            label, (max(panel.values[at], ends[at]), at), (5, 0), textcoords="offset points",
            va="center", fontsize=8.5, parse_math=False, bbox=_BEHIND,
        )  # fmt: skip
    axes.axvline(panel.reference, color="0.3", linewidth=0.9, linestyle=":")
    written = 0.02 * max(len(label) for label in panel.labels)  # as a share of the panel
    axes.set_xlim(0, max(*ends, *panel.values) / (0.95 - written))
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6))
    axes.set_title(panel.title, fontsize=9.5)
    axes.tick_params(labelsize=9)
    axes.tick_params(axis="y", length=0)
    axes.spines[["top", "right"]].set_visible(False)


def _cost_of(run: Mapping[str, Any], currency: str) -> str:
    """Return hours, money and energy of a run, as far as they are known."""
    parts = [f"{short_number(run['hours'])} h"]
    if run["money"] is not None:
        parts.append(f"{run['money']:,.2f} {currency}".strip())
    if run["kilowatt_hours"] is not None:
        parts.append(f"{short_number(run['kilowatt_hours'])} kWh")
    return ", ".join(parts)


def _beside(ratio: float, absolute: float) -> str:
    return f"{ratio:.2f}  ({short_number(absolute)})"
