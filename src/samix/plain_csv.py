"""CSV files of names: a spreadsheet computes none of them, and they are read back as they were.

Spreadsheets take a cell that begins with =, +, -, @, a tab or the end of a line for a formula, and
names of files and classes may begin so. Such a name has an apostrophe before it in the file, which
:func:`name_of` takes away. So has a name with apostrophes before such a character, so that no two
names are written alike. Numbers are written as they are.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable
from typing import Protocol

# also the wide characters, which spreadsheets with Japanese settings take for the narrow ones
_FORMULA = re.compile("'*[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")


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
