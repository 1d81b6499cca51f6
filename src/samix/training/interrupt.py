"""What ends a run early: a wish to stop, a loss that is no number any more, a process that died."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from samix.stopping import Interrupted, StopRequest

_ON_ITS_WAY = 0.5  # seconds that a signal may come later here than to a process that it ended


class TrainingInterrupted(Exception):  # noqa: N818 - not an error: somebody wished it
    """Somebody stopped the run; what was finished is kept.

    Attributes:
        number: Of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class TrainingDivergedError(RuntimeError):
    """The loss is no finite number any more; the last good checkpoint is kept."""


class WorkerDiedError(RuntimeError):
    """A process that worked for the run died; what was finished is kept."""


def heed(stop: StopRequest) -> None:
    """Raise TrainingInterrupted where a stop was asked for."""
    if stop.number is not None:
        raise TrainingInterrupted(stop.number)


@contextmanager
def told_apart(stop: StopRequest) -> Iterator[None]:
    """Say of what ends a training whether it is that somebody stopped it.

    Raises:
        TrainingInterrupted: It is: a signal that reaches several processes ends some of them before
            this one has heeded it, and breaks the connections between them.
        Interrupted: Ctrl-C was pressed twice; lightning makes an exit of it.
        WorkerDiedError: A process that reads photos died.
    """
    try:
        with readers_named():
            yield
    except (TrainingInterrupted, TrainingDivergedError):
        raise
    except SystemExit as error:
        if stop.number is None:
            raise
        if isinstance(error.__context__, KeyboardInterrupt):
            raise Interrupted(stop.number) from error
        raise TrainingInterrupted(stop.number) from error
    except Exception as error:
        if not stop.made:
            time.sleep(_ON_ITS_WAY)
        if stop.number is None:
            raise
        raise TrainingInterrupted(stop.number) from error


@contextmanager
def readers_named() -> Iterator[None]:
    """Say what to do where a process that reads photos died.

    Raises:
        WorkerDiedError: One did.
    """
    try:
        yield
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        reason = str(error).partition(". ")[0].rstrip(".")
        raise WorkerDiedError(
            f"a process that reads photos died, perhaps for lack of memory ({reason}); go on with "
            "--resume, and with fewer --workers"
        ) from error
