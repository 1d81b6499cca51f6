"""One self-contained HTML page: figures, tables and rows of small pictures, at any width."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from PIL import Image
from torch import Tensor

from samix.files import write_text
from samix.shown import shown

State = Literal["ok", "changed", "bad"]


@dataclass(frozen=True)
class Figure:
    """A large picture with a sentence on how to read it.

    Attributes:
        png: The bytes of a PNG file.
        caption: How to read it.
        alt: What it shows, for people who cannot see it.
    """

    png: bytes
    caption: str
    alt: str = ""


@dataclass(frozen=True)
class Table:
    """A table; a cell that looks like a number is set to the right.

    Attributes:
        header: Name of each column.
        rows: Cells as text, one list a row.
        caption: How to read it.
    """

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str = ""


@dataclass(frozen=True)
class Thumb:
    """A small picture with a short label.

    Attributes:
        png: The bytes of a PNG file.
        label: Its name, such as "mask".
        note: A second, smaller line.
    """

    png: bytes
    label: str = ""
    note: str = ""


@dataclass(frozen=True)
class Strip:
    """Small pictures that belong together, with what is to be said about them.

    Attributes:
        thumbs: The pictures, left to right; they wrap on a narrow screen.
        title: Line above.
        lines: Lines below.
        badge: A word in a coloured frame, such as "repaired".
        state: Colour of the badge.
        large: Show the pictures larger where the screen is wide enough.
        dense: Show four in a row, not two, on a narrow screen.
    """

    thumbs: Sequence[Thumb]
    title: str = ""
    lines: Sequence[str] = ()
    badge: str = ""
    state: State = "ok"
    large: bool = False
    dense: bool = False


@dataclass(frozen=True)
class Section:
    """A part of the page.

    Attributes:
        title: Its heading.
        intro: A paragraph before its parts.
        parts: Figures, tables and strips in order.
    """

    title: str
    intro: str = ""
    parts: Sequence[Figure | Table | Strip] = ()


class Lines(str):
    """A text of several lines on purpose."""


def legible(value: Any) -> Any:
    """Return a value of a template as it may be shown: names in it are those of files.

    Args:
        value: Text is escaped as :func:`samix.shown.shown` does, the ends of lines too but in
            :class:`Lines` and in markup that is made already.
    """
    if isinstance(value, Markup):
        return Markup(shown(value, lines=True))  # noqa: S704 - no character of markup is added
    return shown(value, lines=isinstance(value, Lines)) if isinstance(value, str) else value


def write_page(
    path: str | Path,
    title: str,
    sections: Sequence[Section],
    *,
    lead: str = "",
    facts: Sequence[tuple[str, str]] = (),
    language: str = "en",
) -> None:
    """Write a page that needs no other file and no network.

    Args:
        path: The HTML file; it appears as a whole or not at all.
        title: Heading of the page.
        sections: Its parts; their titles are listed at the top where there are more than two.
        lead: The sentences that a hurried reader must see.
        facts: Names and values in small print below the lead, such as the data and the seed.
        language: Of the text, for the browser.
    """
    environment = Environment(
        loader=PackageLoader("samix.pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=legible,
    )
    environment.filters["lines"] = Lines
    environment.filters["uri"] = _uri
    environment.tests["number"] = _is_number
    environment.tests["figure"] = lambda part: isinstance(part, Figure)
    environment.tests["table"] = lambda part: isinstance(part, Table)
    text = environment.get_template("page.html").render(
        title=title, sections=sections, lead=lead, facts=facts, language=language
    )
    write_text(Path(path), text)


def image_png(image: Tensor, *, side: int | None = None, smooth: bool = True) -> bytes:
    """Return a picture as the bytes of a PNG file.

    Args:
        image: (3,H,W) or (1,H,W), float in [0, 1] (clamped) or uint8.
        side: Longer side of the result in px; None leaves the size.
        smooth: Enlarge smoothly; otherwise pixels stay visible.
    """
    values = image.detach().cpu()
    if values.is_floating_point():
        values = (values.clamp(0, 1) * 255).round().byte()
    array = np.ascontiguousarray(values.permute(1, 2, 0).numpy())
    picture = Image.fromarray(array[..., 0] if array.shape[2] == 1 else array)
    if side is not None:
        scale = side / max(picture.size)
        size = [max(round(length * scale), 1) for length in picture.size]
        how = Image.Resampling.LANCZOS if smooth or scale < 1 else Image.Resampling.NEAREST
        picture = picture.resize((size[0], size[1]), how)
    file = io.BytesIO()
    picture.save(file, format="PNG", optimize=True)
    return file.getvalue()


def _uri(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def _is_number(text: str) -> bool:
    bare = text.strip("+-%x \u2212\u00b1\u00d7")
    return bare.replace(".", "").replace(",", "").replace(" ", "").isdigit()
