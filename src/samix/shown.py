r"""Texts of others as they may be shown: in a terminal, on a page, in a picture, in a spreadsheet.

Names of files and classes may hold what a terminal obeys (escape sequences, line ends), and marks
that turn the order of letters around. :func:`shown` writes them as a program would: ``\x1b``,
``\n``, ``\u202e``. All letters, of any script, stay as they are, and names that are Shift-JIS on a
disk of UTF-8 are shown in letters.

Spreadsheets take a cell that begins with =, +, -, @, a tab or the end of a line for a formula, and
names may begin so. :class:`NameWriter` puts an apostrophe before such a name in a CSV file, which
:func:`name_of` takes away. It does so too for a name with apostrophes before such a character, so
that no two names are written alike. Numbers are written as they are.
"""

from __future__ import annotations

import contextlib
import csv
import io
import os
import re
import sys
import unicodedata
from collections.abc import Collection, Iterable
from typing import Protocol

_LINES = "\n\t"
# control characters, lone halves of a character, ends of lines and paragraphs, marks of direction,
# and what has no width: fillers, joiners of words, notes between lines, tags
_UNSEEN = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b\u200e\u200f"
    r"\u2028-\u202e\u2060-\u206f\u3164\ud800-\udfff\ufeff\uffa0\ufff9-\ufffb"
    r"\U0001d173-\U0001d17a\U000e0000-\U000e007f]"
)
# a piece of a name with bytes that are no UTF-8, as Python keeps them; other bytes of it may happen
# to be UTF-8 of two, and the second byte of a pair of Shift-JIS a plain letter
_PIECE = re.compile("[@-\u07ff\udc80-\udcff]*[\udc80-\udcff][@-\u07ff\udc80-\udcff]*")
LIKE_LATIN = re.compile(rb"(?:[\x00-\x7f]|(?<![\x80-\xff])[\xc0-\xff]{1,2}(?![\x80-\xff]))*")
"""Bytes with single letters with accents between plain ones, as names in Latin letters have."""
# also the wide characters, which spreadsheets with Japanese settings take for the narrow ones
_FORMULA = re.compile("'*[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
# what a line is divided between: spaces, words, and wide letters with what may not begin a line
_PARTS = re.compile(
    r"\s+|[^\s\u3000-\u9fff\uff00-\uffef]+|[\u3000-\u9fff\uff00-\uffef][\u3001\u3002\u300d\uff09\uff1a]*"
)
_ARGUMENT = re.compile(
    r"(?:^|(?<=[\s(]))(?P<tick>`?)(?P<name>[a-z][a-z_]*)"
    r"(?:=(?P<value>[^\s,;)`]+))?(?P=tick)(?P<first>:(?= )|(?= '))?(?!\w)"
)
_COMMAND = re.compile(r"samix [a-z-]+(?: DATA)?(?: [a-z_]+=\S+)+")


def shown(text: str, *, lines: bool = False) -> str:
    """Return a text with every character escaped that a terminal obeys or that cannot be seen.

    Args:
        text: Any text, such as a name of a file or a sentence that quotes one.
        lines: Keep the ends of lines and tabs, which a text of several lines has on purpose.
    """
    if text.isprintable():
        return text
    text = _PIECE.sub(_guessed, text)
    return _UNSEEN.sub(_kept if lines else _escaped, text)


def in_letters(name: str) -> str:
    """Return a name as text that any file can hold; bytes of it that are no letters are escaped."""
    stored = _PIECE.sub(_guessed, name).encode("utf-8", "surrogateescape")
    return stored.decode("utf-8", "backslashreplace")


def _guessed(found: re.Match[str]) -> str:
    """Return letters for bytes that are Shift-JIS, as far as that can be guessed."""
    stored = found[0].encode("utf-8", "surrogateescape")
    try:
        letters = stored.decode("cp932")
    except UnicodeDecodeError:
        return found[0]
    return letters if letters.isprintable() and not LIKE_LATIN.fullmatch(stored) else found[0]


def escape_letters() -> None:
    """Let output escape letters that a terminal or a pipe does not know, instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def close_output() -> None:
    """Let nothing more be written where nobody reads, not at the end of the process either."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class NameWriter:
    """Writes rows of names and numbers.

    Args:
        file: Opened with ``newline=""``.
    """

    def __init__(self, file: Writable) -> None:
        self._writer = csv.writer(_Lines(file), lineterminator="\r\n")

    def writerow(self, names: Iterable[str], numbers: Iterable[str] = ()) -> None:
        """Write a row: names, which a spreadsheet must not compute, then numbers as they are."""
        self._writer.writerow((*map(cell_of, names), *numbers))


def cell_of(name: str) -> str:
    """Return the cell that a name is written as."""
    return f"'{name}" if _FORMULA.match(name) else name


def name_of(cell: str) -> str:
    """Return the name that a cell means; what has no apostrophe is a name as it is."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


class Writable(Protocol):
    """A file that is open for text."""

    def write(self, text: str, /) -> object:
        """Write a text."""


class _Lines:
    """Ends lines with a line feed alone, where the writer ends them with both characters.

    The writer quotes what holds a character of its line ends, which a name may hold.

    Args:
        file: Where to write.
    """

    def __init__(self, file: Writable) -> None:
        self.file = file

    def write(self, text: str) -> None:
        """Write a row."""
        self.file.write(text.removesuffix("\r\n") + "\n")


def _kept(found: re.Match[str]) -> str:
    return found[0] if found[0] in _LINES else _escaped(found)


def _escaped(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape", "surrogatepass").decode("ascii")


def flag_of(name: str) -> str:
    """Return the option of the command line that sets an argument."""
    return f"--{name.replace('_', '-')}"


def wrapped(text: str, columns: int) -> str:
    """Return a text in lines of a number of columns, of which a wide letter takes two.

    Words are kept whole, however long, and what follows a label ("Page: ...") stays beside it. All
    lines begin as far to the right as the first.
    """
    left = text[: len(text) - len(text.lstrip())]
    lines = [left]
    for part in _PARTS.findall(text.strip()):
        line = lines[-1].strip()
        if line and not line.endswith(":") and _width(lines[-1] + part.rstrip()) > columns:
            lines.append(left)
        lines[-1] += part if lines[-1] != left else part.lstrip()
    return "\n".join(line.rstrip() for line in lines)


def _width(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(letter) in "FW" else 1 for letter in text)


def flagged(
    message: str, names: Collection[str] | None = None, *, positional: Collection[str] = ("data",)
) -> str:
    """Return a message with the names of arguments as the command line writes them.

    A name counts where a message begins with it (``lr: expected``, ``init 'x' is``), before a value
    (``policy=RUN``, ``pretrained=True``), and anywhere if it has an underscore (``batch_size``) or
    stands in backticks. What follows a command (``samix train resume=True``) is always written so.

    Args:
        message: What the library says.
        names: Of the options that there are; other words stay as they are. None takes what stands
            in backticks.
        positional: Names of arguments that the command takes without a flag.
    """
    commands = [found.span() for found in _COMMAND.finditer(message)]

    def written(found: re.Match[str]) -> str:
        name, value, marked = found["name"], found["value"], bool(found["tick"])
        begins = found["first"] is not None and found.start() == 0
        plain = begins or marked or value or "_" in name
        known = marked if names is None else plain and name in names
        typed = value and any(start <= found.start() < end for start, end in commands)
        if not known and not typed:
            return found[0].replace("`", "")
        flag = name.upper() if name in positional else flag_of(name)
        flags = {None: flag, "True": flag, "False": f"--no-{flag[2:]}"}
        return flags.get(value, f"{flag} {value}") + (found["first"] or "")

    return _ARGUMENT.sub(written, message)
