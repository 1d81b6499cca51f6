"""Presets: a few sets of training settings, each a YAML file named by its task."""

from __future__ import annotations

import difflib
from importlib.resources import files
from typing import Any

import yaml

from samix.errors import InputError


def preset_names() -> tuple[str, ...]:
    """Return the names of all presets."""
    found = (path.name for path in files(__name__).iterdir())
    return tuple(sorted(name.removesuffix(".yaml") for name in found if name.endswith(".yaml")))


def load_preset(name: str) -> dict[str, Any]:
    """Return the settings of a preset, by the names of :class:`samix.training.TrainConfig`.

    Args:
        name: One of :func:`preset_names`.

    Raises:
        InputError: Unknown name, with the nearest one.
    """
    content = _read(name)
    content.pop("about")
    return content


def about_preset(name: str) -> str:
    """Return the sentence that says what a preset is for."""
    return str(_read(name)["about"])


def _read(name: str) -> dict[str, Any]:
    names = preset_names()
    if name not in names:
        near = difflib.get_close_matches(name, names, n=1, cutoff=0.0)[0]
        raise InputError(
            f"unknown preset '{name}'; the nearest is '{near}', all are {', '.join(names)}"
        )
    content: dict[str, Any] = yaml.safe_load((files(__name__) / f"{name}.yaml").read_text("utf-8"))
    return content
