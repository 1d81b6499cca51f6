"""Kills runs at random moments, goes on with them, and compares them with undisturbed ones.

    python benchmarks/kills.py [--kills 30] [--terms 10] [--seed 0] [--epochs 12]
                               [--commands train pretrain poc]

SIGKILLs and SIGTERMs are spread over the commands and strike after a random share of the time that
the undisturbed run took. After each one the run goes on with ``--resume``; where it had not begun,
with the command that it was started with. A run that reaches its end before the next signal is
compared, and another one is begun. What is checked:

- a process that got SIGTERM ends with 143 and says how to go on, and no signal leaves a folder with
  which one cannot go on;
- weights, states of optimisers, averages, counters, tables and figures equal those of the
  undisturbed run bit for bit (times apart);
- the files are the same, none half written, and the folder for temporary files is empty.

Processes are forked from this one, which imported all: to import takes several times as long as to
train here, so that most signals would strike there. The table is printed; exit code 1 tells that
something differed.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import torch

import samix.cli.poc
import samix.cli.pretrain
import samix.cli.train
import samix.study.engine as engines
from samix.cli import main as samix
from samix.plain_yaml import read_yaml

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.study.tiny import tiny_study

NETWORK = (
    "demo:photos_per_class=20,size=16 --image-size 16 --batch-size 24 --device cpu --model-kwargs "
    "layers=[1,1,1,1] channels=[8,8,8,8] drop_path_rate=0.2"
)
WORDS = {
    "train": f"train {NETWORK} --preset small-resnet --lr 0.05",
    "pretrain": f"pretrain {NETWORK} --preset quick --method-options queue_size=64",
}
TIMES = {
    "seconds",
    "train_seconds",
    "test_seconds",
    "waiting_share",
    "images_per_second",
    "memory_mb",
}
LONGEST = 600.0  # seconds that a run may take
KILLED, TERMINATED = -signal.SIGKILL, 128 + signal.SIGTERM


@dataclass
class Tally:
    """What was seen of one command."""

    command: str
    epochs: int
    took: float = 0.0
    struck: list[str] = field(default_factory=list)
    before: int = 0  # signals that struck before a run had begun
    late: int = 0  # SIGTERMs that came too late to stop anything
    ending: list[float] = field(default_factory=list)  # seconds from SIGTERM to the end
    runs: int = 0
    wrong: list[str] = field(default_factory=list)


def start(words: list[str], log: Path) -> int:
    """Run a command in a process of its own; return its number."""
    pid = os.fork()
    if pid:
        return pid
    with log.open("ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    code = 1
    try:
        code = samix(words)
    except Exception:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def ended(pid: int, seconds: float) -> int | None:
    """Return the exit code of a process, minus the signal that killed it; None where it goes on."""
    deadline = time.monotonic() + seconds
    while True:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > deadline:
            return None
        time.sleep(0.002)


def held(pid: int) -> bool:
    """Stop a process, and say whether it is there to be struck: it may have ended by itself."""
    os.kill(pid, signal.SIGSTOP)
    state = os.waitid(os.P_PID, pid, os.WEXITED | os.WSTOPPED | os.WNOWAIT)
    return state is not None and state.si_code == os.CLD_STOPPED


def first_words(command: str, output: Path, epochs: int) -> list[str]:
    """Return how a run begins; the study of a poc has been planned, so that all have one plan."""
    if command == "poc":
        tiny_study(output, policies=("none", "samix"), seeds=tuple(range(5)), epochs=epochs // 6,
                   looks=True)  # fmt: skip
        return ["poc", "--resume", "--output", str(output), "--lang", "en", "--workers", "2"]
    return [*WORDS[command].split(), "--epochs", str(epochs), "--output", str(output)]


def words_to_go_on(command: str, output: Path, first: list[str]) -> list[str]:
    """Return how a run goes on after a signal."""
    if command == "poc" or not (output / "config.yaml").is_file():
        return first
    return [command, "--resume", "--output", str(output)]


def disturbed(
    tally: Tally, output: Path, strikes: list[int], rng: random.Random, log: Path
) -> None:
    """Run once, with signals as long as there are some."""
    first = first_words(tally.command, output, tally.epochs)
    words = first
    while True:
        pid = start(words, log)
        patience = rng.uniform(0.02, 0.98) * tally.took if strikes else LONGEST
        code = ended(pid, patience)
        if code is None and strikes and not held(pid):
            code = ended(pid, LONGEST)
        if code is None and strikes:
            number = strikes.pop()
            said = log.stat().st_size
            os.kill(pid, number)
            os.kill(pid, signal.SIGCONT)
            struck = time.monotonic()
            code = ended(pid, LONGEST)
            tally.struck.append(signal.Signals(number).name)
            tally.before += tally.command != "poc" and not (output / "config.yaml").is_file()
            if number == signal.SIGTERM:
                tally.ending.append(time.monotonic() - struck)
                told = log.read_bytes()[said:].decode(errors="replace")
                tally.late += code == 0
                if code == TERMINATED and not ("--resume" in told or "interrupted" in told):
                    tally.wrong.append("no way on was told")
            allowed = (KILLED,) if number == signal.SIGKILL else (TERMINATED, 0)
            if code not in allowed:
                tally.wrong.append(f"exit code {code} after {signal.Signals(number).name}")
            if code != 0:
                words = words_to_go_on(tally.command, output, first)
                continue
        if code != 0:
            tally.wrong.append(f"exit code {code}: {log.read_text()[-500:]}")
        return


def plain(value: Any) -> Any:
    """Return a value without times."""
    if isinstance(value, dict):
        return {name: plain(part) for name, part in value.items() if name not in TIMES}
    return [plain(part) for part in value] if isinstance(value, list | tuple) else value


def same(one: Any, other: Any) -> bool:
    """Say whether two values are equal bit for bit, tensors included."""
    if isinstance(one, torch.Tensor):
        return one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[k], other[k]) for k in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return repr(one) == repr(other)  # which nan and NA are, too


def read_checkpoint(path: Path) -> Any:
    """Return all of a checkpoint but times, and lightning's own record of them."""
    content = torch.load(path, map_location="cpu", weights_only=True)
    return {name: plain(part) for name, part in content.items() if name != "loops"}


def read_csv(path: Path) -> Any:
    """Return a table without times."""
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    return plain(table.to_dict("list"))


def read_parquet(path: Path) -> Any:
    """Return a table without times."""
    return plain(pd.read_parquet(path).to_dict("list"))


READERS: dict[str, Callable[[Path], Any]] = {
    ".ckpt": read_checkpoint,
    ".csv": read_csv,
    ".parquet": read_parquet,
    ".safetensors": Path.read_bytes,
}
NAMED: dict[str, Callable[[Path], Any]] = {
    "poc.yaml": read_yaml,  # what was decided after each look
    "metrics.json": lambda path: plain(json.loads(path.read_text())),
    "cell.json": lambda path: plain(json.loads(path.read_text())),
}


def files_of(folder: Path) -> dict[str, Path]:
    """Return the files of a run by name; what tensorboard wrote is one file a start."""
    return {
        str(path.relative_to(folder)): path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "tensorboard" not in path.parts
    }


def differences(whole: Path, other: Path) -> Iterator[str]:
    """Yield what differs between two finished runs."""
    one, two = files_of(whole), files_of(other)
    for name in sorted(one.keys() ^ two.keys()):
        yield f"{name} is only in the {'undisturbed' if name in one else 'killed'} run"
    for name in sorted(one.keys() & two.keys()):
        read = NAMED.get(Path(name).name) or READERS.get(Path(name).suffix)
        if read is not None and not same(read(one[name]), read(two[name])):
            yield f"{name} differs"


def beaten(command: str, strikes: list[int], seed: int, place: Path, epochs: int) -> Tally:
    """Run a command with these signals, and return what was seen."""
    tally, rng = Tally(command, epochs), random.Random(f"{command} {seed}")
    rng.shuffle(strikes)
    whole, log = place / "whole", place / "log"
    begun = time.monotonic()
    code = ended(start(first_words(command, whole, epochs), log), LONGEST)
    tally.took = time.monotonic() - begun
    if code != 0:
        tally.wrong.append(f"the undisturbed run ended with {code}: {log.read_text()[-500:]}")
        return tally
    while strikes and not tally.wrong:
        output = place / f"run-{tally.runs}"
        disturbed(tally, output, strikes, rng, log)
        tally.runs += 1
        tally.wrong += differences(whole, output)
        if not tally.wrong:
            shutil.rmtree(output)
    return tally


def row(tally: Tally) -> str:
    """Return the line of the table."""
    kills, terms = (tally.struck.count(name) for name in ("SIGKILL", "SIGTERM"))
    longest = f"{max(tally.ending):.1f} s" if tally.ending else "-"
    verdict = "; ".join(tally.wrong) or "equal"
    return (
        f"| {tally.command} | {tally.took:.1f} s | {kills} | {terms} | {tally.before} | "
        f"{tally.late} | {longest} | {tally.runs} | {verdict} |"
    )


def main() -> int:
    """Kill, compare, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--terms", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--commands", nargs="+", default=["train", "pretrain", "poc"])
    parser.add_argument("--epochs", type=int, default=12, help="of each run")
    given = parser.parse_args()
    torch.set_num_threads(1)
    fork = multiprocessing.get_context("fork")
    engines.get_context = lambda name: fork  # type: ignore[assignment]
    strikes: dict[str, list[int]] = {command: [] for command in given.commands}
    for number, count in ((signal.SIGKILL, given.kills), (signal.SIGTERM, given.terms)):
        for turn in range(count):
            strikes[given.commands[turn % len(given.commands)]].append(number)
    heads = ("undisturbed", "SIGKILL", "SIGTERM", "not begun", "too late", "longest end", "runs")
    print(f"| command | {' | '.join(heads)} | result |")
    print("|---|" + "---|" * (len(heads) + 1), flush=True)
    wrong = False
    with tempfile.TemporaryDirectory() as place:
        temporary = Path(place) / "tmp"
        temporary.mkdir()
        os.environ["TMPDIR"] = tempfile.tempdir = str(temporary)
        for command in given.commands:
            own = Path(place) / command
            own.mkdir()
            tally = beaten(command, strikes[command], given.seed, own, given.epochs)
            tally.wrong += [f"{left.name} in the temporary folder" for left in temporary.iterdir()]
            print(row(tally), flush=True)
            wrong = wrong or bool(tally.wrong)
    return int(wrong)


if __name__ == "__main__":
    sys.exit(main())
