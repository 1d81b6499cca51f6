"""model.json of a run: what it says of its network, checked before anything is made of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from samix.data.depth import depth_from
from samix.errors import InputError
from samix.networks.described import (
    check_image_size,
    check_model_name,
    check_model_options,
    is_whole,
)
from samix.plain_json import read_json

_MOST_CLASSES = 10**6
_MOST_CHANNELS = 2**17
_MIXER = {"channels", "tap", "options", "alpha"}
_TEXTS = ("method", "policy", "kind")


def read_model(file: Path) -> dict[str, Any]:
    """Return what model.json says: how to build the network, and how photos are put into it.

    Only the architecture of a plain timm model is taken from it: see
    :func:`samix.networks.described.check_model_options`.

    Returns:
        ``backbone``, ``model_kwargs``, ``stem``, ``image_size``, ``classes``, ``mean``, ``std``,
        ``standardise``, ``depth``, ``method``, ``policy``, ``kind``, and ``mixer`` where there is
        one.

    Raises:
        InputError: It cannot be read, or holds something else.
    """
    try:
        model = read_json(file)
        missing = [name for name in ("backbone", "image_size", "mean", "std") if name not in model]
        if missing:
            raise ValueError(f"it has no '{missing[0]}'")
        check_model_name(model["backbone"])
        model["model_kwargs"] = check_model_options(model.get("model_kwargs"))
        check_image_size(model["image_size"])
        _check(model)
    except (OSError, ValueError) as error:
        raise InputError(f"'{file}' cannot be read ({error}); train the run again") from error
    return model


def _check(model: dict[str, Any]) -> None:
    """Refuse values of another kind, and fill in what an older samix left out."""
    model.setdefault("stem", None)
    if model["stem"] not in (None, "small"):
        raise ValueError(f"stem: expected 'small' or nothing, got {model['stem']!r:.80}")
    for name in ("mean", "std"):
        _check_channels(name, model[name])
    if not all(value > 0 for value in model["std"]):
        raise ValueError(f"std: expected numbers above 0, got {model['std']}")
    classes = model.setdefault("classes", None)
    if classes is not None:
        _check_classes(classes)
    for name in _TEXTS:
        if not isinstance(model.setdefault(name, ""), str):
            raise ValueError(f"{name}: expected a text, got {model[name]!r:.80}")
    if not isinstance(model.setdefault("standardise", False), bool):
        raise ValueError(f"standardise: expected true or false, got {model['standardise']!r:.80}")
    model["depth"] = depth_from(model.get("depth"))
    if model.get("mixer") is not None:
        _check_mixer(model["mixer"])


def _check_channels(name: str, values: Any) -> None:
    plain = isinstance(values, list) and len(values) == 3
    if not plain or not all(_is_number(value) for value in values):
        raise ValueError(f"{name}: expected three numbers, got {values!r:.80}")


def _check_classes(classes: Any) -> None:
    if not isinstance(classes, list) or not all(isinstance(name, str) for name in classes):
        raise ValueError(f"classes: expected a list of names, got {classes!r:.80}")
    if len(set(classes)) != len(classes) or len(classes) > _MOST_CLASSES:
        raise ValueError(f"classes: expected up to {_MOST_CLASSES:,} names, each once")


def _check_mixer(mixer: Any) -> None:
    if not isinstance(mixer, Mapping) or not set(mixer) >= _MIXER:
        raise ValueError(f"mixer: expected {', '.join(sorted(_MIXER))}, got {mixer!r:.80}")
    channels, tap = mixer["channels"], mixer["tap"]
    if not is_whole(channels, 1, _MOST_CHANNELS):
        raise ValueError(f"mixer: expected 1 to {_MOST_CHANNELS} channels, got {channels!r:.80}")
    if tap is not None and not is_whole(tap, -999, 999):
        raise ValueError(f"mixer: expected the number of a tap, got {tap!r:.80}")
    if not isinstance(mixer["options"], Mapping):
        raise ValueError(f"mixer: expected names and values as options, got {mixer['options']!r}")
    if not _is_number(mixer["alpha"]) or not mixer["alpha"] > 0:
        raise ValueError(f"mixer: expected an alpha above 0, got {mixer['alpha']!r:.80}")


def _is_number(value: object) -> bool:
    plain = isinstance(value, int | float) and not isinstance(value, bool)
    return plain and math.isfinite(value)  # type: ignore[arg-type]
