"""`samix mixer train`: a self-supervised run, and its Mixer taken out at the end."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from samix.files import partial_of
from samix.networks import is_pretrained_mixer
from samix.networks.onnx_export import ONNX, OnnxMismatchError, write_onnx
from samix.shown import shown
from samix.training import PretrainConfig, TrainResult, from_dict, pretrain
from samix.training.config import whole_path
from samix.training.mixer_export import mixer_of_run, mixer_remarks

from .mixer_export import check_onnx, say_where
from .running import options_over_preset, run_or_resume
from .summary import cost_line, mixer_line, say

FOLDER = "mixer"
"""Where a run keeps its Mixer."""
_PRESET = "mixer"
_WRITING = ("licence", "onnx")


def run_mixer_train(chosen: argparse.Namespace) -> int:
    """Train or resume, take the Mixer out, and print a summary.

    Returns:
        As :func:`samix.cli.running.run_or_resume`.
    """
    given = {k: v for k, v in vars(chosen).items() if k != "action"}
    writing = {name: given.pop(name) for name in _WRITING if name in given}
    check_onnx(writing)
    given |= {"command": "pretrain", **_named_data(given.pop("data", []))}
    try:
        return run_or_resume(
            argparse.Namespace(**given),
            lambda options, display: pretrain(config_from(options), display=display),
            partial(_show, writing=writing),
        )
    except OnnxMismatchError as error:
        print(f"samix: {shown(str(error))}", file=sys.stderr)
        return 1


def config_from(given: Mapping[str, Any]) -> PretrainConfig:
    """Return the configuration of options that were given, over those of the preset.

    Args:
        given: Options by name, only those that were given.

    Raises:
        InputError: An option cannot be used.
    """
    options = options_over_preset({"preset": _PRESET, **given}, "pretrain", demo=_PRESET)
    return from_dict({**options, "policy": "samix", "standardise": True}, PretrainConfig)


def _named_data(words: list[str]) -> dict[str, Any]:
    """Return the sets of photos as a run names them; nothing where none is given."""
    named: dict[str, Any] = {"data": words[0]} if words else {}
    return {**named, "more_data": tuple(map(whole_path, words[1:]))} if words[1:] else named


def _show(result: TrainResult, console: Console, *, writing: Mapping[str, Any]) -> None:
    """Print how the run ended; where it is finished, take its Mixer out."""
    metrics, run = result.metrics, result.run
    console.print()
    if metrics is not None:
        loss = metrics["held_out"]["loss"]
        say(console, f"Held-out loss {loss:.3f}. {cost_line(metrics)}")
        if metrics["mixer"] is not None:
            say(console, mixer_line(metrics["mixer"]))
    if result.status == "interrupted":
        say(console, f"Interrupted. Go on with: samix mixer train --resume --output {run.path}")
        return
    folder = run.path / FOLDER
    _write(run.path, folder, writing, console)
    say(console, f"Mixes to look at: {run.mixes}")
    say_where(console, folder)


def _write(run: Path, folder: Path, writing: Mapping[str, Any], console: Console) -> None:
    """Write the Mixer of a run, and as ONNX, each where it is not there yet."""
    mixer = mixer_of_run(run, licence=writing.get("licence"))
    if not is_pretrained_mixer(folder):
        partial = partial_of(folder)
        mixer.save_pretrained(partial)
        partial.replace(folder)
    for remark in mixer_remarks(mixer):
        say(console, remark)
    if writing.get("onnx") and not (folder / ONNX).is_file():
        write_onnx(mixer, folder / ONNX)
