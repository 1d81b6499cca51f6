"""Whether a value from a file is of the kind that a setting is declared with."""

from __future__ import annotations

from collections.abc import Mapping
from types import NoneType, UnionType
from typing import Any, ClassVar, Literal, Union, get_args, get_origin, get_type_hints

_WORDS = {
    int: "a whole number",
    float: "a number",
    str: "a text",
    bool: "true or false",
    NoneType: "nothing",
}


def plain_kinds(kind: type) -> dict[str, Any]:
    """Return the declared kind of each field of a dataclass."""
    hints = get_type_hints(kind)
    return {name: hint for name, hint in hints.items() if get_origin(hint) is not ClassVar}


def fits(value: object, kind: Any) -> bool:
    """Say whether a value is of a declared kind; a list stands for a tuple.

    Which words a setting knows is said later, and better: here any text is one.

    Args:
        value: A plain value, as YAML and the command line give it.
        kind: Such as ``int | None``, ``Literal["a"]``, ``Mapping[str, Any]``, ``tuple[str, ...]``.
    """
    origin = get_origin(kind)
    if origin in (Union, UnionType):
        return any(fits(value, part) for part in get_args(kind))
    if origin is Literal:
        return isinstance(value, str) or value in get_args(kind)
    if origin is tuple:
        return isinstance(value, list | tuple) and all(fits(p, get_args(kind)[0]) for p in value)
    if origin is not None:
        return isinstance(value, Mapping)
    if kind in (int, float):
        return isinstance(value, int | kind) and not isinstance(value, bool)
    return isinstance(value, kind)


def kind_words(kind: Any) -> str:
    """Return a declared kind in words."""
    parts = get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)
    return " or ".join(dict.fromkeys(_one(part) for part in parts))


def _one(kind: Any) -> str:
    origin = get_origin(kind)
    if origin is Literal:
        return "a text"
    if origin is tuple:
        return "a list of texts"
    return _WORDS.get(kind, "names and values")
