"""What a section of the PoC's report is made of; the template writes each kind in its way."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from samix.pages.charts import Panel, Style
from samix.pages.parts import State
from samix.pages.words import NOTHING, Text, Words


@dataclass(frozen=True)
class DataTable:
    """A table.

    Attributes:
        title: What it shows.
        header: Name of each column.
        rows: Cells, one list a row.
        words: Places of the columns that hold words; the others are numbers, set right.
        strong: Rows that stand out, such as those of the policy in question.
        note: How to read it.
        folded: Only the title is shown until it is opened; on paper it is always open.
    """

    title: Words
    header: Sequence[Text]
    rows: Sequence[Sequence[Text]]
    words: Collection[int] = range(1)
    strong: Collection[int] = ()
    note: Words = NOTHING
    folded: bool = False


@dataclass(frozen=True)
class Chart:
    """A picture with the numbers behind it.

    Attributes:
        key: A word that no other chart of the page has.
        title: What it shows.
        reading: How to read it.
        panels: Drawings beside each other.
        legend: Name and style of what is drawn.
        data: The numbers behind it.
    """

    key: str
    title: Words
    reading: Words
    panels: Sequence[Panel]
    legend: Sequence[tuple[Text, Style]]
    data: DataTable


@dataclass(frozen=True)
class Facts:
    """Names and values beside each other.

    Attributes:
        rows: Name and value of each.
    """

    rows: Sequence[tuple[Text, Text]]


@dataclass(frozen=True)
class Points:
    """Sentences, one a line.

    Attributes:
        lines: The sentences.
        title: Above them.
    """

    lines: Sequence[Words]
    title: Words = NOTHING


@dataclass(frozen=True)
class Code:
    """A command to copy."""

    text: str


@dataclass(frozen=True)
class PictureRow:
    """A row of pictures in one file, with words below each of them.

    Attributes:
        png: The bytes of a PNG file; none where there are only words.
        title: Above it.
        badge: A word in a coloured frame.
        state: Colour of the badge.
        columns: Words below each picture, in equal widths.
        lines: Sentences below.
        caption: How to read it; empty where the one above says so.
    """

    png: bytes
    title: Words = NOTHING
    badge: Words = NOTHING
    state: State = "ok"
    columns: Sequence[Words] = ()
    lines: Sequence[Words] = ()
    caption: Words = NOTHING


Part = DataTable | Chart | Facts | Points | Code | PictureRow


@dataclass(frozen=True)
class ReportSection:
    """A part of the page with its heading.

    Attributes:
        key: Name of its place in the page.
        title: Its heading.
        intro: A paragraph before its parts.
        parts: In order.
    """

    key: str
    title: Words
    intro: Words = NOTHING
    parts: Sequence[Part] = ()
