"""Stopping a run early: Ctrl-C, and a loss that is no number any more."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class TrainingInterrupted(Exception):  # noqa: N818 - not an error: somebody pressed Ctrl-C
    """The user stopped the run; what was finished is kept."""


class TrainingDivergedError(RuntimeError):
    """The loss is no finite number any more; the last good checkpoint is kept."""


class StopRequest:
    """Whether Ctrl-C was pressed."""

    def __init__(self) -> None:
        self.made = False

    def check(self) -> None:
        """Raise TrainingInterrupted where a stop was asked for."""
        if self.made:
            raise TrainingInterrupted


@contextmanager
def stop_on_interrupt(*, escalate: bool = True) -> Iterator[StopRequest]:
    """Turn the first Ctrl-C into a request that the next step heeds; the second one stops at once.

    Outside the main thread signals cannot be caught, and nothing changes.

    Args:
        escalate: False takes further ones as repetitions of the first, for a process that is told
            to stop both by the terminal and by the process that started it.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return

    def note(number: int, frame: FrameType | None) -> None:
        request.made = True
        if escalate:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    before = signal.signal(signal.SIGINT, note)
    try:
        yield request
    finally:
        signal.signal(signal.SIGINT, before)
