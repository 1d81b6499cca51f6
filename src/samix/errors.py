"""Errors that are about what the user gave, not about the program."""

from __future__ import annotations


class InputError(ValueError):
    """Input of a user that cannot be used.

    The message is one sentence that names the offending value and says what to do. The command
    line prints it without a traceback and exits with code 2.
    """


class UnreadableImageError(InputError):
    """A photo that is not read; the message names it and the reason."""


class CorruptImageError(UnreadableImageError):
    """A photo that cannot be read or decoded."""


class LargeImageError(UnreadableImageError):
    """A photo that has more pixels than may be read, or than fit into memory."""
