"""Errors that are about what the user gave, not about the program."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from .shown import shown


class InputError(ValueError):
    """Input of a user that cannot be used.

    The message is one sentence that names the offending value and says what to do. The command
    line prints it without a traceback and exits with code 2. Names that it quotes are those of
    files, so that it is escaped as :func:`samix.shown.shown` does.
    """

    def __init__(self, message: str = "") -> None:
        super().__init__(shown(message, lines=True))


class UnreadableImageError(InputError):
    """A photo that is not read; the message names it and the reason."""


class CorruptImageError(UnreadableImageError):
    """A photo that cannot be read or decoded."""


class LargeImageError(UnreadableImageError):
    """A photo that has more pixels than may be read, or than fit into memory."""


def nearest(word: str, known: Iterable[str]) -> str:
    """Return the known name that a word is most like, for "did you mean".

    Args:
        word: What the user gave.
        known: The names that there are, at least one.
    """
    return difflib.get_close_matches(word, list(known), n=1, cutoff=0.0)[0]
