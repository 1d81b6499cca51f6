"""Photos as people look at them: enlarged where they are small, with the outline of a defect."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from matplotlib import colormaps
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image
from torch import Tensor

from samix.files import whole_file
from samix.shown import shown

from .fonts import give_fonts
from .parts import Strip, Thumb, image_png
from .words import both

ORIGINAL = (1.0, 0.62, 0.0)
"""Colour of the outline of the original's defect: orange."""
PARTNER = (0.1, 0.75, 1.0)
"""Colour of the outline of the partner's defect: light blue."""
_SIDE = 200  # px, about what a picture is enlarged to
_MOST = 256  # px, a larger one is shrunk to
_GAP, _LINE = 1, 3  # px from the defect to the line, and to its far side

Outline = tuple[Tensor, tuple[float, float, float]]
"""A (1,H,W) region in [0, 1] and the colour of its outline."""


def enlarged(image: Tensor, outlines: Sequence[Outline] = ()) -> Tensor:
    """Return a picture in which single pixels can be seen, with outlines around regions.

    Args:
        image: (C,H,W) in [0, 1].
        outlines: Regions of the size of the image. The line runs around a region, not over it,
            where it is at least half as strong as at its strongest; an empty one has none.

    Returns:
        (C,H',W') in [0, 1]; (3,H',W') where there are outlines.
    """
    longest = max(image.shape[1:])
    factor = max(round(_SIDE / longest), 1)
    large = image.clamp(0, 1).repeat_interleave(factor, 1).repeat_interleave(factor, 2)
    if factor == 1 and longest > _MOST:
        size = [max(round(length * _MOST / longest), 1) for length in image.shape[1:]]
        large = F.interpolate(large[None], size, mode="bilinear", antialias=True)[0]
    for region, colour in outlines:
        if not bool(region.any()):
            continue
        large = torch.where(_line(region, large.shape), torch.tensor(colour)[:, None, None], large)
    return large


def _line(region: Tensor, shape: torch.Size) -> Tensor:
    """Return the (1,H',W') bool pixels of a line around a region."""
    size = [shape[1], shape[2]]
    shown = F.interpolate(region[None].float(), size, mode="bilinear", antialias=True)
    inside = (shown >= shown.max() / 2).float()
    return (_grown(inside, _LINE) > _grown(inside, _GAP))[0]


def _grown(inside: Tensor, reach: int) -> Tensor:
    """Return the (1,1,H',W') pixels at most so far from those inside, first down, then across."""
    length = 2 * reach + 1
    down = F.max_pool2d(inside, (length, 1), stride=1, padding=(reach, 0))
    return F.max_pool2d(down, (1, length), stride=1, padding=(0, reach))


def save(figure: Figure, path: str | Path) -> None:
    """Write a figure as a PNG that appears as a whole or not at all.

    Texts in it are shown as :func:`samix.shown.shown` does, those of ticks by :func:`tick_name`,
    and in fonts that have their letters.
    """
    for text in figure.findobj(Text):
        text.set_text(shown(text.get_text(), lines=True))
        give_fonts(text)
    with whole_file(path) as partial:
        figure.savefig(partial, format="png")


def tick_name(name: str) -> str:
    """Return a user's name for an axis, in which nothing is obeyed or read as mathematics."""
    return shown(name).replace("$", r"\$")


_HOT = "autumn"  # red to yellow: on grey and on most photos
_STRONGEST = 0.7  # how much of the photo the hottest place covers
_COLUMNS = 7
_INCH, _TEXT, _HEAD = 1.35, 0.6, 0.34  # of a picture, the words below it, the title of a row
_COLOURS = {"ok": "#2f7d4f", "changed": "#a4650b", "bad": "#b3282d"}
_TITLE = 0.55
_LETTERS = 21  # that fit below a picture


def heated(photo: Tensor, heat: Tensor, defect: Tensor | None = None) -> Tensor:
    """Return a photo in grey with heat over it, and the outline of the true defect.

    Args:
        photo: (3,S,S) in [0, 1].
        heat: (1,S,S) in [0, 1]; 0 leaves the photo as it is.
        defect: (1,S,S) in [0, 1], or None.
    """
    grey = photo.mean(0, keepdim=True).expand(3, -1, -1)
    colours = colormaps[_HOT](heat[0].clamp(0, 1).numpy())[..., :3]
    over = torch.from_numpy(np.ascontiguousarray(colours)).permute(2, 0, 1).float()
    return outlined(torch.lerp(grey, over, _STRONGEST * heat), defect)


def outlined(photo: Tensor, defect: Tensor | None = None) -> Tensor:
    """Return a photo, enlarged where it is small, with the outline of the true defect."""
    return enlarged(photo, [] if defect is None else [(defect, PARTNER)])


def thumb(picture: Tensor, label: str, note: str = "") -> Thumb:
    """Return a picture of the page: a (C,S,S) tensor with two lines of text."""
    return Thumb(image_png(enlarged(picture)), label, note)


def draw_strips(path: str | Path, strips: Sequence[Strip], *, title: str, reading: str) -> None:
    """Draw strips of pictures as one figure, as they stand on the page.

    Args:
        path: The PNG file to write; it appears as a whole or not at all.
        strips: One or more.
        title: Line above all.
        reading: The sentence on how to read it.

    Raises:
        ValueError: No strip.
    """
    if not strips:
        raise ValueError("strips: expected one or more, got none")
    columns = min(max(len(strip.thumbs) for strip in strips), _COLUMNS)
    rows = [math.ceil(len(strip.thumbs) / columns) for strip in strips]
    width = max(_INCH * columns + 0.3, 7.0)
    told = wrapped(reading, int(width * 13))
    top = _TITLE + 0.19 * told.count("\n")
    height = top + sum(count * (_INCH + _TEXT) + _HEAD for count in rows) + 0.1
    figure = Figure(figsize=(width, height), dpi=100)
    FigureCanvasAgg(figure)

    def at(inches: float) -> float:
        return 1 - inches / height

    figure.text(0.15 / width, at(0.08), title, va="top", fontsize=11, parse_math=False)
    figure.text(
        0.15 / width, at(0.32), told, va="top", fontsize=8.5, color="0.35", parse_math=False
    )
    # one for all pictures, in inches from the upper left: axes of their own take long
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    down = top
    for strip, count in zip(strips, rows, strict=True):
        title, badge = both(strip.title).en, both(strip.badge).en
        words = f"{title}   [{badge}]" if badge else title
        colour = _COLOURS[strip.state] if strip.badge else "black"
        figure.text(
            0.15 / width, at(down + 0.08), words, va="top", fontsize=9.5, weight="bold",
            color=colour, parse_math=False,
        )  # fmt: skip
        down += _HEAD
        for number, one in enumerate(strip.thumbs):
            row, column = divmod(number, columns)
            left = 0.15 + column * _INCH
            bottom = down + row * (_INCH + _TEXT) + _INCH - 0.08
            picture = np.asarray(Image.open(io.BytesIO(one.png)).convert("RGB"))
            side = _INCH - 0.08
            axes.imshow(picture, extent=(left, left + side, bottom, bottom - side))
            figure.text(
                left / width, at(bottom + 0.03), _below(one), va="top", fontsize=7.5,
                linespacing=1.15, parse_math=False,
            )  # fmt: skip
        down += count * (_INCH + _TEXT)
    axes.set(xlim=(0, width), ylim=(height, 0), aspect="auto")
    save(figure, path)


def wrapped(text: str, width: int) -> str:
    """Return a text in lines of at most so many letters."""
    lines, line = [], ""
    for word in text.split():
        if line and len(line) + 1 + len(word) > width:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}".strip()
    return "\n".join([*lines, line])


def percent(share: float) -> str:
    """Return a share as people write it."""
    return "under 1\u00a0%" if 0 < share < 0.01 else f"{100 * share:.0f}\u00a0%"


def between(names: Sequence[str]) -> str:
    """Return what a mix is of, in words."""
    first, second = names
    return f"{first} and {second}" if first or second else "two photos"


def _below(one: Thumb) -> str:
    label, note = (wrapped(both(text).en, _LETTERS).splitlines() for text in (one.label, one.note))
    return "\n".join([*label[:2], *note][:4])
