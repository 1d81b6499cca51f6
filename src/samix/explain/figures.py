"""The map of the representation with the ways of mixes, and its two numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import torch
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure as Canvas

from samix.pages.parts import Figure, Section, Strip, Table, Thumb
from samix.pages.pictures import (
    between,
    heated,
    save,
    thumb,
    tick_name,
)
from samix.shown import shown

from .results import Confusion, Explanation, MapStudy, MixerStudy, Route, Spread, Sweep

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
    axes.spines[["top", "right"]].set_visible(False)


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


READ_MASKS = (
    "White keeps the first photo, black shows the second; from left to right the first photo gets "
    "more. A Mixer that has learned something keeps what matters in each photo."
)
READ_AREA = (
    "Each line is a pair; on the dotted line the mask takes exactly the share that was wanted."
)
READ_FOLLOWS = (
    "Above zero, masks keep the first photo where the network looks at the compared photo; "
    "useful masks are above zero for the original, below it for the partner, and clearly away from "
    "the grey line of a photo that has nothing to do with the pair."
)
_FLAT = 0.1  # as training judges whether a Mixer is alive
_OF_PHOTO = {"original": "#d1731f", "partner": "#3b6ea8", "unrelated": "#9a9a9a"}


def mixer_section(whole: Explanation, area: bytes, follows: bytes | None) -> Section:
    """Return the masks of a few pairs, and the curves.

    Args:
        whole: The explanation.
        area: The PNG of :func:`draw_area`.
        follows: The PNG of :func:`draw_follows`; None where masks are not compared with heat.
    """
    study = whole.mixer
    title = f"How the Mixer mixes ({whole.policy})" if study.looks else "How the run mixed"
    intro = READ_MASKS
    if not study.looks:
        intro = (
            f"The run has no Mixer: its masks are made by the rule of {whole.mixed_by}, which does "
            "not look at the photos. White keeps the first photo, black shows the second."
        )
    numbers = f" {follow_sentence(study)}" if study.follows else ""
    figures = [Figure(area, READ_AREA, "area of masks over lam")]
    if follows is not None:
        figures.append(Figure(follows, READ_FOLLOWS, "correlation of masks and heat over lam"))
    return Section(title, intro + numbers, [*mask_strips(study), *figures])


def mask_strips(study: MixerStudy) -> list[Strip]:
    """Return one strip a pair: both photos, where the network looks in them, masks over lam."""
    shown = study.sweeps if study.looks else study.sweeps[:2]
    return [Strip(_pictures(study, s), title=between(s.names), dense=True) for s in shown]


def follow_sentence(study: MixerStudy) -> str:
    """Return what the correlation of masks and heat says at lam 0.5, in words."""
    middle = study.lam.index(0.5)
    own, theirs = study.follows["original"][middle], study.follows["partner"][middle]
    chance = study.follows.get("unrelated", [None] * len(study.lam))[middle]
    if own is None or theirs is None:
        return "The masks are flat at lam 0.5: this Mixer mixes as plain mixup does."
    text = (
        f"At lam 0.5 the mask's correlation with where the network looks is {own:+.2f} for the "
        f"original and {theirs:+.2f} for the partner"
    )
    text = f"{text} ({chance:+.2f} for an unrelated photo)." if chance is not None else f"{text}."
    if study.deviation < _FLAT:
        text += f" The masks are nearly flat (they vary by {study.deviation:.2f}), as in mixup."
    return text


def draw_area(path: str | Path, study: MixerStudy) -> None:
    """Draw the area of masks against lam.

    Args:
        path: The PNG file to write; it appears as a whole or not at all.
        study: What was measured.
    """
    canvas, axes = _canvas()
    axes.plot([0, 1], [0, 1], color="0.4", linewidth=1.0, linestyle=":")
    for row in study.area:
        axes.plot(study.lam, row.tolist(), color="#3b6ea8", alpha=0.25, linewidth=1.0)
    axes.plot(study.lam, study.area.mean(0).tolist(), color="#1f3f66", linewidth=2.0, label="mean")
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="lam (wanted)", ylabel="area of the mask (got)")
    axes.set_title(f"How much of the mask the first photo gets ({len(study.area)} pairs)",
                   fontsize=10)  # fmt: skip
    axes.legend(frameon=False, loc="upper left", fontsize=10)
    save(canvas, path)


def draw_follows(path: str | Path, study: MixerStudy) -> None:
    """Draw the correlation of masks and heat against lam.

    Args:
        path: The PNG file to write; it appears as a whole or not at all.
        study: What was measured, with ``follows``.
    """
    canvas, axes = _canvas()
    axes.axhline(0, color="0.4", linewidth=1.0, linestyle=":")
    for name, values in study.follows.items():
        line = [math.nan if value is None else value for value in values]
        axes.plot(study.lam, line, color=_OF_PHOTO[name], marker="o", markersize=4,
                  label=f"{name} photo")  # fmt: skip
    axes.set(xlim=(0, 1), xlabel="lam", ylabel="correlation of mask and heat")
    low, high = axes.get_ylim()
    axes.set_ylim(min(low, -0.3), max(high, 0.3))
    axes.set_title("Does the mask follow where the network looks?", fontsize=10)
    axes.legend(frameon=False, fontsize=10)
    save(canvas, path)


def _pictures(study: MixerStudy, sweep: Sweep) -> list[Thumb]:
    pictures = []
    for side, word in enumerate(("original", "partner")):
        name = sweep.names[side]
        pictures.append(thumb(sweep.photos[side], f"{word}: {name}" if name else word))
        if sweep.heats is not None and study.looks:
            heat = heated(sweep.photos[side], sweep.heats[side])
            looks = float(sweep.heats[side].max()) > 0
            pictures.append(thumb(heat, "where it looks" if looks else "it looks nowhere", word))
    for at, lam in enumerate(study.lam):
        pictures.append(thumb(sweep.masks[at], f"lam {lam:g}", f"area {sweep.area[at]:.2f}"))
    return pictures


def _canvas() -> tuple[Canvas, Axes]:
    canvas = Canvas(figsize=(5.2, 3.5), dpi=110, layout="constrained")
    FigureCanvasAgg(canvas)
    axes = canvas.subplots()
    axes.tick_params(labelsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    return canvas, axes


READ_CONFUSION = (
    "Above, photos: each row says what photos of a class are taken for; a dark diagonal is good. "
    "Below, half-and-half mixes of the class in the row and the one in the column: the name is the "
    "third class that gets most of the probability, and the darker, the more; a dark cell is a "
    "pair of classes whose mixes look like something else."
)
_SHORT = 9
_DARK = 0.55  # of the colour, from which on words are white
_LEAST = 0.005
_LEAST_TOP = 0.5  # probability that is darkest, at least


def confusion_section(whole: Explanation, picture: bytes | None) -> Section:
    """Return both matrices.

    Args:
        whole: The explanation.
        picture: The PNG of :func:`draw_confusion`; None without classes.
    """
    title = "What is taken for what"
    found = whole.confusion
    if found is None or picture is None:
        return Section(title, "The run has no classes, so there is nothing to take a photo for.")
    words = [
        READ_CONFUSION,
        f"Up to {found.draws} mixes of each pair of classes, by {whole.mixed_by}.",
    ]
    if found.left_out:
        words.append(
            f"The {len(found.classes)} classes that are right least often; {found.left_out} others "
            "are not shown."
        )
    if len(found.classes) < 3:
        words.append("With two classes there is no third one, so only photos are shown.")
    worst = worst_pair(found)
    if worst:
        words.append(worst)
    return Section(title, "", [Figure(picture, " ".join(words), "what is taken for what")])


def worst_pair(found: Confusion) -> str:
    """Return the pair of classes whose mixes look most like a third class, in words."""
    known = found.strength.nan_to_num(-1.0)
    known = known.masked_fill(torch.eye(len(known), dtype=torch.bool), -1.0)
    if not len(known) or float(known.max()) < 0:
        return ""
    row, column = divmod(int(known.argmax()), len(known))
    return (
        f"Most of all, mixes of {found.classes[row]} and {found.classes[column]} look like "
        f"{found.other[row][column]} ({float(known[row, column]):.0%})."
    )


def draw_confusion(path: str | Path, found: Confusion) -> None:
    """Draw both matrices, the second where there are three classes.

    Args:
        path: The PNG file to write; it appears as a whole or not at all.
        found: What was measured.
    """
    count = len(found.classes)
    third = bool((~found.strength.isnan()).any())
    cell = min(max(6.2 / (count + 1), 0.62), 0.85)
    width = cell * (count + 1) + 1.4
    height = (cell * 0.62 * count + 1.35) * (1 + third)
    canvas = Canvas(figsize=(max(width, 4.5), height), dpi=110, layout="constrained")
    FigureCanvasAgg(canvas)
    panels = canvas.subplots(1 + third, 1, squeeze=False)[:, 0]
    _draw_clean(panels[0], found)
    if third:
        _draw_mixes(panels[1], found)
    save(canvas, path)


def _draw_clean(axes: Axes, found: Confusion) -> None:
    shown = found.clean if float(found.clean[:, -1].max()) > _LEAST else found.clean[:, :-1]
    axes.imshow(shown.numpy(), cmap="Blues", vmin=0, vmax=1, aspect="auto")
    names = [*found.classes, "(others)"][: shown.shape[1]]
    rows = [f"{_short(n)} ({k})" for n, k in zip(found.classes, found.photos, strict=True)]
    _label(axes, rows, names, "photos of (number)", "are taken for", "Photos")
    for row in range(len(rows)):
        for column in range(len(names)):
            value = float(shown[row, column])
            if value > _LEAST:
                _write(axes, row, column, f"{value:.0%}", value)


def _draw_mixes(axes: Axes, found: Confusion) -> None:
    known = found.strength.nan_to_num(0.0)
    top = max(float(known.max()), _LEAST_TOP)
    axes.imshow(known.numpy(), cmap="Oranges", vmin=0, vmax=top, aspect="auto")
    names = list(found.classes)
    _label(axes, [_short(n) for n in names], names, "first source", "second source",
           "Half-and-half mixes: the third class")  # fmt: skip
    for row in range(len(names)):
        for column in range(len(names)):
            value = float(found.strength[row, column])
            if found.other[row][column]:
                words = f"{_short(found.other[row][column])}\n{value:.0%}"
                _write(axes, row, column, words, value / top)


def _write(axes: Axes, row: int, column: int, words: str, value: float) -> None:
    colour = "white" if value > _DARK else "0.15"
    axes.text(column, row, words, ha="center", va="center", fontsize=8, color=colour,
              linespacing=1.05, parse_math=False)  # fmt: skip


def _label(
    axes: Axes, rows: list[str], columns: list[str], down: str, across: str, title: str
) -> None:
    axes.set_xticks(range(len(columns)), [tick_name(_short(name)) for name in columns])
    axes.set_yticks(range(len(rows)), [tick_name(name) for name in rows])
    axes.tick_params(labelsize=8.5, length=0)
    if len(columns) > 7:
        axes.tick_params(axis="x", rotation=40)
    axes.set_xlabel(across, fontsize=9.5)
    axes.set_ylabel(down, fontsize=9.5)
    axes.set_title(title, fontsize=10.5)


def _short(name: str) -> str:
    name = shown(name)
    return name if len(name) <= _SHORT else f"{name[: _SHORT - 1]}…"
