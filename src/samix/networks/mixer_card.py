"""The record of a pre-trained Mixer: its configuration, its card, and its compatibility test.

Weights that load are not yet masks that are the same: another version of a package may compute the
same layers differently. A few masks are therefore stored beside the weights. Their pairs are made
by a formula, so that they need no file and no random generator.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from samix.plain_json import read_json

from .described import check_image_size, check_model_name, check_model_options, is_whole

_UNKNOWN = "not stated"
_REPOSITORY = re.compile(r"\w[\w.-]*/\w[\w.-]*")

_CARD = """\
# A pre-trained Mixer for samix

A small network that computes how to mix two images, with the frozen encoder that feeds it. It mixes
any batch of images, of any size, without labels and without training:

    policy = samix.create_policy("THIS FOLDER OR REPOSITORY")

Images are standardised one by one and looked at in a fixed size, so that masks do not depend on how
they were normalised.

| | |
|---|---|
{rows}

The folder is read without running code. Loading it checks version, shapes and checksum, and that
the stored masks of three pairs come out again.
"""


def card_text(config: Mapping[str, Any], parameters: int) -> str:
    """Return the text of the card."""
    rows = [f"| {name} | {value} |" for name, value in card_facts(config, parameters)]
    return _CARD.format(rows="\n".join(rows))


def card_facts(config: Mapping[str, Any], parameters: int) -> list[tuple[str, str]]:
    """Return what there is to know about a pre-trained Mixer, a name and a sentence each.

    Args:
        config: What config.json holds.
        parameters: Number of weights.
    """
    record = config["record"] or {}
    channels, mixer = config["channels"], config["mixer"]
    life = record.get("life") or {}
    return [
        ("Encoder", _encoder(config["encoder"])),
        ("Tap", f"{config['tap']} (index into feature_info), {channels} channels"),
        ("Widths", f"Mixer {channels} to {max(channels // 2, 1)}, {mixer['value']} value branch"),
        ("Looks at", f"{config['resolution']} x {config['resolution']} px"),
        ("Weights", f"{parameters:,}"),
        ("Trained on", _lines(record.get("data"))),
        ("Labels", str(record.get("labels", _UNKNOWN))),
        ("Objective", str(record.get("objective", _UNKNOWN))),
        ("Length", str(record.get("length", _UNKNOWN))),
        ("Alpha", str(record.get("alpha", _UNKNOWN))),
        ("Seeds", _lines(record.get("seeds"))),
        ("Date", str(record.get("date", _UNKNOWN))),
        ("Made with", made_with(record)),
        ("Alive", ", ".join(f"{k.replace('_', ' ')} {v:.2f}" for k, v in life.items()) or _UNKNOWN),
        *(("Sees", str(sentence)) for sentence in record.get("sees", ())),
        ("Licence", str(record.get("licence", _UNKNOWN))),
        *(("Remark", str(remark)) for remark in record.get("remarks", ())),
    ]


def made_with(record: Mapping[str, Any]) -> str:
    """Return the versions that a Mixer was made with."""
    return ", ".join(f"{k} {v}" for k, v in record.get("made_with", {}).items()) or _UNKNOWN


def licence_of(record: Mapping[str, Any]) -> str:
    """Return the licence as the hub names it: "other" where none is stated."""
    return str(record.get("licence", "other")).lower()


def _encoder(make: Mapping[str, Any]) -> str:
    words = [str(make["backbone"])]
    if make.get("stem"):
        words.append(f"{make['stem']} stem")
    words += [f"{name} {value}" for name, value in (make.get("model_kwargs") or {}).items()]
    return ", ".join(words)


def _lines(values: Any) -> str:
    if values is None:
        return _UNKNOWN
    return "; ".join(map(str, values)) if isinstance(values, list | tuple) else str(values)


TOLERANCE = 0.01
"""Largest difference of a stored number and a computed one; processors differ by far less."""
_LAM = (0.25, 0.5, 0.7)
_SIZE = (24, 36)  # px: neither square nor the size that the encoder looks at
_PLACES = 3  # rows and columns in which a mask is averaged
_DIGITS = 4

Mask = Callable[[Tensor, Tensor, Tensor], Tensor]  # from images, partner and lam to masks


class Probe(NamedTuple):
    """Pairs of images with a lam each."""

    images: Tensor  # (3,3,24,36) in [0, 1]
    partner: Tensor  # the same images in another order
    lam: Tensor  # (3,) in [0, 1]


def probe() -> Probe:
    """Return three pairs: waves of other directions and colours, each with a bright spot."""
    height, width = _SIZE
    rows = (torch.arange(height, dtype=torch.float32) + 0.5).view(-1, 1) / height
    columns = (torch.arange(width, dtype=torch.float32) + 0.5).view(1, -1) / width
    images = []
    for number in range(len(_LAM)):
        turn = 2 * math.pi * number / len(_LAM)
        wave = 2 * math.pi * (number + 1) * (rows * math.cos(turn) + columns * math.sin(turn))
        away = (rows - 0.3 - 0.2 * number).square() + (columns - 0.7 + 0.2 * number).square()
        spot = torch.exp(-away / 0.02)
        channels = [0.4 + 0.2 * torch.sin(wave + channel + number) for channel in range(3)]
        images.append(torch.stack([channel + 0.4 * spot for channel in channels]))
    batch = torch.stack(images)
    return Probe(batch, batch.roll(1, 0), torch.tensor(_LAM, dtype=torch.float32))


@torch.no_grad()
def probe_masks(mask: Mask, device: torch.device | str = "cpu") -> list[list[float]]:
    """Return what the masks of the pairs look like: the mean of each ninth of each mask."""
    masks = mask(*(part.to(device) for part in probe()))
    means = F.adaptive_avg_pool2d(masks.float().cpu(), _PLACES).flatten(1)
    return [[round(value, _DIGITS) for value in row] for row in means.tolist()]


def distance(found: Sequence[Sequence[float]], stored: object) -> float:
    """Return the largest difference of two results of :func:`probe_masks`.

    Returns:
        At least 0; infinite where ``stored`` is no such result, or a number is not finite.
    """
    try:
        wanted, there = torch.tensor(stored), torch.tensor(found)
    except (TypeError, ValueError, RuntimeError):
        return math.inf
    if wanted.shape != there.shape:
        return math.inf
    largest = float((wanted - there).abs().max())
    return largest if math.isfinite(largest) else math.inf


CONFIG = "config.json"
_MOST_PIXELS = 1024  # of the side in which a Mixer looks at images
_MOST_CHANNELS = 2**17
_ASKED = {"encoder", "mixer", "tap"}  # what tells such a file from others of this name


def is_pretrained_mixer(folder: str | Path) -> bool:
    """Say whether a folder holds a pre-trained Mixer."""
    return bool(read_configuration(folder))


def is_repository(name: str) -> bool:
    """Say whether a name can be that of a repository on the Hugging Face hub."""
    return _REPOSITORY.fullmatch(name) is not None


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
    """Refuse a description of a Mixer with values of another kind, or of what is not built."""
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
    if not isinstance(record, Mapping):
        raise ValueError(f"record: expected names and values, got {record!r:.80}")
    life, made_with = record.get("life") or {}, record.get("made_with") or {}
    for name, value in (("life", life), ("made_with", made_with)):
        if not isinstance(value, Mapping):
            raise ValueError(f"record: {name}: expected names and values, got {value!r:.80}")
    for name, value in life.items():
        if not isinstance(value, int | float):
            raise ValueError(f"record: life: {name!r:.80}: expected a number, got {value!r:.80}")
    for name in ("sees", "remarks"):
        if not isinstance(value := record.get(name) or (), list | tuple):
            raise ValueError(f"record: {name}: expected a list of sentences, got {value!r:.80}")


def _mapping(config: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = config.get(name)
    if not isinstance(value, Mapping):
        raise ValueError(f"{name}: expected names and values, got {value!r:.80}")
    return value


def _whole(config: Mapping[str, Any], name: str, least: int, most: int) -> None:
    value = config.get(name)
    if not is_whole(value, least, most):
        raise ValueError(f"{name}: expected a whole number up to {most}, got {value!r:.80}")
