"""Where an evaluation says what it does."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Shown while an evaluation works; the displays of samix.training are such."""

    def say(self, text: str) -> None:
        """Show a sentence that stays."""

    def work(self, what: str, done: int, total: int) -> None:
        """Show how far long work has come."""


class Quiet:
    """Shows nothing."""

    def say(self, text: str) -> None:
        """Do nothing."""

    def work(self, what: str, done: int, total: int) -> None:
        """Do nothing."""
