"""The one kit of pages: what a page is made of, and how it becomes one file.

A page needs no other file and no network, at any width, in light and in dark, and forbids the
browser every request and every script but its own, which switches the language, sorts tables and
marks the place in the contents. Words may be in one language or in both
(:class:`samix.pages.words.Words`); a plain text is the same in both. Everything that is written is
escaped, names of files and classes twice: as markup, and as letters that play tricks on a reader.
"""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape
from PIL import Image
from torch import Tensor

from samix.files import write_text
from samix.shown import shown

from .charts import Panel, Style, mark_path
from .words import Text, Words, both, word

State = Literal["ok", "changed", "bad"]
Language = Literal["both", "en", "ja"]


@dataclass(frozen=True)
class Table:
    """A table."""

    header: Sequence[Text]  # name of each column
    rows: Sequence[Sequence[Text]]  # cells, one list a row
    caption: Text = ""  # how to read it
    title: Text = ""  # what it shows
    # places of the columns that hold words, the first of which names the row; the others are
    # numbers and set to the right. None sets to the right what looks like a number
    words: Collection[int] | None = None
    strong: Collection[int] = ()  # rows that stand out, such as those of the policy in question
    folded: bool = False  # only the title is shown until it is opened; on paper it is always open


@dataclass(frozen=True)
class Thumb:
    """A small picture with a short label."""

    png: bytes  # the bytes of a PNG file
    label: Text = ""  # its name, such as "mask"
    note: Text = ""  # a second, smaller line


@dataclass(frozen=True)
class Strip:
    """Small pictures that belong together, with what is to be said about them."""

    thumbs: Sequence[Thumb]  # the pictures, left to right; they wrap on a narrow screen
    title: Text = ""  # line above
    lines: Sequence[Text] = ()  # lines below
    badge: Text = ""  # a word in a coloured frame, such as "repaired"
    state: State = "ok"  # colour of the badge
    large: bool = False  # show the pictures larger where the screen is wide enough
    dense: bool = False  # show four in a row, not two, on a narrow screen


@dataclass(frozen=True)
class Beside:
    """Strips side by side, as many as the screen is wide, to be compared."""

    strips: Sequence[Strip]  # left to right
    title: Text = ""  # above all


@dataclass(frozen=True)
class PictureRow:
    """A row of pictures in one file, with words below each of them."""

    png: bytes  # the bytes of a PNG file; none where there are only words
    title: Text = ""  # above it
    badge: Text = ""  # a word in a coloured frame
    state: State = "ok"  # colour of the badge
    columns: Sequence[Text] = ()  # words below each picture, in equal widths
    lines: Sequence[Text] = ()  # sentences below
    caption: Text = ""  # how to read it; empty where the one above says so


@dataclass(frozen=True)
class Chart:
    """A drawing with the numbers behind it."""

    key: str  # a word that no other chart of the page has
    title: Text  # what it shows
    reading: Text  # how to read it
    panels: Sequence[Panel]  # drawings beside each other
    legend: Sequence[tuple[Text, Style]] = ()  # name and style of what is drawn
    data: Table | None = None  # the numbers behind it; None where another table has them


@dataclass(frozen=True)
class Facts:
    """Names and values beside each other."""

    rows: Sequence[tuple[Text, Text]]  # name and value of each


@dataclass(frozen=True)
class Points:
    """Sentences, one a line."""

    lines: Sequence[Text]  # the sentences
    title: Text = ""  # above them


@dataclass(frozen=True)
class Code:
    """A command to copy."""

    text: str


Part = Table | Strip | Beside | PictureRow | Chart | Facts | Points | Code
_KINDS = {
    "table": Table, "strip": Strip, "beside": Beside, "picture": PictureRow, "chart": Chart,
    "facts": Facts, "points": Points, "code": Code,
}  # fmt: skip


@dataclass(frozen=True)
class Section:
    """A part of the page with its heading."""

    title: Text  # its heading
    intro: Text = ""  # a paragraph before its parts; a text of several lines keeps them
    parts: Sequence[Part] = ()  # in order
    key: str = ""  # name of its place in the page; its number where there is none


@dataclass(frozen=True)
class Layout:
    """A page with more than sections."""

    package: str  # where its template lies, in ``templates``
    template: str  # its name; it extends ``page.html``
    # what the template shows beside the sections
    values: Mapping[str, Any] = field(default_factory=dict)
    # its own script in ``templates``, which may ask the server that the page came from; empty for a
    # page that stands alone
    script: str = ""


class Lines(str):
    """A text of several lines on purpose."""


def write_page(
    path: str | Path,
    title: Text,
    sections: Sequence[Section],
    *,
    lead: Text = "",
    facts: Sequence[tuple[Text, Text]] = (),
    language: Language = "en",
    layout: Layout | None = None,
) -> None:
    """Write a page that needs no other file and no network."""
    text = page_text(title, sections, lead=lead, facts=facts, language=language, layout=layout)
    # a file name of broken letters must not stop a page
    write_text(Path(path), text, errors="replace")


def page_text(
    title: Text,
    sections: Sequence[Section],
    *,
    lead: Text = "",
    facts: Sequence[tuple[Text, Text]] = (),
    language: Language = "en",
    layout: Layout | None = None,
) -> str:
    """Return the text of a page, see :func:`write_page`."""
    layout = layout or Layout("samix.pages", "page.html")
    style, *scripts = (read_template("samix.pages", f"page.{kind}") for kind in ("css", "js"))
    if layout.script:
        scripts.append(read_template(layout.package, layout.script))
    return (
        _environment(language, layout.package)
        .get_template(layout.template)
        .render(
            title=title, sections=sections, lead=lead, facts=facts, language=language,
            style=Markup(style), scripts=[Markup(one) for one in scripts],  # noqa: S704 - our own
            policy=_security(style, scripts, asks=bool(layout.script)), **layout.values,
        )
    )  # fmt: skip


def parts_text(parts: Sequence[Part], language: Language) -> str:
    """Return parts as a piece of a page that is there already."""
    source = "{% from 'parts.html' import body with context %}{{ body(section) }}"
    template = _environment(language, "samix.pages").from_string(source)
    return template.render(section=Section("", parts=parts), language=language)


def read_template(package: str, name: str) -> str:
    """Return a file beside the templates of a package."""
    return resources.files(package).joinpath("templates", name).read_text("utf-8")


def legible(value: Any) -> Any:
    """Return a value of a template as it may be shown: names in it are those of files.

    Text is escaped as :func:`samix.shown.shown` does, the ends of lines too but in :class:`Lines`
    and in markup that is made already.
    """
    if isinstance(value, Markup):
        return Markup(shown(value, lines=True))  # noqa: S704 - no character of markup is added
    return shown(value, lines=isinstance(value, Lines)) if isinstance(value, str) else value


def image_png(image: Tensor, *, side: int | None = None, smooth: bool = True) -> bytes:
    """Return a picture, (3,H,W) or (1,H,W) float in [0, 1] or uint8, as the bytes of a PNG file.

    None leaves the size; a larger one is enlarged smoothly, or so that pixels stay visible.
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


@cache  # with the templates that it has made
def _environment(language: Language, package: str) -> Environment:
    loaders = [PackageLoader(name) for name in dict.fromkeys((package, "samix.pages"))]
    environment = Environment(
        loader=ChoiceLoader(loaders), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, finalize=legible,
    )  # fmt: skip
    environment.filters |= {
        "lines": Lines,
        "say": _say(language),
        "made": Markup,  # a piece that parts_text has made
        "one": lambda value: _one(value, language),
        "tongue": _one,
        "uri": lambda png: f"data:image/png;base64,{base64.b64encode(png).decode()}",
    }
    environment.globals |= {"word": word, "mark_path": mark_path}
    environment.tests |= {name: _is(kind) for name, kind in _KINDS.items()}
    environment.tests["number"] = _is_number
    return environment


def _is(kind: type) -> Callable[[object], bool]:
    return lambda part: isinstance(part, kind)


def _is_number(cell: Text) -> bool:
    bare = both(cell).en.strip("+-%x \u2212\u00b1\u00d7")
    return bare.replace(".", "").replace(",", "").replace(" ", "").isdigit()


def _say(language: Language) -> Callable[..., Markup]:
    """Return a filter that writes words in the languages of the page, escaped."""

    def say(value: Text, tag: str = "span", *, lines: bool = False) -> Markup:
        told = _shown(value, lines=lines)
        if language != "both":
            return escape(told.ja if language == "ja" else told.en)
        if told.en == told.ja:
            return escape(told.en)
        return Markup("").join(
            Markup('<{tag} lang="{name}">{text}</{tag}>').format(tag=tag, name=name, text=text)
            for name, text in (("en", told.en), ("ja", told.ja))
        )

    return say


def _one(value: Text, language: Language) -> str:
    """Return words for a place that holds no markup: one language, or both beside each other."""
    told = _shown(value)
    if language == "both":
        return told.en if told.en == told.ja else f"{told.en} / {told.ja}"
    return told.ja if language == "ja" else told.en


def _shown(value: Text, *, lines: bool = False) -> Words:
    told = both(value)
    return Words(shown(told.en, lines=lines), shown(told.ja, lines=lines))


def _security(style: str, scripts: Sequence[str], *, asks: bool) -> str:
    """Return what the browser may do: show this style and these pictures, run these scripts."""
    ours = " ".join(f"'{_hash(script)}'" for script in scripts)
    return (
        "default-src 'none'; img-src data:; base-uri 'none'; form-action 'none'; "
        f"style-src '{_hash(style)}'; script-src {ours}" + ("; connect-src 'self'" if asks else "")
    )


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
