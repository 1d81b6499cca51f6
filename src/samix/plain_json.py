"""JSON that anybody may have written: plain values within bounds, or one sentence."""

from __future__ import annotations

import json
import math
import stat
from pathlib import Path
from typing import Any

MOST_BYTES = 2**26
"""Largest file that is read, in bytes: the findings of a large study have a hundredth of that."""
MOST_DEPTH = 40
"""Lists and mappings inside each other that are read; samix writes up to ten."""
_LARGEST = 2**63  # of a whole number


def read_json(path: Path) -> dict[str, Any]:
    """Return the mapping that a JSON file holds.

    Args:
        path: The file.

    Raises:
        OSError: It cannot be read.
        ValueError: It is no such file, too large, too deep, or holds a number that is none.
    """
    content = parse_json(read_plain(path, MOST_BYTES))
    if not isinstance(content, dict):
        raise ValueError(f"expected names and values, got {_kind(content)}")
    return content


def parse_json(text: str | bytes) -> Any:
    """Return what a JSON text holds.

    Raises:
        ValueError: It is none, too deep, or holds a number that is none.
    """
    try:
        content = json.loads(text, parse_constant=_no_number)
    except RecursionError:
        raise ValueError(_too_deep()) from None
    check_plain(content)
    return content


def read_plain(path: Path, most: int) -> str:
    """Return the text of a file, which must be a file on the disk and not too large.

    Args:
        path: The file.
        most: Bytes that it may have.

    Raises:
        OSError: It cannot be read.
        ValueError: It is a pipe, a device or a folder, is too large, or is no text in UTF-8.
    """
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise ValueError("expected a file, got a folder, a pipe or a device")
    if status.st_size > most:
        raise ValueError(f"it has {status.st_size:,} bytes, at most {most:,} are read")
    return path.read_text(encoding="utf-8")


def check_plain(content: Any) -> None:
    """Refuse what is nested too deep, numbers that are none, and names that are no words.

    Args:
        content: What a file held: mappings, lists, texts, numbers, True, False and None.

    Raises:
        ValueError: There is something of that kind.
    """
    waiting: list[tuple[Any, int]] = [(content, 1)]
    while waiting:
        value, depth = waiting.pop()
        if isinstance(value, dict | list):
            if depth > MOST_DEPTH:
                raise ValueError(_too_deep())
            parts = value.values() if isinstance(value, dict) else value
            waiting.extend((part, depth + 1) for part in parts)
        _check_names(value)
        _check_number(value)


def _check_names(value: Any) -> None:
    if isinstance(value, dict):
        strange = [name for name in value if not isinstance(name, str)]
        if strange:
            raise ValueError(
                f"the name {strange[0]!r} is {_kind(strange[0])}; put it between quotes"
            )
    elif not isinstance(value, str | int | float | list | None):
        raise ValueError(f"expected words, numbers and lists, got {_kind(value)}")


def _check_number(value: Any) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"expected finite numbers, got {value}")
    if isinstance(value, int) and not -_LARGEST <= value < _LARGEST:
        raise ValueError("a whole number has more than 18 digits")


def _no_number(word: str) -> Any:
    raise ValueError(f"expected finite numbers, got {word}")


def _too_deep() -> str:
    return f"lists and mappings are nested deeper than {MOST_DEPTH} levels"


def _kind(value: object) -> str:
    if isinstance(value, bool):
        return "true or false"
    names = {dict: "a mapping", list: "a list", str: "a text", int: "a number", float: "a number"}
    return "nothing" if value is None else names.get(type(value), type(value).__name__)
