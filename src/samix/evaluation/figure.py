"""evaluation.png: what an encoder has learned, beside what is there without learning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator, PercentFormatter

from samix.pages.pictures import save

_ENCODER, _FINETUNE, _BASELINE, _DOT = "#3b6ea8", "#d1731f", "#a9a9a9", "#333333"
_INCH = 4.4  # height of the figure


def draw_evaluation(path: str | Path, result: Mapping[str, Any], *, title: str = "") -> None:
    """Draw bars of kNN and linear probe, and curves over the label budgets, where they are there.

    A dotted line marks what guessing the most frequent class would reach.

    Args:
        path: The PNG file to write; it appears as a whole or not at all.
        result: From :func:`samix.evaluation.evaluate.evaluate`.
        title: Line above all.
    """
    curves = [
        (name, result[key]["budgets"], colour, marker)
        for key, name, colour, marker in (
            ("finetune", "fine-tuning", _FINETUNE, "o"),
            ("linear", "linear probe", _ENCODER, "s"),
        )
        if key in result and result[key]["budgets"]
    ]
    bars = _bars(result)
    widths = [1.0 + 0.9 * len(bars)] + ([6.0] if curves else [])
    figure = Figure(figsize=(max(sum(widths) + 1.2, 6.0), _INCH), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=11, parse_math=False)
    axes = figure.subplots(1, len(widths), squeeze=False, width_ratios=widths)[0]
    guess = float(result["data"]["largest_class_share"])
    _draw_bars(axes[0], bars)
    if curves:
        _draw_curves(axes[1], curves)
    singles = [bar[1] for bar in bars] + [
        value for _, budgets, _, _ in curves for b in budgets for value in b["accuracy"]["values"]
    ]
    for panel in axes:
        _frame(panel, guess, max(singles), result.get("knn", {}).get("part", "test"))
    save(figure, path)


def _bars(result: Mapping[str, Any]) -> list[tuple[str, float, str, Sequence[float]]]:
    """Return name, height, colour and single values of each bar."""
    bars: list[tuple[str, float, str, Sequence[float]]] = []
    if "linear" in result:
        bars.append(("linear probe,\nall labels", result["linear"]["accuracy"], _ENCODER, ()))
    if "knn" in result:
        knn = result["knn"]
        random = knn["random_encoder_accuracies"]
        bars += [
            (f"kNN\n(k = {knn['k']})", knn["accuracy"], _ENCODER, ()),
            (f"kNN, best of {len(random)}\nrandom encoders", max(random), _BASELINE, random),
            ("kNN of\npixels", knn["pixel_accuracy"], _BASELINE, ()),
        ]
    return bars


def _draw_bars(axes: Axes, bars: Sequence[tuple[str, float, str, Sequence[float]]]) -> None:
    for at, (_, height, colour, values) in enumerate(bars):
        axes.bar(at, height, width=0.66, color=colour)
        axes.annotate(
            f"{height:.1%}", (at, height), (0, 5), textcoords="offset points", ha="center",
            fontsize=9,
        )  # fmt: skip
        spread = [at + 0.16 * (n - (len(values) - 1) / 2) for n in range(len(values))]
        axes.plot(spread, values, "o", color=_DOT, markersize=3.5)
    axes.set_xticks(range(len(bars)), [bar[0] for bar in bars])
    axes.set_xlim(-0.6, len(bars) - 0.4)
    axes.set_title("all labels of train", fontsize=9.5)


def _draw_curves(axes: Axes, curves: Sequence[tuple[str, Any, str, str]]) -> None:
    """Draw accuracy over labels: the mean as a line, each draw as a dot beside it."""
    ticks: dict[float, list[str]] = {}
    for number, (name, budgets, colour, marker) in enumerate(curves):
        photos = [sum(budget["photos"]) / len(budget["photos"]) for budget in budgets]
        means = [budget["accuracy"]["mean"] for budget in budgets]
        axes.plot(photos, means, marker=marker, color=colour, markersize=6, label=name)
        for at, budget in zip(photos, budgets, strict=True):
            values = budget["accuracy"]["values"]
            beside = at * (1.03 if number else 1 / 1.03)  # the axis is logarithmic
            axes.plot([beside] * len(values), values, ".", color=colour, alpha=0.6, markersize=5)
            if number == 0:
                ticks.setdefault(at, []).append(budget["labels"])
    axes.set_xscale("log")
    axes.set_xticks(list(ticks), [f"{', '.join(names)}\n{at:.0f}" for at, names in ticks.items()])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.margins(x=0.08)
    draws = len(curves[0][1][0]["accuracy"]["values"])
    axes.set_title(
        "few labels (lines: mean, dots: draws)" if draws > 1 else "few labels", fontsize=9.5
    )
    axes.set_xlabel("labels: budget (share, or number a class), and photos", fontsize=9)
    axes.legend(fontsize=9, frameon=False, loc="upper left")


def _frame(axes: Axes, guess: float, highest: float, part: str) -> None:
    """Set an axis from zero with room above, and the line of guessing."""
    axes.axhline(guess, color="0.4", linewidth=0.8, linestyle=":")
    axes.annotate(
        "guess", (1, guess), (2, 0), fontsize=7.5, xycoords=("axes fraction", "data"),
        textcoords="offset points", color="0.4", va="center",
    )  # fmt: skip
    axes.set_ylim(0, max(highest, guess) * 1.22)
    axes.yaxis.set_major_locator(MaxNLocator(steps=[1, 2, 5, 10], nbins=7))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.set_ylabel(f"accuracy on {part}", fontsize=9)
    axes.tick_params(labelsize=8.5)
    axes.spines[["top", "right"]].set_visible(False)
