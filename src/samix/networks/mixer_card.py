"""The card of a pre-trained Mixer: what it is and how it was trained, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_UNKNOWN = "not stated"

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
    """Return the text of the card.

    Args:
        config: What config.json holds.
        parameters: Number of weights.
    """
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
        ("Alive", ", ".join(f"{_words(k)} {v:.2f}" for k, v in life.items()) or _UNKNOWN),
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
    """Return how an encoder is made."""
    words = [str(make["backbone"])]
    if make.get("stem"):
        words.append(f"{make['stem']} stem")
    words += [f"{name} {value}" for name, value in (make.get("model_kwargs") or {}).items()]
    return ", ".join(words)


def _lines(values: Any) -> str:
    """Return one or several values in one line."""
    if values is None:
        return _UNKNOWN
    return "; ".join(map(str, values)) if isinstance(values, list | tuple) else str(values)


def _words(name: str) -> str:
    return name.replace("_", " ")
