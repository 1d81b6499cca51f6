"""`samix train`: from words to a configuration, and from results to a summary."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from samix.training import TrainConfig, from_dict, train
from samix.training.warm_start import open_source, settings_of

from .running import options_over_preset, parsed, run_or_resume
from .summary import print_summary


def run_train(chosen: argparse.Namespace) -> int:
    """Train or resume, and print a summary.

    Returns:
        As :func:`samix.cli.running.run_or_resume`.
    """
    if "from_poc" in chosen:
        from .train_final import run_final  # noqa: PLC0415 - it needs the packages of a study

        return run_final(chosen)
    return run_or_resume(
        chosen,
        lambda given, display: train(config_from(given), display=display),
        print_summary,
    )


def config_from(given: Mapping[str, Any]) -> TrainConfig:
    """Return the configuration of options that were given, over those of --init and the preset.

    Args:
        given: Options by name, only those that were given.

    Raises:
        InputError: An option cannot be used.
    """
    inherited = None
    if "init" in given:
        asked = parsed(given)
        settings = settings_of(open_source(given["init"], "--init"))
        inherited = {name: value for name, value in settings.items() if name not in asked}
    return from_dict(options_over_preset(given, "train", demo="demo", inherited=inherited))
