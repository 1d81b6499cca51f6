"""Figures as files."""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.text import Text

from samix.files import whole_file
from samix.shown import shown


def save(figure: Figure, path: str | Path) -> None:
    """Write a figure as a PNG that appears as a whole or not at all.

    Texts in it are shown as :func:`samix.shown.shown` does; those of ticks by :func:`tick_name`.
    """
    for text in figure.findobj(Text):
        text.set_text(shown(text.get_text(), lines=True))
    with whole_file(path) as partial:
        figure.savefig(partial, format="png")


def tick_name(name: str) -> str:
    """Return a user's name for an axis, in which nothing is obeyed or read as mathematics."""
    return shown(name).replace("$", r"\$")
