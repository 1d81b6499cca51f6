"""`samix pretrain`: from words to a configuration, and from results to a summary."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from samix.training import PretrainConfig, from_dict, pretrain

from .pretrain_summary import print_pretrain_summary
from .running import options_over_preset, run_or_resume


def run_pretrain(chosen: argparse.Namespace) -> int:
    """Pre-train or resume, and print a summary.

    Returns:
        As :func:`samix.cli.running.run_or_resume`.
    """
    return run_or_resume(
        chosen,
        lambda given, display: pretrain(config_from(given), display=display),
        print_pretrain_summary,
    )


def config_from(given: Mapping[str, Any]) -> PretrainConfig:
    """Return the configuration of options that were given, over those of the preset.

    Args:
        given: Options by name, only those that were given.

    Raises:
        InputError: An option cannot be used.
    """
    return from_dict(options_over_preset(given, "pretrain", demo="quick"), PretrainConfig)
