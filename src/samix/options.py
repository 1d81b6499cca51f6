"""Options: each is declared once, as a field of a frozen dataclass.

A field says what it means, which values it takes and, for the command line, how it is shown there.
From that one place come the checks of a record, the reading of plain values from a file, and the
options of the command line with their help. Nothing heavy is imported here, nor by a module that
declares options: help must be quick. Types that are heavy to import are named by
:meth:`Options.types`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, dataclass, fields
from types import NoneType, UnionType
from typing import (
    Any,
    ClassVar,
    Literal,
    Self,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from .errors import InputError, nearest

_WORDS = {
    int: "a whole number",
    float: "a number",
    str: "a text",
    bool: "true or false",
    NoneType: "nothing",
}
_KINDS: dict[type, Mapping[str, Any]] = {}  # found once for each class
Kind = TypeVar("Kind", bound="Options")


def option(
    default: Any = MISSING,
    help: str = "",
    *,
    group: str = "",
    metavar: str = "",
    shown: str | Callable[[Any], str] | None = None,
    least: float | None = None,
    above: float | None = None,
    most: float | None = None,
    below: float | None = None,
    check: Callable[[Any], object] | None = None,
) -> Any:
    """Declare an option as a field of a dataclass.

    Args:
        default: Its default; a dict or tuple is copied.
        help: What it means, for help and documents; without one it is no option of the command
            line.
        group: Title of the part of the help that it belongs to.
        metavar: What stands for a value in the help; derived from the type where empty.
        shown: What the help says in brackets instead of the default; a function is given the class.
        least: Smallest number, itself allowed.
        above: Numbers must be larger.
        most: Largest number, itself allowed.
        below: Numbers must be smaller.
        check: Called with a value, and raises where it cannot be.
    """
    metadata = {
        "help": help, "group": group, "metavar": metavar, "shown": shown,
        "least": least, "above": above, "most": most, "below": below, "check": check,
    }  # fmt: skip
    if isinstance(default, dict):
        return dataclasses.field(default_factory=default.copy, metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


@dataclass(frozen=True, kw_only=True)
class Options:
    """A record of options, which checks their words and ranges when it is made."""

    command: ClassVar[str] = ""

    def __post_init__(self) -> None:
        kinds = plain_kinds(type(self))
        for field in fields(self):
            value, check = getattr(self, field.name), field.metadata.get("check")
            _check(field, kinds[field.name], value)
            if check is not None:
                check(value)

    @classmethod
    def types(cls) -> Mapping[str, Any]:
        """Return the types of fields that are imported only where a record is made."""
        return {}

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """Return the names of the options."""
        return tuple(field.name for field in fields(cls))

    @classmethod
    def part_of(cls, record: Options, **changes: Any) -> Self:
        """Return the options of this class that a larger record has among others.

        Args:
            record: Of a class that extends this one.
            **changes: Values that come before those of the record.
        """
        return cls(**{name: getattr(record, name) for name in cls.names()} | changes)


def _check(field: Field[Any], kind: Any, value: Any) -> None:
    """Refuse a word that is not known, and a number outside its range, NaN included.

    Raises:
        InputError: One is; the message names the option.
    """
    known = _choices(kind)
    if known and isinstance(value, str) and value not in known and not _takes_any_text(kind):
        words = ", ".join(map(str, known))
        raise InputError(
            f"{field.name}: expected one of {words}, got {value!r}; the nearest is "
            f"'{nearest(value, known)}'"
        )
    if isinstance(value, int | float) and not isinstance(value, bool):
        _check_range(field, value)


def _check_range(field: Field[Any], value: float) -> None:
    limits = field.metadata
    least, above, most, below = (limits.get(name) for name in ("least", "above", "most", "below"))
    if all(limit is None for limit in (least, above, most, below)):
        return
    inside = abs(value) < float("inf")
    inside = inside and (least is None or value >= least) and (above is None or value > above)
    inside = inside and (most is None or value <= most) and (below is None or value < below)
    if not inside:
        raise InputError(f"{field.name}: expected {_range_words(field)}, got {value}")


def _range_words(field: Field[Any]) -> str:
    """Return the range of a number in words."""
    least, above, most, below = (
        field.metadata[name] for name in ("least", "above", "most", "below")
    )
    low, high = least if above is None else above, most if below is None else below
    if low is not None and high is not None and high < 2**20:
        left, right = "[" if above is None else "(", "]" if below is None else ")"
        return f"a number in {left}{low}, {high}{right}"
    if low is not None and high is not None:
        return f"a number from {low} to {high}"
    if high is not None:
        return f"at most {high}" if below is None else f"a number below {high}"
    return f"at least {low}" if above is None else f"a number above {low}"


def _choices(kind: Any) -> tuple[Any, ...]:
    """Return the words that a declared kind allows."""
    if get_origin(kind) is Literal:
        return get_args(kind)
    if get_origin(kind) in (Union, UnionType):
        return tuple(word for part in get_args(kind) for word in _choices(part))
    return ()


def _takes_any_text(kind: Any) -> bool:
    return get_origin(kind) in (Union, UnionType) and str in get_args(kind)


def plain_kinds(kind: type[Options]) -> Mapping[str, Any]:
    """Return the declared kind of each option of a class."""
    if kind not in _KINDS:
        hints = get_type_hints(kind, localns=dict(kind.types()))
        _KINDS[kind] = {n: hint for n, hint in hints.items() if get_origin(hint) is not ClassVar}
    return _KINDS[kind]


def from_plain(values: Mapping[str, Any], kind: type[Kind]) -> Kind:
    """Return a record from plain values, such as a file has.

    Args:
        values: By the names of the options.
        kind: Class of the record.

    Raises:
        InputError: An unknown name, a value of another kind, or one outside its range.
    """
    known = plain_kinds(kind)
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise InputError(f"unknown setting '{unknown[0]}'; expected one of {', '.join(known)}")
    for name, value in values.items():
        if not fits(value, known[name]):
            raise InputError(f"{name}: expected {kind_words(known[name])}, got {value!r:.80}")
    return kind(**values)


def fits(value: object, kind: Any) -> bool:
    """Say whether a value is of a declared kind; a list stands for a tuple.

    Which words an option knows is said later, and better: here any text is one.

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
