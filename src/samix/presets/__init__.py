"""Presets: a few sets of training settings, each a YAML file named by its task."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from samix.errors import InputError, nearest
from samix.plain_yaml import read_own

TUNE = "tune"
"""The preset of training that begins with trained weights."""


def preset_names(command: str | None = None) -> tuple[str, ...]:
    """Return the names of the presets.

    Args:
        command: "train" or "pretrain" for the presets of this command; None for all.
    """
    found = (path.name for path in files(__name__).iterdir())
    names = sorted(name.removesuffix(".yaml") for name in found if name.endswith(".yaml"))
    return tuple(name for name in names if command in (None, _read(name)["command"]))


def load_preset(name: str, command: str | None = None) -> dict[str, Any]:
    """Return the settings of a preset, by the names of the configuration of its command.

    Args:
        name: One of :func:`preset_names`.
        command: The command that asks; None takes a preset of any.

    Raises:
        InputError: Unknown name, with the nearest one, or a preset of another command.
    """
    names = preset_names(command)
    if name not in names:
        near = nearest(name, names)
        what = f"unknown preset '{name}'"
        if name in preset_names():
            what = f"preset '{name}' is for samix {_read(name)['command']}, not samix {command}"
        raise InputError(f"{what}; the nearest is '{near}', all are {', '.join(names)}")
    content = _read(name)
    del content["about"], content["command"]
    return content


def about_preset(name: str) -> str:
    """Return the sentence that says what a preset is for."""
    return str(_read(name)["about"])


def _read(name: str) -> dict[str, Any]:
    content: dict[str, Any] = read_own(__name__, f"{name}.yaml")
    return content
