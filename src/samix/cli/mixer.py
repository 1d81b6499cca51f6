"""`samix mixer`: which of its actions runs."""

from __future__ import annotations

import argparse


def run_mixer(chosen: argparse.Namespace) -> int:
    """Run one action; each imports only what it needs.

    Returns:
        0, 1 when the work failed, 130 when a run was interrupted.

    Raises:
        InputError: Something the user gave cannot be used.
    """
    if chosen.action == "train":
        from .mixer_train import run_mixer_train  # noqa: PLC0415

        return run_mixer_train(chosen)
    if chosen.action == "export":
        from .mixer_export import run_mixer_export  # noqa: PLC0415

        return run_mixer_export(chosen)
    if chosen.action == "inspect":
        from .mixer_inspect import run_mixer_inspect  # noqa: PLC0415

        return run_mixer_inspect(chosen)
    from .mixer_list import run_mixer_list  # noqa: PLC0415

    return run_mixer_list(chosen)
