"""The folder that the results of a measurement go into."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from samix.errors import InputError
from samix.training.runs import write_text


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
