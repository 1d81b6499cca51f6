"""Folders that may be a stranger's: nothing outside of them is written or removed through them."""

from __future__ import annotations

import os
from pathlib import Path

from .errors import InputError


def within(folder: Path, name: str) -> Path:
    """Return a path below a folder, seen to lie there once every link is followed.

    Args:
        folder: The folder.
        name: Path relative to it; it need not exist.

    Raises:
        InputError: It lies elsewhere, or is the folder itself.
    """
    path = folder / name
    root, real = folder.resolve(), path.resolve()
    if root not in real.parents:
        raise InputError(
            f"'{path}' lies outside of '{folder}' ('{real}'), where nothing is written or removed "
            "for it; take that name or link away"
        )
    return path


def check_links(folder: Path) -> None:
    """Refuse a folder with a link to something outside of it, before anything is written there.

    Args:
        folder: Of a run or a study, which may be a stranger's.

    Raises:
        InputError: There is such a link; the message names it.
    """
    for path, folders, files in os.walk(folder):
        for name in (*folders, *files):
            if os.path.islink(os.path.join(path, name)):
                within(folder, os.path.relpath(os.path.join(path, name), folder))
