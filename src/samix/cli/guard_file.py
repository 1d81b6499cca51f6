"""The options of a guard from the word after --guard."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from samix.errors import InputError
from samix.guard import guard_options
from samix.plain_yaml import read_yaml

DEFAULT = "default"


def read_guard(word: str) -> dict[str, Any]:
    """Return the options of a guard as plain values.

    Args:
        word: A YAML file, or "default" for the defaults.

    Raises:
        InputError: The file is missing, no YAML, or has an unknown option or value.
    """
    if word == DEFAULT:
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
