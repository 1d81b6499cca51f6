"""The settings whose cost is measured: their names, and the step that each stands for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from samix.errors import InputError
from samix.evaluation.embeddings import Machine
from samix.methods import CLEAN_BRANCHES, COSTS, RIVALS, create_method
from samix.networks import is_pretrained_mixer, settle_weights, tap_features
from samix.policies import POLICIES, nearest, policy_options
from samix.progress import Display

from .numbers import COMPILED
from .workload import QUEUE, TrainingStep, Workload, plain_step, told

PLAIN = "plain"
"""Training without samix in torch's default memory format: what the multiples are of."""
PLAIN_CHANNELS_LAST = "plain channels-last"
"""The same in the other memory format, in which samix runs convolutions on the CPU."""
PLAINS = (PLAIN, PLAIN_CHANNELS_LAST)
_PLUS = " + "  # stands before the way in which an encoder also learns from the unmixed images
_CLEAN = {"clean branch": "branch", **{name: name for name in CLEAN_BRANCHES if name != "branch"}}
"""How a setting is called, and the name of its clean branch."""
_LEARNED = {f"samix-{cost}": cost for cost in COSTS}


def known_settings(method: str) -> tuple[str, ...]:
    """Return the names of the settings of a method, without folders and clean branches."""
    rivals = [name for name, rival in RIVALS.items() if method in rival.methods]
    policies = [name for name in POLICIES if name != "samix"]
    return (*PLAINS, *policies, *rivals, *_LEARNED)


def default_settings() -> tuple[str, ...]:
    """Return what is measured beside plain training where nothing is said."""
    wanted = ("cutmix", "samix-p", "samix-fast", "samix-seldom", "samix-full")
    return tuple(name for name in wanted if name in POLICIES or name in _LEARNED)


def kind_of(setting: str) -> Literal["plain", "rule", "learned"]:
    """Return what a setting is: training without samix, a rule by hand, or a Mixer."""
    name = setting.removesuffix(COMPILED).partition(_PLUS)[0]
    if name in PLAINS:
        return "plain"
    by_hand = name in RIVALS or (name in POLICIES and "channels" not in policy_options(name))
    return "rule" if by_hand and not name.startswith("samix-") else "learned"


def parse_settings(words: Iterable[str], method: str) -> tuple[str, ...]:
    """Return the names of settings, each once, from words that may hold several.

    Args:
        words: Names, separated by commas within a word: plain, plain channels-last, policies
            (samix as samix-fast, samix-seldom and samix-full), rivals of a self-supervised method,
            or folders of pre-trained Mixers; with "+clean" at the end, or the name of another clean
            branch such as "+cheap", the encoder also learns from the unmixed images.
        method: Name in :data:`samix.METHODS`.

    Raises:
        InputError: A name is not known.
    """
    names = [name.strip() for word in words for name in word.split(",") if name.strip()]
    if not names:
        raise InputError(f"settings: expected one of {', '.join(known_settings(method))}, got none")
    return tuple(dict.fromkeys(_parsed(name, method) for name in names))


def _parsed(text: str, method: str) -> str:
    name, plus, addition = (part.strip() for part in text.partition("+"))
    known = known_settings(method)
    if name in RIVALS and name not in known:
        raise InputError(
            f"setting '{name}' is for method={' or '.join(RIVALS[name].methods)}, got "
            f"method={method}"
        )
    if name not in known and not is_pretrained_mixer(name):
        longer = (one for one in known if one.startswith(f"{name}-"))
        near = next(longer, nearest(name, known))
        raise InputError(
            f"'{name}' is a folder, but not that of a pre-trained Mixer; give one, or a setting "
            f"such as '{near}'"
            if Path(name).is_dir()
            else f"unknown setting '{name}'; expected {', '.join(known)}, or the folder of a "
            f"pre-trained Mixer; the nearest is '{near}'"
        )
    if not plus:
        return name
    how = {"clean": "clean branch", "branch": "clean branch"}.get(addition, addition)
    if how not in _CLEAN or name in PLAINS:
        raise InputError(
            f"setting '{text}' cannot be read; write 'samix-full+clean', for instance, or one of "
            f"{', '.join(_CLEAN)} after the plus"
        )
    return f"{name}{_PLUS}{how}"


def method_arguments(setting: str) -> dict[str, Any]:
    """Return the arguments of :func:`samix.create_method` that make a setting what it is."""
    name, _, how = setting.partition(_PLUS)
    own: dict[str, Any] = {"policy": name}
    if name in _LEARNED:
        own = {"policy": "samix", "cost": _LEARNED[name]}
    if how:
        return {**own, "clean_branch": _CLEAN[how]}
    return own if name in RIVALS else {**own, "clean_branch": "off"}


def create_step(
    setting: str, workload: Workload, machine: Machine, *, channels_last: bool = False
) -> TrainingStep:
    """Return one training step of a setting, compiled where its name ends in ", compiled".

    On the CPU the methods of samix choose their memory format themselves.

    Raises:
        InputError: Setting, network and image size do not go together.
    """
    if setting.endswith(COMPILED):
        plain = setting.removesuffix(COMPILED)
        return create_step(plain, workload, machine, channels_last=channels_last).compiled()
    devices = [torch.device(machine.device)] if machine.device.startswith("cuda") else []
    with torch.random.fork_rng(devices), told(workload, f"setting '{setting}'"):
        torch.manual_seed(workload.seed)
        if setting in PLAINS:
            return plain_step(workload, machine, channels_last=setting != PLAIN)
        return _method_step(setting, workload, machine, channels_last=channels_last)


def _method_step(
    setting: str, workload: Workload, machine: Machine, *, channels_last: bool
) -> TrainingStep:
    options = {**method_arguments(setting), "seed": workload.seed}
    if workload.method == "moco":
        options["queue_size"] = max(QUEUE, workload.batch_size)
    if workload.supervised:
        options["num_classes"] = workload.classes
    method: nn.Module = create_method(
        workload.method,
        backbone=workload.backbone,
        stem=workload.stem,
        image_size=workload.image_size,
        model_kwargs=workload.model_kwargs,
        **options,
    )
    method = method.to(machine.device)
    if channels_last:
        method = method.to(memory_format=torch.channels_last)
    elif machine.device == "cpu":  # as a run has them
        settle_weights(method)
    made: Any = method
    inputs = workload.inputs(machine.device, channels_last=channels_last)
    return TrainingStep(
        lambda: made(*inputs).loss,
        method,
        made.parameter_groups(lr=0.01),
        machine,
        after=made.update_momentum,
        batch=inputs,
    )


def refuse_unusable(settings: Sequence[str], workload: Workload, progress: Display) -> None:
    """Try one step of each setting with two photos on the CPU; refuse what cannot be trained."""
    small = replace(workload, batch_size=2)
    if not workload.fast:  # as safe as plain training on the device, but not on the CPU
        settings = [setting for setting in settings if setting != PLAIN_CHANNELS_LAST]
    for number, setting in enumerate(settings):
        progress.work(f"trying {setting}", number, len(settings))
        step = create_step(setting, small, Machine())
        with told(workload, f"setting '{setting}'", stepping=True):
            step()
            _check_map(step.held, workload)


@torch.no_grad()
def _check_map(trained: Any, workload: Workload) -> None:
    """Refuse images so small that the Mixer would read a map without structure."""
    place = getattr(trained, "tap", None)
    if place is None:
        return
    image = torch.zeros(1, 3, workload.image_size, workload.image_size)
    height, width = tap_features(trained.encoder.eval(), image, place).shape[2:]
    if min(height, width) < 2:
        raise InputError(
            f"image_size={workload.image_size} is too small for {workload.backbone}: the Mixer "
            f"reads a map of {height} x {width} there; choose a larger size"
            f"{'' if workload.stem else ', or stem=small'}"
        )
