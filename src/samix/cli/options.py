"""How the options of all commands are made and read.

Most come from the fields of the records that runs are configured by, where each is declared once
with its help, its range and its default (:mod:`samix.options`). Nothing heavy is imported here.
"""

from __future__ import annotations

import argparse
from collections.abc import Collection, Mapping, Sequence
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from samix.errors import InputError
from samix.options import Options
from samix.shown import flag_of, flagged
from samix.training.config import RunConfig

if TYPE_CHECKING:
    from samix.pages.parts import Language

DEFAULT_GUARD = "default"
"""What --guard means where no file is named."""
GROUPS = ("data", "method", "network", "mixing", "training", "machine")
"""Titles of the groups of a run's options, in the order of its help."""
LANGUAGES: tuple[Language, ...] = ("both", "en", "ja")
"""What --lang may be."""
PHOTOS = ("data_root", "download", "skip_corrupt", "max_megapixels", "labels", "label_column")
"""Fields that say how photos are opened."""
_PAIRS: dict[str, Any] = {"nargs": "+", "action": "extend", "metavar": "KEY=VALUE"}
_TABLES = (".csv", ".tsv", ".txt", ".jsonl", ".parquet")
_NUMBERS = {"int": (int, "N"), "float": (float, "X")}


def add_language(group: Any) -> None:
    """Add --lang of a command that writes one page."""
    group.add_argument(
        "--lang",
        help="language: en, ja, or both (the page has a switch, the terminal is English) (en)",
        metavar="LANG",
    )


def page_language(given: Mapping[str, Any]) -> Language:
    """Return the language of a page: English where none was given."""
    lang = given.get("lang", "en")
    found = next((one for one in LANGUAGES if one == lang), None)
    if found is None:
        raise InputError(
            f"--lang must be one of {', '.join(LANGUAGES)}, got '{lang}'; leave it out for English"
        )
    return found


def spoken(given: Mapping[str, Any]) -> str:
    """Return the one language of the terminal: Japanese where only that is wished, else English."""
    return "ja" if given.get("lang") == "ja" else "en"


def add_command(
    commands: Any, name: str, usage: str, about: str, description: str, examples: str
) -> argparse.ArgumentParser:
    """Add the parser of a command or action; options that were not given are absent."""
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        usage=f"samix {usage}",
        help=about,
        description=description,
        epilog=f"The default of an option stands in brackets.\n\n{examples}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
    )
    return parser


def add_run(
    parser: argparse.ArgumentParser,
    kind: type[RunConfig],
    *,
    demo: str,
    without: Collection[str] = (),
) -> argparse._ArgumentGroup:
    """Add the options of a run of any kind, in their groups; return the first of these."""
    from samix.presets import preset_names

    known = ", ".join(preset_names(kind.command))
    presets = f"settings to start from: {known} ({demo}); options given here come before it"
    group = parser.add_argument_group("run")
    add_fields(group, kind, *(n for n in names_of(kind, "run") if n not in without), preset=presets)
    group.add_argument(
        "--resume",
        help="go on with the run in --output from its last checkpoint",
        action="store_true",
    )
    for title in GROUPS:
        names = [name for name in names_of(kind, title) if name not in without]
        part = parser.add_argument_group(title)
        if title == "mixing" and "policy" in names:
            names.remove("policy")
            add_fields(part, kind, "policy")
        if title == "mixing":
            add_lam(part)
        add_fields(part, kind, *names)
    return group


def names_of(kind: type[Options], title: str) -> tuple[str, ...]:
    """Return the names of the fields that belong to a group of the help."""
    return tuple(field.name for field in fields(kind) if field.metadata.get("group") == title)


def add_fields(group: Any, kind: type[Options], *names: str, **helps: str) -> None:
    """Add options made from fields of a record."""
    known = {field.name: field for field in fields(kind)}
    for name in names:
        _add_field(group, kind, known[name], helps.get(name))


def add_lam(group: Any, alpha: str = "lam comes from Beta(alpha, alpha)") -> None:
    """Add the options of policies that have a flag of their own."""
    group.add_argument("--alpha", help=alpha, type=float, metavar="X")
    words = "probability that a photo is mixed (1)"
    group.add_argument("--p", help=words, type=float, metavar="X")


def _add_field(group: Any, kind: type[Options], field: Field[Any], words: str | None) -> None:
    flag, declared = flag_of(field.name), str(field.type)
    words = _help_of(kind, field) if words is None else words
    kinds = [part.strip() for part in declared.split("|")]
    if field.default is MISSING and field.default_factory is MISSING:
        metavar = field.metadata["metavar"]
        group.add_argument(field.name, help=words, nargs="?", metavar=metavar)
    elif kinds[0] == "bool" and len(kinds) <= 2:
        group.add_argument(flag, help=words, action=argparse.BooleanOptionalAction)
    elif kinds[0] == "bool":
        metavar = field.metadata["metavar"]
        group.add_argument(flag, help=words, nargs="?", const=True, metavar=metavar)
        off = f"do without {flag}"
        group.add_argument(
            f"--no-{flag[2:]}", help=off, dest=field.name, action="store_const", const=False
        )
    elif field.metadata["metavar"] == "FILE":
        group.add_argument(flag, help=words, nargs="?", const=DEFAULT_GUARD, metavar="FILE")
    elif kinds[0].startswith("Mapping"):
        group.add_argument(flag, help=words, **_PAIRS)
    else:
        to, metavar = _NUMBERS.get(kinds[0], (str, "NAME"))
        group.add_argument(flag, help=words, type=to, metavar=field.metadata["metavar"] or metavar)


def _help_of(kind: type[Options], field: Field[Any]) -> str:
    shown = field.metadata["shown"]
    if callable(shown):
        shown = shown(kind)
    elif shown is None and not any(field.default is off for off in (None, False, MISSING)):
        value = field.default
        shown = f"{value:g}" if isinstance(value, float) else str(value)
    words = field.metadata["help"] + (f" ({shown})" if shown else "")
    return flagged(words, kind.names()).replace("%", "%%")


def key_values(words: Sequence[str], name: str) -> dict[str, Any]:
    """Return names and values, read as YAML, from words such as layers=[1,1,1,1]."""
    return dict(_pair(word, flag_of(name)) for word in words)


def _pair(word: str, flag: str) -> tuple[str, Any]:
    name, equals, value = word.partition("=")
    if not equals or not name:
        raise InputError(f"{flag} expects KEY=VALUE, got '{word}'")
    from samix.plain_yaml import parse_yaml

    try:
        return name, parse_yaml(value)
    except ValueError as error:
        raise InputError(
            f"{flag} {name} has a value that cannot be read: '{value}' ({error})"
        ) from error


def with_table(given: Mapping[str, Any], budgets: str) -> dict[str, Any]:
    """Return options with the label budgets and the table of labels apart, both after --labels."""
    words = [part for word in given.get("labels", ()) for part in str(word).split(",") if part]
    files = [word for word in words if _is_table(word)]
    if len(files) > 1:
        raise InputError(f"--labels expects one table of labels, got {', '.join(files)}")
    others = [word for word in words if word not in files]
    rest = {name: value for name, value in given.items() if name != "labels"}
    if others:
        rest[budgets] = others
    if files:
        rest["labels"] = files[0]
    return rest


def _is_table(word: str) -> bool:
    number = word.rstrip("%").replace(".", "", 1).isdecimal()
    return not number and (Path(word).suffix in _TABLES or Path(word).expanduser().is_file())


def read_guard(word: str) -> dict[str, Any]:
    """Return the options of a guard as plain values, from a YAML file or "default"."""
    from samix.guard import guard_options
    from samix.plain_yaml import read_yaml

    if word == DEFAULT_GUARD:
        return {}
    path = Path(word).expanduser()
    try:
        values = read_yaml(path)
    except OSError as error:
        raise InputError(
            f"--guard '{word}' cannot be read ({error.strerror}); give a YAML file, or nothing "
            "for the defaults"
        ) from error
    except ValueError as error:
        raise InputError(f"--guard '{word}' is no YAML file of options ({error})") from error
    values = {} if values is None else values
    try:
        guard_options(values)
    except (ValueError, TypeError) as error:
        raise InputError(f"--guard '{word}': {error}") from error
    return dict(values)
