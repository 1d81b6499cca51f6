"""One process at a time works on a folder."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from samix.errors import InputError
from samix.files import is_partial

LOCK = ".lock"
"""The file that is locked; it stays, but the lock ends with its process, however that ends."""
_PATIENCE = 10.0  # seconds: readers of photos outlive a process that was killed by five


@contextmanager
def only_process(folder: Path, what: str) -> Iterator[None]:
    """Keep other processes from working on a folder, or refuse where one works on it already."""
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(timeout=_PATIENCE, poll_interval=0.1)
    except Timeout as error:
        raise InputError(
            f"another process works on the {what} in '{folder}'; wait until it ends, or choose "
            "another `output`"
        ) from error
    except NotImplementedError:
        warnings.warn(
            f"the file system of '{folder}' has no locks; see to it that no second process works "
            f"on this {what}",
            stacklevel=3,
        )
    try:
        yield
    finally:
        lock.release()


def is_half_made(folder: Path, there: Path, names: frozenset[str]) -> bool:
    """Say whether a folder is empty, or one of ours whose making was cut off.

    Args:
        folder: To look at.
        there: File that is written when the folder is made.
        names: Of what is written before.
    """
    if not folder.is_dir() or there.exists() or any(p.is_symlink() for p in folder.iterdir()):
        return False
    found = {path.name for path in folder.iterdir()}
    left = {name for name in found if is_partial(name)}
    return not found or (LOCK in found and found - left <= names | {LOCK})
