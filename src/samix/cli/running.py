"""What the commands that start runs have in common: options, resuming, and the end."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from samix.errors import InputError
from samix.networks import backbone_of
from samix.presets import load_preset
from samix.shown import shown
from samix.stopping import exit_code
from samix.training import (
    Display,
    Terminal,
    TrainingDivergedError,
    TrainResult,
    WorkerDiedError,
    open_run,
    read_config,
    resume,
)
from samix.training.config import whole_path
from samix.training.run_folder import is_unbegun

from .guard_file import read_guard
from .values import key_values

_MACHINE = ("device", "workers")  # may differ when a run is resumed
_PATHS = ("data", "init", "splits", "weights")  # are recorded as absolute ones
_POLICY_FLAGS = ("alpha", "p")
_PAIRS = ("model_kwargs", "policy_options", "method_options")

Start = Callable[[Mapping[str, Any], Display], TrainResult]
Show = Callable[[TrainResult, Console], None]


def run_or_resume(chosen: argparse.Namespace, start: Start, show: Show) -> int:
    """Start a run or go on with one, and print a summary.

    Args:
        chosen: What the parser found.
        start: Starts a run from the options that were given.
        show: Prints the summary.

    Returns:
        0, 1 when the loss diverged or a process died, 128 and the number of the signal when the run
        was stopped by one.
    """
    given = {k: v for k, v in vars(chosen).items() if k != "command"}
    resuming = bool(given.pop("resume", False)) and not _is_to_begin(given)
    console = Console(highlight=False)
    display = Terminal(console)
    try:
        if resuming:
            result = resume(check_resumed(given, chosen.command), display=display)
        else:
            result = start(given, display)
    except (TrainingDivergedError, WorkerDiedError) as error:
        print(f"samix: {shown(str(error))}", file=sys.stderr)
        return 1
    finally:
        display.rest()
    if result.status != "worker":
        show(result, console)
    return 0 if result.stopped_by is None else exit_code(result.stopped_by)


def options_over_preset(
    given: Mapping[str, Any],
    command: str,
    *,
    demo: str,
    inherited: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return settings: what was given, over what is inherited, over those of the preset.

    Args:
        given: Options by name, only those that were given.
        command: That the preset must be for.
        demo: The preset that DATA 'demo' takes.
        inherited: Settings of a run that this one starts from.

    Raises:
        InputError: An option cannot be used.
    """
    if "data" not in given:
        raise InputError("DATA is missing; give a folder of photos, or 'demo' for built-in ones")
    options = {**(inherited or {}), **parsed(given)}
    name = options.get("preset") or (demo if _is_demo(options["data"]) else None)
    preset = load_preset(name, command) if name else {}
    if "weights" in options:
        preset.pop("pretrained", None)
        named = backbone_of(options["weights"])
        if named is not None:
            options.setdefault("backbone", named)
    # settings for another model, policy, method or size than the preset's are left out
    for chosen, settings in (
        ("backbone", "model_kwargs"), ("policy", "policy_options"), ("method", "method_options"),
        ("image_size", "view_size"),
    ):  # fmt: skip
        if options.get(chosen, preset.get(chosen)) != preset.get(chosen):
            preset.pop(settings, None)
    for key in _PAIRS:
        if key in options and key not in (inherited or {}):
            options[key] = {**preset.get(key, {}), **options[key]}
    shrink = "batch_size" not in options
    return {**preset, **options, "preset": name, "shrink_batch": shrink}


def parsed(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options with KEY=VALUE words read and alpha and p put to the policy's options."""
    options = dict(given)
    for key in _PAIRS:
        if key in options:
            options[key] = key_values(options[key], key)
    if "guard" in options:
        options["guard"] = read_guard(options["guard"])
    if isinstance(how := options.get("clean_branch"), str) and "=" in how:
        options["clean_branch"] = key_values(how.split(","), "clean_branch")
    policy = {name: options.pop(name) for name in _POLICY_FLAGS if name in options}
    if policy:
        options["policy_options"] = {**options.get("policy_options", {}), **policy}
    return options


def check_resumed(given: Mapping[str, Any], command: str) -> str:
    """Return the run folder to resume.

    Args:
        given: Options by name, only those that were given.
        command: The command that is to go on.

    Raises:
        InputError: No folder was named, it is of another command, or an option contradicts what the
            run does.
    """
    if "output" not in given:
        raise InputError("--resume needs the run folder to go on with; give it with --output RUN")
    config = read_config(open_run(given["output"]))
    if config.command != command:
        raise InputError(
            f"'{given['output']}' is a run of samix {config.command}; go on with it by: samix "
            f"{config.command} --resume --output {given['output']}"
        )
    recorded = config.to_dict()
    for name, wish in parsed(given).items():
        if name in ("output", *_MACHINE):
            continue
        value, there = whole_path(wish) if name in _PATHS else wish, recorded.get(name)
        if name == "policy" and whole_path(wish) == config.mixer_from:
            continue
        if isinstance(value, Mapping) and isinstance(there, Mapping):
            there = {key: there.get(key) for key in value}
        if value != there:
            flag = "DATA" if name == "data" else f"--{name.replace('_', '-')}"
            raise InputError(
                f"{flag} {value} contradicts the run in '{given['output']}', which has {there}; "
                "leave it out to resume, or start a new run"
            )
    return str(given["output"])


def _is_to_begin(given: Mapping[str, Any]) -> bool:
    """Say whether the run that is to go on has not begun yet, and all is there to begin it."""
    if "data" not in given or "output" not in given:
        return False
    path = Path(given["output"]).expanduser()
    return not path.exists() or is_unbegun(path)


def _is_demo(data: str) -> bool:
    return data == "demo" or data.startswith("demo:")
