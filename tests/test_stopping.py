"""Signals that ask a process to stop."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest

from samix.stopping import ENDING, Interrupted, exit_code, signal_of, stop_on_signals

Handler = Callable[..., object]
ALL = (signal.SIGINT, *ENDING)


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in ALL}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", ALL)
def test_a_signal_is_noted_and_heeded_later(number: int) -> None:
    with stop_on_signals() as stop:
        assert not stop.made
        os.kill(os.getpid(), number)
        assert stop.number == number
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


@pytest.mark.parametrize("number", ENDING)
def test_or_answered_at_once_and_once(number: int) -> None:
    """timeout and others send a signal to a process and then to its whole group."""
    with stop_on_signals(at_once=True):
        with pytest.raises(Interrupted) as found:
            os.kill(os.getpid(), number)
        os.kill(os.getpid(), number)  # it is being obeyed
    assert exit_code(signal_of(found.value)) == 128 + number
    assert signal_of(KeyboardInterrupt()) == signal.SIGINT


def test_a_second_ctrl_c_is_answered_at_once() -> None:
    with stop_on_signals() as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(Interrupted):
            os.kill(os.getpid(), signal.SIGINT)
    with stop_on_signals(escalate=False) as stop:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.made


def test_what_is_ignored_or_of_somebody_else_is_left_alone() -> None:
    seen: list[int] = []
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    signal.signal(signal.SIGTERM, lambda number, _: seen.append(number))
    with stop_on_signals() as stop:
        for number in ENDING:
            os.kill(os.getpid(), number)
        assert not stop.made
    assert seen == [signal.SIGTERM]


def test_handlers_that_a_library_puts_over_ours_are_put_away() -> None:
    with stop_on_signals() as stop:
        before = signal.getsignal(signal.SIGUSR1)
        for number in (*ALL, signal.SIGUSR1):
            signal.signal(number, signal.SIG_IGN)
        stop.hold()
        assert signal.getsignal(signal.SIGUSR1) == before
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.number == signal.SIGTERM


def test_what_was_asked_is_known_within_and_without() -> None:
    with stop_on_signals(ENDING, at_once=True) as outer:
        with stop_on_signals() as inner:
            os.kill(os.getpid(), signal.SIGHUP)
        assert inner.number == outer.number == signal.SIGHUP
        os.kill(os.getpid(), signal.SIGHUP)
        with stop_on_signals() as later:
            assert later.made  # an exception that was swallowed stops the next training


_HUNG_UP = """
import os, sys, time
os.login_tty(os.dup(0))
from samix.stopping import stop_on_signals
with stop_on_signals() as stop:
    print("ready", flush=True)
    while not stop.made:
        time.sleep(0.01)
    print("to nobody", flush=True)  # an error where the terminal is gone
sys.exit(128 + stop.number)
"""


def test_a_terminal_that_is_gone_is_not_written_to() -> None:
    first, second = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", _HUNG_UP], stdin=second, stdout=second, stderr=subprocess.PIPE
    )
    os.close(second)
    assert os.read(first, 5) == b"ready"
    time.sleep(0.05)
    os.close(first)
    _, complaint = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGHUP, complaint
