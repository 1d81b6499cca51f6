"""What commands that measure have in common: machine, folder, and how to repeat the numbers."""

from __future__ import annotations

import os
import platform
import re
import shlex
import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from samix._version import __version__
from samix.errors import InputError
from samix.evaluation import Machine
from samix.files import write_text
from samix.training import TrainConfig
from samix.training.config import AUTOCAST, choose_device, choose_precision

_MACHINE = ("device", "precision")


def chosen_machine(given: Mapping[str, Any]) -> Machine:
    """Return device and precision, checked as those of a run.

    Args:
        given: Options by name, only those that were given.

    Raises:
        InputError: There is no such device, or it does not do what is asked.
    """
    wanted = {name: given[name] for name in _MACHINE if name in given}
    config = TrainConfig(data=given.get("data", "demo"), **wanted)
    device = choose_device(config)
    return Machine(device, AUTOCAST[choose_precision(config, device)])


def how_to_repeat(*packages: str) -> dict[str, Any]:
    """Return the command that runs and the versions of what it uses.

    Args:
        *packages: Whose versions are given beside those of Python and samix.
    """
    versions = {"python": platform.python_version(), "samix": __version__}
    return {
        "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "versions": {**versions, **{package: version(package) for package in packages}},
    }


def machine_words() -> str:
    """Return what this machine is, in one line."""
    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    return f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores{gpu}"


def result_folder(given: Mapping[str, Any], name: str) -> Path:
    """Return the folder that the results go into; a given one must be new or empty.

    Args:
        given: Options by name, with ``output`` where it was given.
        name: What a free name below runs/ begins with.

    Raises:
        InputError: The given folder holds something.
    """
    if "output" not in given:
        word = re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-")
        names = (f"runs/{word}{f'-{n}' if n > 1 else ''}" for n in range(1, 10**6))
        return next(path for name in names if not (path := Path(name)).exists())
    path = Path(given["output"]).expanduser()
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise InputError(f"--output '{path}' exists already; choose another folder")
    return path


def create_folder(path: Path) -> None:
    """Create the folder and see that it can be written, before long work begins.

    Raises:
        InputError: It cannot.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        write_text(path / ".writable", "")
        (path / ".writable").unlink()
    except OSError as error:
        raise InputError(
            f"--output '{path}' cannot be written ({error.strerror}); choose another folder"
        ) from error
