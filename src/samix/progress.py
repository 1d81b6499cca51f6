"""How long work says how far it has come: two kinds of functions, and the display of a command."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

Progress = Callable[[int, int], None]
"""Called with (done, total) now and then."""
Announce = Callable[[str, int, int], None]
"""Called with (what is done, done, total) now and then."""


class Display(Protocol):
    """Where a command shows what it does."""

    def say(self, text: str) -> None:
        """Show a sentence that stays."""

    def work(self, what: str, done: int, total: int) -> None:
        """Show how far long work has come; an :data:`Announce`."""

    def rest(self) -> None:
        """Take the bar away."""


class Silent:
    """A display that shows nothing."""

    def say(self, text: str) -> None:
        """Do nothing."""

    def work(self, what: str, done: int, total: int) -> None:
        """Do nothing."""

    def rest(self) -> None:
        """Do nothing."""


def named(announce: Announce | None, what: str) -> Progress | None:
    """Return what announces one kind of work; None where nobody listens."""
    return None if announce is None else lambda done, total: announce(what, done, total)
