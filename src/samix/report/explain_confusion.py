"""What is taken for what: photos beside half-and-half mixes."""

from __future__ import annotations

from pathlib import Path

import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure as Canvas

from samix.shown import shown

from .explain_data import Confusion, Explanation
from .page import Figure, Section
from .saving import save, tick_name

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
