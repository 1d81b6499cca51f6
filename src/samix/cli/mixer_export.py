"""`samix mixer export`: from a finished run to a folder that stands for itself."""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from rich.console import Console

from samix.errors import InputError
from samix.files import partial_of
from samix.networks.onnx_export import ONNX, OnnxMismatchError, write_onnx
from samix.shown import shown
from samix.training.mixer_export import mixer_of_run, mixer_remarks

from .output import result_folder
from .summary import say

_ONNX_PACKAGES = ("onnx", "onnxruntime", "onnxscript")


def run_mixer_export(chosen: argparse.Namespace) -> int:
    """Write the Mixer of a run into a folder of its own.

    Returns:
        0, or 1 when the ONNX file does not agree with torch.

    Raises:
        InputError: No finished run with a Mixer, or the folder exists.
    """
    given = vars(chosen)
    check_onnx(given)
    output = result_folder(given, "mixer")
    mixer = mixer_of_run(given["run"], licence=given.get("licence"))
    partial = partial_of(output)
    try:
        mixer.save_pretrained(partial)
        if given.get("onnx"):
            write_onnx(mixer, partial / ONNX)
        partial.replace(output)
    except OnnxMismatchError as error:
        print(f"samix: {shown(str(error))}", file=sys.stderr)
        return 1
    except OSError as error:
        raise InputError(
            f"--output '{output}' cannot be written ({error.strerror}); choose another folder"
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    console = Console(highlight=False)
    for remark in mixer_remarks(mixer):
        say(console, remark)
    say_where(console, output)
    return 0


def check_onnx(given: Mapping[str, Any]) -> None:
    """Refuse --onnx before any work where its packages are missing.

    Raises:
        InputError: One is missing.
    """
    if not given.get("onnx"):
        return
    missing = next((name for name in _ONNX_PACKAGES if not _is_there(name)), None)
    if missing is not None:
        raise InputError(
            f"--onnx needs the package '{missing}', which is not installed; run pip install "
            "'samix[onnx]'"
        )


def say_where(console: Console, folder: Path) -> None:
    """Print where a Mixer lies, and what to do with it."""
    say(console, f"Mixer:            {folder}")
    if (folder / ONNX).is_file():
        say(console, f"As ONNX:          {folder / ONNX}")
    say(console, f"Look at it with:  samix mixer inspect {folder}")
    say(console, f"Use it with:      samix train DATA --policy {folder}")


def _is_there(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ValueError:  # imported without a specification
        return False
