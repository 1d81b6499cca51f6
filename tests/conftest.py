"""What several test folders share."""

from __future__ import annotations

import os
import signal
import threading

os.environ.setdefault("OMP_NUM_THREADS", "1")  # two at a time, each with processes of its own
os.environ["COLUMNS"] = "1000"  # what is printed is not divided into lines, unless that is tested

from typing import TYPE_CHECKING

import pytest

from .forked import draw_little, fork_what_is_spawned

if TYPE_CHECKING:  # the first process of pytest-xdist runs no test, and imports it for nothing
    import torch


def pytest_configure() -> None:
    """Hear signals that whoever started the tests ignores, as nohup and background jobs do.

    What a run does about a signal is tested, also in processes that are started here; one that is
    ignored stays ignored in them, which has a test of its own.
    """
    fork_what_is_spawned()
    if threading.current_thread() is not threading.main_thread():
        return
    for number, heard in (
        (signal.SIGINT, signal.default_int_handler),
        (signal.SIGTERM, signal.SIG_DFL),
        (signal.SIGHUP, signal.SIG_DFL),
    ):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, heard)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the slow ones, so that no worker is left alone with one at the end."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


def pytest_collection_finish() -> None:
    """Everything is imported."""
    draw_little()


@pytest.fixture(autouse=True)
def _one_thread_and_a_seed() -> None:
    """Tests run two at a time on two cores, and none depends on the test before it."""
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(0)


@pytest.fixture
def generator() -> torch.Generator:
    import torch

    return torch.Generator().manual_seed(0)
