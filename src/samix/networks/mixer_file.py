"""config.json of a pre-trained Mixer, checked before anything is made of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from samix.plain_json import read_json

from .described import check_image_size, check_model_name, check_model_options

CONFIG = "config.json"
_MOST_PIXELS = 1024  # of the side in which a Mixer looks at images
_MOST_CHANNELS = 2**17
_ASKED = {"encoder", "mixer", "tap"}  # what tells such a file from others of this name


def read_configuration(folder: str | Path) -> dict[str, Any]:
    """Return what a Mixer's folder says about it; nothing where it holds none.

    Its values are not checked: see :func:`check_configuration`.
    """
    try:
        content = read_json(Path(folder) / CONFIG)
    except (OSError, ValueError):
        return {}
    return content if set(content) >= _ASKED else {}


def check_configuration(config: Mapping[str, Any]) -> None:
    """Refuse a description of a Mixer with values of another kind, or of what is not built.

    Args:
        config: What config.json holds.

    Raises:
        ValueError: It holds such a thing; the message names it.
    """
    encoder = _mapping(config, "encoder")
    check_model_name(encoder.get("backbone"))
    check_model_options(encoder.get("model_kwargs"))
    if encoder.get("image_size") is not None:
        check_image_size(encoder["image_size"])
    _mapping(config, "mixer")
    _whole(config, "tap", -1000, 1000)
    _whole(config, "channels", 1, _MOST_CHANNELS)
    if "resolution" in config:
        _whole(config, "resolution", 1, _MOST_PIXELS)
    _check_record(config.get("record") or {})


def _check_record(record: Any) -> None:
    """Refuse a record that the card cannot say."""
    if not isinstance(record, Mapping):
        raise ValueError(f"record: expected names and values, got {record!r:.80}")
    life, made_with = record.get("life") or {}, record.get("made_with") or {}
    for name, value in (("life", life), ("made_with", made_with)):
        if not isinstance(value, Mapping):
            raise ValueError(f"record: {name}: expected names and values, got {value!r:.80}")
    for name, value in life.items():
        if not isinstance(value, int | float):
            raise ValueError(f"record: life: {name!r:.80}: expected a number, got {value!r:.80}")
    sees = record.get("sees") or ()
    if not isinstance(sees, list | tuple):
        raise ValueError(f"record: sees: expected a list of sentences, got {sees!r:.80}")
    remarks = record.get("remarks") or ()
    if not isinstance(remarks, list | tuple):
        raise ValueError(f"record: remarks: expected a list, got {remarks!r:.80}")


def _mapping(config: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = config.get(name)
    if not isinstance(value, Mapping):
        raise ValueError(f"{name}: expected names and values, got {value!r:.80}")
    return value


def _whole(config: Mapping[str, Any], name: str, least: int, most: int) -> None:
    value = config.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise ValueError(f"{name}: expected a whole number up to {most}, got {value!r:.80}")
