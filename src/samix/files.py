"""Files that appear as a whole or not at all, and folders that nothing leaves.

A folder may be a stranger's: :func:`within` and :func:`check_links` see to it that nothing outside
of it is written or removed through a link inside it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import stat
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from .errors import InputError

MAX_MEGAPIXELS = 200
"""Of a photo that is read, where nothing else is asked for."""
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
_SAID = ("No space left on device", "Disk quota exceeded", "PytorchStreamWriter failed")
_PARTIAL = re.compile(r".+\.\d+\.partial|(?:last|best)\.partial")
_LONGEST_WORD = 60  # characters: a name of a file has room for 255 bytes, some take four


def check_regular(path: str | os.PathLike[str]) -> None:
    """Raise an OSError where a path is no file: a pipe would be waited for without an end."""
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise OSError("it is a pipe, a device or a folder")


def file_word(name: str) -> str:
    """Return a name as a part of a file's name: letters and digits of any script, and hyphens.

    Args:
        name: Such as that of a folder of photos.
    """
    word = re.sub(r"[\W_]+", "-", unicodedata.normalize("NFC", name)).strip("-")
    return word[:_LONGEST_WORD].rstrip("-")


def free_path(folder: Path, name: str, suffix: str = "") -> Path:
    """Return the first of name, name-2, name-3 and so on that is not there yet.

    Args:
        folder: Where it shall be.
        name: What it begins with.
        suffix: What it ends with, such as ".csv".
    """
    names = (f"{name}{f'-{n}' if n > 1 else ''}{suffix}" for n in count(1))
    return next(path for each in names if not (path := folder / each).exists())


def cache_folder() -> Path:
    """Return the folder for what can be made again: SAMIX_CACHE, or samix in the user's cache."""
    own = os.environ.get("SAMIX_CACHE")
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(own) if own else Path(base, "samix")


@contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """Give the name to write a file under; it gets its own name once it is written.

    It may be read by whom the umask says, whoever writes it, and is on the disk before an older one
    is replaced, so that a power cut leaves the one or the other. Where writing fails nothing is
    left behind.

    Args:
        path: Of the file.
    """
    target = Path(path)
    partial = partial_of(target)
    try:
        partial.write_bytes(b"")
        mode = partial.stat().st_mode
        yield partial
        if partial.stat().st_mode != mode:
            partial.chmod(stat.S_IMODE(mode))
        _sync(partial)
        partial.replace(target)
    except BaseException:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        raise


def write_text(path: Path, text: str, *, errors: str = "strict") -> None:
    """Write a text file as a whole or not at all.

    Args:
        path: Of the file.
        text: What it holds.
        errors: What becomes of letters that UTF-8 does not know, as in :func:`open`.
    """
    with whole_file(path) as partial:
        partial.write_text(text, encoding="utf-8", errors=errors)


def no_room(error: BaseException | None) -> str | None:
    """Return what to tell where something could not be written; None where that is not why.

    Args:
        error: What was raised; what it follows from is looked at, too, since libraries turn an
            OSError into errors of their own.
    """
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        number = error.errno if isinstance(error, OSError) else None
        said = next((words for words in _SAID if words in str(error)), None)
        if number in _FULL or said:
            name = getattr(error, "filename", None)
            where = f" ('{name}')" if name else ""
            reason = os.strerror(number) if number in _FULL and number else said
            return (
                f"nothing more can be written{where}: {reason}; make room, or write elsewhere, and "
                "run the command again (with `resume` where it was training)"
            )
        error = error.__cause__ or error.__context__
    return None


def partial_of(path: Path) -> Path:
    """Return the name under which this process writes what will be called otherwise."""
    return path.with_name(f"{path.name}.{os.getpid()}.partial")


def is_partial(name: str) -> bool:
    """Say whether a name is one of :func:`partial_of`."""
    return _PARTIAL.fullmatch(name) is not None


def sweep(folder: Path) -> None:
    """Remove what a process that was killed left half written, in this folder alone.

    Args:
        folder: In which no other process writes.
    """
    if not folder.is_dir():
        return
    for left in folder.iterdir():
        if not is_partial(left.name):
            continue
        if left.is_dir() and not left.is_symlink():
            shutil.rmtree(left)
        else:
            left.unlink(missing_ok=True)


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


def _sync(path: Path) -> None:
    """Wait until a file is on the disk."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())
