"""Words of the command line that stand for several values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from samix.errors import InputError
from samix.plain_yaml import parse_yaml


def key_values(words: Sequence[str], name: str) -> dict[str, Any]:
    """Return names and values from words such as layers=[1,1,1,1].

    Args:
        words: What was given.
        name: The option as Python writes it, such as "model_kwargs".

    Raises:
        InputError: A word without a name, or a value that YAML cannot read.
    """
    return dict(_pair(word, f"--{name.replace('_', '-')}") for word in words)


def _pair(word: str, flag: str) -> tuple[str, Any]:
    name, equals, value = word.partition("=")
    if not equals or not name:
        raise InputError(f"{flag} expects KEY=VALUE, got '{word}'")
    try:
        return name, parse_yaml(value)
    except ValueError as error:
        raise InputError(
            f"{flag} {name} has a value that cannot be read: '{value}' ({error})"
        ) from error
