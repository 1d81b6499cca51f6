"""From a trained Mixer and its encoder to a frozen copy that stands for itself."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime, timezone
from typing import Any

import timm
import torch
from torch import nn

from .backbone import Tap, up_to_tap
from .mixer import Mixer
from .pretrained_mixer import PretrainedMixer


def pretrained_mixer(
    encoder: nn.Module,
    mixer: Mixer,
    tap: Tap,
    *,
    make: Mapping[str, Any],
    resolution: int,
    record: Mapping[str, Any] | None = None,
) -> PretrainedMixer:
    """Return a frozen copy of a trained Mixer with the encoder that it was trained with.

    Args:
        encoder: A timm model; what comes after the tap is left out of the copy.
        mixer: The trained Mixer.
        tap: Where it reads the encoder.
        make: How the encoder is made: ``backbone``, ``model_kwargs``, ``stem``, ``image_size``.
        resolution: Height and width in pixels that it was trained with.
        record: How it was trained, see :class:`PretrainedMixer`; date and versions are filled in.
    """
    if tap.index is None:
        raise ValueError(
            "encoder: expected a timm model, which a folder can describe, got a module of one's own"
        )
    frozen = PretrainedMixer(
        encoder={**make, "model_kwargs": _plain(make.get("model_kwargs"))},
        tap=tap.index,
        channels=tap.channels,
        mixer=asdict(mixer.options),
        resolution=resolution,
        record={**_today(), **(record or {})},
    )
    kept = up_to_tap(copy.deepcopy(encoder), tap)
    frozen.encoder.load_state_dict(kept.state_dict())
    frozen.mixer.load_state_dict(mixer.state_dict())
    return frozen


def _plain(values: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return arguments as JSON reads them back."""
    plain: dict[str, Any] = json.loads(json.dumps(dict(values or {})))
    return plain


def _today() -> dict[str, Any]:
    """Return date and versions, for the record."""
    return {
        "date": datetime.now(timezone.utc).date().isoformat(),
        "made_with": {"torch": str(torch.__version__), "timm": timm.__version__},
    }
