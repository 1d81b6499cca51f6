"""Being asked to stop: Ctrl-C, SIGTERM of what runs jobs, SIGHUP of a terminal that is gone.

Work that can be cut off anywhere is cut off by an exception (``at_once``). Training notes the wish
and heeds it between two steps. A signal that is ignored (``nohup``) or that somebody else handles
is left alone.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any

ENDING = tuple(
    getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)
)  # fmt: skip
"""Signals that ask a process to end, but for Ctrl-C."""
SIGPIPE = 13
"""Of writing where nobody reads; some systems have no such signal."""
_OURS_TO_TAKE = (signal.SIG_DFL, signal.default_int_handler)
_KEPT = ("SIGUSR1",)  # that lightning takes, too, for jobs of Slurm
_OUTPUTS = (1, 2)  # files of the terminal
_TICK = 0.5  # seconds from one look at the first process to the next


class Interrupted(KeyboardInterrupt):
    """A signal asked this process to stop.

    Attributes:
        number: Of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


def signal_of(error: KeyboardInterrupt) -> int:
    """Return the number of the signal that an exception stands for."""
    return error.number if isinstance(error, Interrupted) else signal.SIGINT


def exit_code(number: int) -> int:
    """Return the exit code of a process that a signal stopped, as shells count."""
    return 128 + number


class StopRequest:
    """Whether this process was asked to stop, and by which signal.

    Args:
        number: Signal that asked before.
        at_once: Whether a signal is answered by Interrupted, where it strikes.
        escalate: Whether Ctrl-C that comes second is answered so.
    """

    def __init__(
        self, number: int | None = None, *, at_once: bool = False, escalate: bool = True
    ) -> None:
        self.number = number
        self.at_once = at_once
        self.escalate = escalate
        self._handlers: dict[int, Any] = {}
        self._terminals = [output for output in _OUTPUTS if os.isatty(output)]

    @property
    def made(self) -> bool:
        """Whether somebody asked."""
        return self.number is not None

    def note(self, number: int, frame: FrameType | None) -> None:
        """Note a signal.

        What follows the first one changes nothing, but for Ctrl-C: ``timeout`` and others send
        theirs to a process and then to its whole group.

        Raises:
            Interrupted: It is to be answered at once.
        """
        self._let_go()
        again = self.made
        if again and (number != signal.SIGINT or not self.escalate):
            return
        self.number = number
        if again or self.at_once:
            raise Interrupted(number)

    def take(self, numbers: Sequence[int]) -> dict[int, Any]:
        """Handle signals, those that nobody else handles; return what handled them before."""
        before = {number: signal.getsignal(number) for number in numbers}
        taken = {n: h for n, h in before.items() if h in _OURS_TO_TAKE or request_of(h)}
        kept = [getattr(signal, name) for name in _KEPT if hasattr(signal, name)]
        there = {number: signal.getsignal(number) for number in (*numbers, *kept)}
        self._handlers = {**there, **dict.fromkeys(taken, self.note)}
        self.hold()
        return taken

    def hold(self) -> None:
        """Handle again what was handled: lightning puts handlers of its own over others."""
        for number, handler in self._handlers.items():
            if handler is not None:  # of a library in C, which cannot be put back
                signal.signal(number, handler)

    def _let_go(self) -> None:
        """Write nowhere instead of to a terminal that is gone, which would be an error."""
        for output in self._terminals:
            if not os.isatty(output):
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, output)
                os.close(nowhere)


def request_of(handler: Any) -> StopRequest | None:
    """Return the request that a handler of signals belongs to, None where it is another's."""
    owner = getattr(handler, "__self__", None)
    return owner if isinstance(owner, StopRequest) else None


@contextmanager
def stop_on_signals(
    numbers: Sequence[int] = (signal.SIGINT, *ENDING),
    *,
    at_once: bool = False,
    escalate: bool = True,
) -> Iterator[StopRequest]:
    """Turn signals into a request to stop.

    Outside the main thread signals cannot be caught, and nothing changes. Within another one of
    these, what was asked there is known here, and the other way round afterwards.

    Args:
        numbers: Of the signals.
        at_once: Answer them by Interrupted, where they strike; otherwise the request is to be
            looked at, and only a second Ctrl-C is answered so.
        escalate: False takes also a second Ctrl-C as a repetition, for a process that is told to
            stop both by the terminal and by the process that started it.
    """
    if threading.current_thread() is not threading.main_thread():
        yield StopRequest()
        return
    outer = request_of(signal.getsignal(ENDING[0]))
    asked = None if outer is None else outer.number
    request = StopRequest(asked, at_once=at_once, escalate=escalate)
    before = request.take(numbers)
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if outer is not None:
            outer.number = request.number


def end_with_parent(parent: int) -> None:
    """End this process as soon as the one that started it has ended, however that ended.

    Args:
        parent: Number of the process that started this one.
    """

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_TICK)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def leave_to_the_first_process(_: int = 0) -> None:
    """Be a worker that no signal ends but the first process: that one decides what happens.

    A signal often reaches the whole group of processes, and the first one may still need this one.

    Args:
        _: Number of the worker, which loaders of batches give.
    """
    for number in (signal.SIGINT, *ENDING):
        if number != signal.SIGTERM:
            signal.signal(number, signal.SIG_IGN)
    if not hasattr(signal, "sigwaitinfo"):  # only with it can be told who sent a signal
        return
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})

    def obey(parent: int) -> None:
        while signal.sigwaitinfo({signal.SIGTERM}).si_pid != parent:
            pass
        os._exit(0)

    threading.Thread(target=obey, args=(os.getppid(),), daemon=True).start()
