"""The policies of a study by what the user gave: a name, the folder of a Mixer, or module:name.

In plans, tables and paths each has a label of plain letters. "mixup-clean" is mixup with clean
images, which samix has as well: a rival with the same pipeline. Code of a module is only run in a
process that was told to by :func:`admit`: what a stranger wrote into a plan is not enough.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from samix.errors import InputError
from samix.methods.clean import OFF
from samix.networks import is_pretrained_mixer
from samix.policies import (
    POLICIES,
    POLICY_FORMS,
    Policy,
    PolicyCard,
    about_policy,
    import_name,
    nearest,
    policy_maker,
    register,
)
from samix.training.config import FROZEN

CLEAN = "-clean"  # the same policy, which learns from clean images as well, as samix does
_LABEL = re.compile(r"[a-z0-9][a-z0-9.-]{0,39}")
_ADMITTED: dict[str, str] = {}  # of this process, by label


def labels_of(given: Sequence[str]) -> dict[str, str]:
    """Return what was given by label: a name, a whole path, or module:name."""
    found: dict[str, str] = {}
    for word in given:
        label, source = _labelled(word)
        if label in found:
            raise InputError(f"policies: a policy is named twice: {', '.join(given)}")
        found[label] = source
    return found


def is_code(source: str) -> bool:
    """Return whether a source is module:name."""
    return ":" in source and not Path(source).exists()


def trained_as(label: str, sources: Mapping[str, str]) -> str:
    """Return what a training calls a policy: a path where it is one, or else its label."""
    source = sources.get(label, label)
    return label if is_code(source) else source


def _labelled(word: str) -> tuple[str, str]:
    if word == FROZEN or (word in POLICIES and not is_code(word)):
        return word, word
    base = word.removesuffix(CLEAN)
    if base != word and base in POLICIES:
        traits = about_policy(base).traits
        if not traits.mixes or traits.clean != OFF:
            raise InputError(f"policies: '{word}': {base} learns from clean images anyway")
        return word, base
    path = Path(word).expanduser()
    if path.is_dir():
        if not is_pretrained_mixer(path) and not (path / "mixer.safetensors").is_file():
            raise InputError(
                f"policies: the folder '{word}' holds no Mixer; expected that of samix mixer or "
                "of a finished run of samix or samix-p"
            )
        return _label(path.resolve().name), str(path.resolve())
    if ":" in word:
        return _label(word.rpartition(":")[2]), word
    raise InputError(
        f"policies: '{word}' is no policy; expected some of {', '.join((*POLICIES, FROZEN))}, "
        f"the folder of a Mixer, or module:name; the nearest is '{nearest(word, POLICIES)}'"
    )


def _label(name: str) -> str:
    """Return plain letters for a path or a class, that are no name of a policy."""
    plain = re.sub(r"[^a-z0-9.]+", "-", name.lower()).strip("-.")[:32] or "own"
    ours = plain == FROZEN or (plain in POLICIES and plain not in _ADMITTED)
    ours = ours or plain.endswith(CLEAN)
    return f"{plain}-own" if ours else plain


def check_label(label: str) -> bool:
    """Return whether a word can be a label, which is part of paths."""
    return _LABEL.fullmatch(label) is not None and ".." not in label


def admit(sources: Mapping[str, str]) -> None:
    """Import the policies of modules, so that this process knows them by their labels."""
    for label, source in sources.items():
        if not is_code(source) or _ADMITTED.get(label) == source:
            continue
        make = _maker(source)
        if label not in POLICIES:
            register(label, PolicyCard(sentence=f"Policy of {source}.", source=source))(make)
        _ADMITTED[label] = source


def _maker(source: str) -> Callable[..., Policy]:
    try:
        make = policy_maker(import_name(source), source)
    except InputError as error:
        raise InputError(f"policies: {error}") from error
    if make is None:
        raise InputError(f"policies: '{source}' is no policy; expected {POLICY_FORMS}")
    return make
