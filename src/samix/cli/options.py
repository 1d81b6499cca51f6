"""How options are added to the parsers of all commands."""

from __future__ import annotations

import argparse
from typing import Any


def add_command(
    commands: Any, name: str, *, usage: str, about: str, description: str, examples: str
) -> argparse.ArgumentParser:
    """Add the parser of a command or action; options that were not given are absent.

    Args:
        commands: From ``add_subparsers``.
        name: Of the command.
        usage: What follows the word samix.
        about: Its line in the list of commands.
        description: What its help begins with.
        examples: What its help ends with.
    """
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        usage=f"samix {usage}",
        help=about,
        description=description,
        epilog=examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
    )
    return parser


def add_option(group: Any, flag: str, meaning: str, **options: Any) -> None:
    """Add an option, or an argument without dashes, to a group of a parser.

    Args:
        group: From ``add_argument_group``.
        flag: Such as "--seed".
        meaning: Its line of the help.
        **options: Arguments of ``add_argument``.
    """
    group.add_argument(flag, help=meaning, **options)


def add_switch(group: Any, flag: str, meaning: str) -> None:
    """Add an option that is on or, with --no- before its name, off."""
    group.add_argument(flag, action=argparse.BooleanOptionalAction, help=meaning)


def add_reading(
    group: Any, skip: str = "leave out photos that cannot be read, instead of stopping"
) -> None:
    """Add what becomes of photos that are corrupt or very large.

    Args:
        group: From ``add_argument_group``.
        skip: What is said about ``--skip-corrupt``.
    """
    add_switch(group, "--skip-corrupt", skip)
    add_limit(group)


def add_limit(group: Any) -> None:
    """Add how large a photo may be."""
    largest = "largest photo that is read, in millions of pixels (200); each takes 4 to 8 MB"
    add_option(group, "--max-megapixels", largest, type=int, metavar="N")
