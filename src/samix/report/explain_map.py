"""The map of the representation with the ways of mixes, and its two numbers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure as Canvas

from .explain_data import Explanation, MapStudy, Route, Spread
from .explain_pictures import (
    between,
)
from .page import Figure, Section, Table
from .saving import save

READ_MAP = (
    "Each dot is a photo, coloured by its class: photos that the network finds alike lie close "
    "together, and classes that it can tell apart form islands."
)
READ_ROUTES = (
    "Each panel is the way of one mix from one photo (square) to another (star) as lam falls from "
    "1 to 0; small steps mean that the mixes lie between their two photos, a jump that the network "
    "switches from one to the other."
)
_LINES = {0: ("#111111", "-"), 1: ("#c02d8b", "--")}
_MANY = 10  # classes that one palette can tell apart
_MOST = 20  # classes that have a colour
_LETTERS = 18


def map_section(whole: Explanation, picture: bytes, routes: bytes) -> Section:
    """Return the map, the ways, and the numbers.

    Args:
        whole: The explanation.
        picture: The PNG of :func:`draw_map`.
        routes: The PNG of :func:`draw_routes`.
    """
    study = whole.map
    shown = sum(study.variance)
    intro = (
        "The network describes each photo by many numbers; the map is their shadow on two axes. "
        f"It shows {shown:.0%} of what there is: what lies apart on it is apart, what lies "
        "together may still differ."
    )
    parts: list[Figure | Table] = [
        Figure(picture, READ_MAP, "map of the representation"),
        Figure(routes, READ_ROUTES, "ways of mixes"),
        _route_table(study.routes),
        _spread_table(study.spread),
    ]
    return Section("Map of the representation", intro, parts)


def draw_map(path: str | Path, study: MapStudy) -> None:
    """Draw the photos on the map.

    Args:
        path: The PNG file to write; it appears as a whole or not at all.
        study: What was measured.
    """
    canvas = Canvas(figsize=(6.0, 5.4), dpi=110, layout="constrained")
    FigureCanvasAgg(canvas)
    axes = canvas.subplots()
    _dots(axes, study, size=14, legend=True)
    first, second = study.variance
    axes.set_xlabel(f"first axis ({first:.0%})", fontsize=10)
    axes.set_ylabel(f"second axis ({second:.0%})", fontsize=10)
    save(canvas, path)


def draw_routes(path: str | Path, study: MapStudy) -> None:
    """Draw the way of each mix over the map, by each way of mixing.

    Args:
        path: The PNG file to write; it appears as a whole or not at all.
        study: What was measured; one way or more.
    """
    columns = min(2, len(study.routes))
    rows = -(-len(study.routes) // columns)
    canvas = Canvas(figsize=(3.1 * columns + 0.1, 2.9 * rows + 0.4), dpi=110, layout="constrained")
    FigureCanvasAgg(canvas)
    panels = canvas.subplots(rows, columns, squeeze=False).ravel()
    for axes, route in zip(panels, study.routes, strict=False):
        _draw_route(axes, study, route)
    for axes in panels[len(study.routes) :]:
        axes.set_axis_off()
    handles, names = panels[0].get_legend_handles_labels()
    canvas.legend(handles, names, loc="outside lower center", ncols=len(names), frameon=False,
                  fontsize=10)  # fmt: skip
    save(canvas, path)


def _draw_route(axes: Axes, study: MapStudy, route: Route) -> None:
    _dots(axes, study, size=9, legend=False, faint=True)
    for number, (name, points) in enumerate(route.points.items()):
        colour, line = _LINES[number]
        across, up = points[:, 0].tolist(), points[:, 1].tolist()
        axes.plot(across, up, line, color=colour, marker=".", markersize=4, linewidth=1.3,
                  label=name)  # fmt: skip
        axes.plot(across[0], up[0], "s", color=colour, markersize=7)
        axes.plot(across[-1], up[-1], "*", color=colour, markersize=12)
    axes.set_title(between(route.names), fontsize=9.5, parse_math=False)
    axes.set_xticks([])
    axes.set_yticks([])


def _dots(axes: Axes, study: MapStudy, *, size: float, legend: bool, faint: bool = False) -> None:
    """Draw the photos, each class in its colour."""
    palette = colormaps["tab10" if len(study.classes) <= _MANY else "tab20"]
    alpha = 0.5 if faint else 0.75
    for target in torch.unique(study.target).tolist():
        own = study.points[study.target == target]
        coloured = 0 <= target < _MOST
        name = study.classes[target] if target >= 0 else "no label"
        axes.scatter(
            own[:, 0].tolist(), own[:, 1].tolist(), s=size, alpha=alpha, linewidths=0,
            color=palette(target) if coloured else "0.7",
            label=name[:_LETTERS] if coloured or target < 0 else None,
        )  # fmt: skip
    if legend:
        axes.legend(fontsize=10, loc="upper center", bbox_to_anchor=(0.5, -0.12), frameon=False,
                    markerscale=1.8, ncols=4, columnspacing=1.0, handletextpad=0.2)  # fmt: skip
    else:
        for part in axes.collections:
            part.set_label("_")
    axes.tick_params(labelsize=8)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _route_table(routes: Sequence[Route]) -> Table:
    rows = [
        [between(route.names), name, f"{route.detour[name]:.2f}", f"{route.stride[name]:.0%}"]
        for route in routes
        for name in route.points
    ]
    caption = (
        "Length: of the way over the straight distance, 1 is straight. Longest step: of 20; 5 % "
        "would be even steps, a large one is a jump."
    )
    return Table(("mix of", "mixed by", "length", "longest step"), rows, caption)


def _spread_table(spread: Spread) -> Table:
    rows = []
    if spread.alignment is not None:
        rows.append(
            ["alignment", f"{spread.alignment:.2f}", f"squared distance of {spread.together}"]
        )
    if spread.apart is not None:
        rows.append(
            ["to compare", f"{spread.apart:.2f}", f"squared distance of {spread.apart_name}"]
        )
    rows.append(["uniformity", f"{spread.uniformity:.2f}", "how evenly the photos fill the space"])
    caption = (
        "Alignment: lower is better, what belongs together lies together; it should be far below "
        "the line to compare. Uniformity: 0 is all photos in one place, -4 is an even spread; "
        "classes that are tight islands keep it nearer to 0. (Wang and Isola 2020.)"
    )
    return Table(("", "value", "what it is"), rows, caption)
