"""Processes that begin with everything imported.

To import torch and lightning takes seconds, in each process anew. Here they are forked from a
server that has imported them and does nothing else, so that they begin at once and as clean as
those that Python spawns.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from multiprocessing import context, reduction
from pathlib import Path
from typing import Any

_IMPORTED = (
    "samix.cli.poc", "samix.cli.train", "samix.cli.pretrain", "samix.cli.check", "samix.methods",
    "samix.training.run", "samix.training.fit", "samix.study.engine", "samix.study.conclude",
    "samix.checking", "lightning.pytorch", "timm", "pandas", "matplotlib", "rich.console", "kornia",
    "torch.distributed", "sklearn.metrics",
)  # fmt: skip


def draw_little() -> None:
    """Let runs of this process draw two pairs, not eight, which is a quarter of a tiny one."""
    if run := sys.modules.get("samix.training.run"):
        vars(run)["_PAIRS"] = 2


class _Process(context.ForkServerProcess):
    """Has environment, outputs and signal mask of what began it, and takes that for its parent."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.environment, self.begun_by = dict(os.environ), os.getpid()
        self.outputs: list[Any] = []
        self.blocked: set[signal.Signals] = set()

    def __getstate__(self) -> dict[str, Any]:
        # the server has the mask of whoever needed it first, such as a study that holds Ctrl-C back
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, ())
        outputs = [reduction.DupFd(1), reduction.DupFd(2)]
        return {**vars(self), "blocked": blocked, "outputs": outputs}

    def run(self) -> None:
        for number, output in zip((1, 2), self.outputs, strict=True):
            os.dup2(output.detach(), number)
        _open_outputs()
        os.environ.clear()
        os.environ.update(self.environment)
        draw_little()
        signal.pthread_sigmask(signal.SIG_SETMASK, self.blocked)
        own, real = os.getpid(), os.getppid
        os.getppid = lambda: self.begun_by if os.getpid() == own and self._wanted() else real()
        super().run()

    def _wanted(self) -> bool:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.begun_by, 0)
            return True
        return False


def _open_outputs() -> None:
    sys.stdout = os.fdopen(1, "w", closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, errors="backslashreplace", closefd=False)


class _Context(context.ForkServerContext):
    Process = _Process


def fork_what_is_spawned() -> None:
    """Let whatever spawns processes here get forked ones; to be called once."""
    if sys.platform == "linux":
        forked = _Context()
        forked.set_forkserver_preload(list(_IMPORTED))
        context._concrete_contexts["spawn"] = forked


class Command:
    """`samix` in a process of its own, like :class:`subprocess.Popen` with pipes.

    Args:
        *words: Behind `samix`.
        main: What they are given to; returns the exit code.
        before: Called first, in the new process.
    """

    def __init__(
        self, *words: str, main: Callable[[Sequence[str]], int] | None = None,
        before: Callable[[], object] | None = None,
    ) -> None:  # fmt: skip
        self._folder = tempfile.TemporaryDirectory()
        pipes = [Path(self._folder.name, name) for name in ("out", "err")]
        self._said = [b"", b""]
        self._readers = []
        for number, pipe in enumerate(pipes):
            os.mkfifo(pipe)
            reader = threading.Thread(target=self._read, args=(number, pipe), daemon=True)
            reader.start()
            self._readers.append(reader)
        self._process = multiprocessing.get_context("spawn").Process(
            target=_run,
            args=(words, *map(str, pipes), main, before, multiprocessing.get_start_method()),
        )
        self._process.start()

    def _read(self, number: int, pipe: Path) -> None:
        self._said[number] = pipe.read_bytes()

    @property
    def pid(self) -> int:
        """Its number; with ``before=os.setpgrp`` that of its group, too."""
        assert self._process.pid is not None
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """How it ended; None where it goes on."""
        return self._process.exitcode

    def communicate(self, timeout: float = 300) -> tuple[str, str]:
        """Wait for the end, and return what it said and complained about."""
        self._process.join(timeout)
        assert self.returncode is not None, f"no end after {timeout} s"
        for reader in self._readers:
            reader.join(timeout)
        out, err = (said.decode(errors="surrogateescape") for said in self._said)
        return out, err


def fork_workers() -> None:
    """Let a study in this process fork its workers, which a command of its own has for itself."""
    from samix.study import engine

    forked = multiprocessing.get_context("fork")
    engine.get_context = lambda _: forked


def _run(
    words: Sequence[str], out: str, err: str, main: Callable[[Sequence[str]], int] | None,
    before: Callable[[], object] | None, start_method: str,
) -> None:  # fmt: skip
    # those that read photos: a server of this process would die of a signal to its group
    multiprocessing.set_start_method(start_method, force=True)
    for number, pipe in ((1, out), (2, err)):
        os.dup2(os.open(pipe, os.O_WRONLY), number)
    _open_outputs()
    if before is not None:
        before()
    from samix.cli import main as samix

    sys.argv = ["samix", *words]
    code = (main or samix)(words)
    sys.stdout.flush()
    sys.exit(code)
