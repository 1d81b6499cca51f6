"""guard.png: what a guard did to the mixes of each pair of classes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from .pictures import save, tick_name

_NAMES = {
    "accepted": "accepted",
    "partner": "other partner",
    "mask": "other mask",
    "label": "other label",
    "mixup": "mixup instead",
    "clean": "left unmixed",
}
_COLOURS = ("#8fb996", "#e8c468", "#e0a458", "#c97b4a", "#9c6b98", "#b3282d")
_MOST_CLASSES = 12  # whose counts can be read in the cells


def draw_guard(path: str | Path, summary: Mapping[str, Any], *, title: str = "") -> None:
    """Draw how many mixes were repaired and how, and the share of them for each pair of classes.

    Args:
        path: The PNG file to write; it appears as a whole or not at all.
        summary: From :meth:`samix.guard.GuardCounters.summary`.
        title: Line above all.
    """
    classes = sorted({name for pair in summary.get("pairs", ()) for name in pair["classes"]})
    width = 6.0 + (2.0 + 0.62 * len(classes) if classes else 0.0)
    height = max(3.4, 2.0 + 0.5 * len(classes))
    figure = Figure(figsize=(min(width, 18.0), min(height, 14.0)), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=11, parse_math=False)
    ratios = [1.0, 1.0 + 0.16 * len(classes)] if classes else [1.0]
    axes = figure.subplots(1, len(ratios), squeeze=False, width_ratios=ratios)[0]
    _draw_outcomes(axes[0], summary)
    if classes:
        _draw_pairs(figure, axes[1], summary, classes)
    save(figure, path)


def _draw_outcomes(axes: Axes, summary: Mapping[str, Any]) -> None:
    """Draw a bar for each outcome."""
    shares = [100 * summary[name] for name in _NAMES]
    places = np.arange(len(shares))
    axes.barh(places, shares, color=_COLOURS)
    axes.set_yticks(places, list(_NAMES.values()))
    axes.invert_yaxis()
    for place, share in zip(places, shares, strict=True):
        axes.annotate(
            f"{share:.1f} %", (share, place), (4, 0), textcoords="offset points", va="center",
            fontsize=9,
        )  # fmt: skip
    axes.set_xlim(0, max(*shares, 1.0) * 1.25)
    axes.set_xlabel(f"% of {summary['mixes']:,} mixes", fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    broken = "  ".join(f"{rule} {share:.1%}" for rule, share in summary["broken"].items())
    axes.set_title(f"broken rules: {broken}", fontsize=9, loc="left", color="#616e7c")


def _draw_pairs(figure: Figure, axes: Axes, summary: Mapping[str, Any], classes: list[str]) -> None:
    """Draw the share of repaired mixes of each pair, with their number in the cells."""
    share = np.full((len(classes), len(classes)), np.nan)
    counts: dict[tuple[int, int], int] = {}
    for pair in summary["pairs"]:
        a, b = (classes.index(name) for name in pair["classes"])
        share[a, b] = 100 * (1 - pair["accepted"] / pair["mixes"])
        counts[a, b] = pair["mixes"]
    top = max(float(np.nanmax(share)), 1.0)
    shown = axes.imshow(share, cmap="YlOrBr", vmin=0, vmax=top)
    figure.colorbar(shown, ax=axes, shrink=0.8, label="% not accepted as planned")
    names = [tick_name(name) for name in classes]
    axes.set_xticks(range(len(classes)), names, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(classes)), names)
    axes.set_xlabel("partner")
    axes.set_ylabel("original")
    if len(classes) > _MOST_CLASSES:
        return
    for (a, b), number in counts.items():
        colour = "white" if share[a, b] > 0.6 * top else "#333333"
        axes.text(
            b, a, f"{share[a, b]:.0f} %\n{number:,}", ha="center", va="center", fontsize=7,
            color=colour,
        )  # fmt: skip
