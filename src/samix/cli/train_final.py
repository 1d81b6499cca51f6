"""`samix train --from-poc`: the final model that a study leads to."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from rich.console import Console

from samix.errors import InputError
from samix.study.conclude import Final, final_of
from samix.training import Display, TrainConfig, TrainResult, from_dict, train
from samix.training.config import flag_of
from samix.training.warm_start import open_source, settings_of

from .output import result_folder
from .running import parsed, run_or_resume
from .summary import print_summary, say

_PAIRS = ("model_kwargs", "policy_options")
_ASIDE = ("from_poc", "data", "data_root", "output", "device", "devices", "workers")
_DEPENDS = {  # settings of the study that mean nothing beside another option
    "backbone": ("model_kwargs", "tap"),
    "policy": ("policy_options", "guard"),
    "epochs": ("validate_every",),
}  # fmt: skip


def run_final(chosen: argparse.Namespace) -> int:
    """Train the model that a study recommends, and print a summary.

    Returns:
        As :func:`samix.cli.running.run_or_resume`.

    Raises:
        InputError: The study or an option cannot be used.
    """
    if getattr(chosen, "resume", False):
        raise InputError(
            "--from-poc begins a new run; to go on with one, give --resume --output RUN alone"
        )
    if "preset" in chosen:
        raise InputError("--preset and --from-poc both bring settings; leave one out")
    final = final_of(chosen.from_poc)

    def start(given: Mapping[str, Any], display: Display) -> TrainResult:
        config = final_config(given, final)
        display.say(f"The study says: {final.verdict}")
        display.say(final.follows)
        own = [flag_of(name) for name in given if name not in _ASIDE]
        if own:
            display.say(f"What was given comes before it: {', '.join(own)}.")
        return train(config, display=display)

    def show(result: TrainResult, console: Console) -> None:
        print_summary(result, console)
        if result.metrics is not None:
            say(console, final.tested)

    return run_or_resume(chosen, start, show)


def final_config(given: Mapping[str, Any], final: Final) -> TrainConfig:
    """Return the configuration of the final model: what was given, over what the study had.

    Args:
        given: Options by name, only those that were given.
        final: From :func:`samix.study.conclude.final_of`.

    Raises:
        InputError: An option cannot be used.
    """
    options = parsed({name: value for name, value in given.items() if name != "from_poc"})
    settings = dict(final.settings)
    for name, meaningless in _DEPENDS.items():
        if name in options and options[name] != settings.get(name):
            for other in meaningless:
                settings.pop(other, None)
    if "init" in options:
        settings |= settings_of(open_source(options["init"], "--init"))
    for name in _PAIRS:
        if name in options:
            options[name] = {**settings.get(name, {}), **options[name]}
    if "batch_size" in options:
        settings["shrink_batch"] = False
    if "output" not in options:
        options["output"] = str(result_folder({}, f"{final.name}-final"))
    return from_dict({**settings, **options})
