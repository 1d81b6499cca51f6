"""`samix train`: from words to a configuration, and from results to a summary."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from typing import Any

import yaml
from rich.console import Console

from samix.errors import InputError
from samix.presets import load_preset
from samix.training import (
    Terminal,
    TrainConfig,
    TrainingDivergedError,
    from_dict,
    open_run,
    read_config,
    resume,
    train,
)
from samix.training.config import whole_path

from .summary import print_summary

_MACHINE = ("device", "workers")  # may differ when a run is resumed
_POLICY_FLAGS = ("alpha", "p")


def run_train(chosen: argparse.Namespace) -> int:
    """Train or resume, and print a summary.

    Returns:
        0, 1 when the loss diverged, 130 when the run was interrupted.
    """
    given = {k: v for k, v in vars(chosen).items() if k != "command"}
    resuming = bool(given.pop("resume", False))
    console = Console(highlight=False)
    display = Terminal(console)
    try:
        if resuming:
            result = resume(_check_resumed(given), display=display)
        else:
            result = train(config_from(given), display=display)
    except TrainingDivergedError as error:
        print(f"samix: {error}", file=sys.stderr)
        return 1
    finally:
        display.rest()
    if result.status != "worker":
        print_summary(result, console)
    return 130 if result.status == "interrupted" else 0


def config_from(given: Mapping[str, Any]) -> TrainConfig:
    """Return the configuration of options that were given, over those of the preset.

    Args:
        given: Options by name, only those that were given.

    Raises:
        InputError: An option cannot be used.
    """
    if "data" not in given:
        raise InputError("DATA is missing; give a folder of photos, or 'demo' for built-in ones")
    options = _parsed(given)
    name = options.get("preset") or ("demo" if _is_demo(options["data"]) else None)
    preset = load_preset(name) if name else {}
    other_model = options.get("backbone", preset.get("backbone")) != preset.get("backbone")
    other_policy = options.get("policy", preset.get("policy")) != preset.get("policy")
    if other_model:
        preset.pop("model_kwargs", None)
    if other_policy:
        preset.pop("policy_options", None)
    for key in ("model_kwargs", "policy_options"):
        if key in options:
            options[key] = {**preset.get(key, {}), **options[key]}
    shrink = "batch_size" not in options
    return from_dict({**preset, **options, "preset": name, "shrink_batch": shrink})


def _is_demo(data: str) -> bool:
    return data == "demo" or data.startswith("demo:")


def _parsed(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options with KEY=VALUE words read and alpha and p put to the policy's options."""
    options = dict(given)
    for key in ("model_kwargs", "policy_options"):
        if key in options:
            options[key] = dict(_pair(word, key) for word in options[key])
    policy = {name: options.pop(name) for name in _POLICY_FLAGS if name in options}
    if policy:
        options["policy_options"] = {**options.get("policy_options", {}), **policy}
    return options


def _pair(word: str, key: str) -> tuple[str, Any]:
    """Return name and value of a word such as layers=[1,1,1,1]."""
    name, equals, value = word.partition("=")
    flag = f"--{key.replace('_', '-')}"
    if not equals or not name:
        raise InputError(f"{flag} expects KEY=VALUE, got '{word}'")
    try:
        return name, yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise InputError(f"{flag} {name} has a value that cannot be read: '{value}'") from error


def _check_resumed(given: Mapping[str, Any]) -> str:
    """Return the run folder to resume.

    Raises:
        InputError: No folder was named, or an option contradicts what the run does.
    """
    if "output" not in given:
        raise InputError("--resume needs the run folder to go on with; give it with --output RUN")
    recorded = read_config(open_run(given["output"])).to_dict()
    for name, wish in _parsed(given).items():
        if name in ("output", *_MACHINE):
            continue
        value = whole_path(wish) if name == "data" else wish
        there = recorded.get(name)
        if isinstance(value, Mapping) and isinstance(there, Mapping):
            there = {key: there.get(key) for key in value}
        if value != there:
            flag = "DATA" if name == "data" else f"--{name.replace('_', '-')}"
            raise InputError(
                f"{flag} {value} contradicts the run in '{given['output']}', which has {there}; "
                "leave it out to resume, or start a new run"
            )
    return str(given["output"])
