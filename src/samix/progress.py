"""How long work says how far it has come: two kinds of functions, and the display of a command."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, TypeAlias

if TYPE_CHECKING:
    from samix.pages.words import Words

Progress = Callable[[int, int], None]
"""Called with (done, total) now and then."""
Announce = Callable[[str, int, int], None]
"""Called with (what is done, done, total) now and then."""


Said: TypeAlias = "str | Words"
"""A sentence in English alone, or in both languages."""


class Display(Protocol):
    """Where a command shows what it does, in its language where a sentence is in both."""

    def say(self, text: Said) -> None:
        """Show a sentence that stays."""

    def work(self, what: Said, done: int, total: int) -> None:
        """Show how far long work has come; an :data:`Announce`."""

    def rest(self) -> None:
        """Take the bar away."""


class Silent:
    """A display that shows nothing."""

    def say(self, text: Said) -> None:
        """Do nothing."""

    def work(self, what: Said, done: int, total: int) -> None:
        """Do nothing."""

    def rest(self) -> None:
        """Do nothing."""


def named(announce: Announce | None, what: str) -> Progress | None:
    """Return what announces one kind of work; None where nobody listens."""
    return None if announce is None else lambda done, total: announce(what, done, total)
