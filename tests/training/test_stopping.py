"""Runs that are stopped, cut off or killed: what they leave, and how they go on."""

from __future__ import annotations

import json
import multiprocessing
import os
import runpy
import signal
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from samix.cli import main
from samix.errors import InputError
from samix.training import WorkerDiedError, callbacks, fit, lock, resume, train
from samix.training.lock import LOCK, only_process
from samix.training.mixer_export import mixer_of_run
from samix.training.run_folder import RunFolder, is_unbegun
from tests.forked import Command

WORDS = [
    "demo:photos_per_class=20,size=16", "--image-size", "16", "--batch-size", "24", "--stem",
    "small", "--backbone", "resnet18", "--model-kwargs", "layers=[1,1,1,1]", "channels=[8,8,8,8]",
    "--device", "cpu", "--epochs", "2",
]  # fmt: skip
KILLS = Path(__file__).parents[2] / "benchmarks" / "kills.py"


def kill_after(epoch: int, act: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Do something when an epoch has been written down."""
    line = callbacks.epoch_line

    def told(row: Any, *rest: Any) -> str:
        if row["epoch"] == epoch:
            act()
        return line(row, *rest)

    monkeypatch.setattr(callbacks, "epoch_line", told)


@pytest.mark.parametrize(
    ("command", "number", "code"),
    [("train", signal.SIGTERM, 143), ("train", signal.SIGHUP, 129), ("train", signal.SIGINT, 130),
     ("pretrain", signal.SIGTERM, 143)],
)  # fmt: skip
def test_every_signal_ends_with_metrics_and_the_way_on(
    command: str, number: int, code: int, tmp_path: Path, monkeypatch: Any, capsys: Any
) -> None:
    output = tmp_path / "run"
    kill_after(1, lambda: os.kill(os.getpid(), number), monkeypatch)
    assert main([command, *WORDS, "--output", str(output)]) == code
    said = capsys.readouterr().out
    assert f"Stopped by {signal.Signals(number).name}." in said
    assert f"samix {command} --resume --output {output}" in said.replace("\n", " ")
    metrics = json.loads((output / "metrics.json").read_text())
    assert metrics["status"] == "interrupted"
    assert metrics["epochs"] == {"done": 1, "planned": 2}


def test_a_signal_before_training_ends_with_its_code(
    tmp_path: Path, monkeypatch: Any, capsys: Any
) -> None:
    def struck(*_: Any, **__: Any) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr("samix.training.run.prepare", struck)
    assert main(["train", *WORDS, "--output", str(tmp_path / "run")]) == 143
    assert capsys.readouterr().err == "samix: interrupted by SIGTERM\n"


def test_a_signal_while_judging_cuts_that_off_and_tells_the_way_on(
    tmp_path: Path, monkeypatch: Any, capsys: Any
) -> None:
    output = tmp_path / "run"
    with monkeypatch.context() as some:
        strike = lambda *_: os.kill(os.getpid(), signal.SIGTERM)  # noqa: E731
        some.setattr("samix.training.run.draw_run_mixes", strike)
        assert main(["train", *WORDS, "--output", str(output)]) == 143
    told = capsys.readouterr().out.replace("\n", " ")
    assert f"go on with: samix train --resume --output {output}" in told
    assert main(["train", "--resume", "--output", str(output)]) == 0


def test_a_reader_of_photos_that_dies_is_named(tiny: Any, monkeypatch: Any) -> None:
    def kill() -> None:
        os.kill(multiprocessing.active_children()[0].pid or 0, signal.SIGKILL)

    kill_after(1, kill, monkeypatch)
    with pytest.raises(WorkerDiedError, match=r"lack of memory.*go on with `resume`"):
        train(tiny(workers=1, epochs=30))


def test_a_rank_that_dies_is_named() -> None:
    with pytest.raises(WorkerDiedError, match=r"lack of memory.*go on with `resume`"):
        fit._raise({0: ("finished", "")}, 2)


@pytest.mark.parametrize("resuming", [(), ("--resume",)])
def test_a_folder_that_was_cut_off_goes_on_both_ways(
    tmp_path: Path, resuming: tuple[str, ...], capsys: Any
) -> None:
    """Killed between the making of the folder and that of its configuration."""
    output = tmp_path / "run"
    output.mkdir()
    assert is_unbegun(output)
    (output / LOCK).touch()
    assert is_unbegun(output)
    (output / "checkpoints").mkdir()
    for name in ("splits.csv", "splits.csv.7.partial", "checkpoints/last.ckpt.7.partial"):
        (output / name).write_text("half of what shou")
    assert is_unbegun(output)
    assert main(["train", "--resume", "--output", str(output)]) == 2
    assert "was stopped before it had begun; start it with" in capsys.readouterr().err
    words = ["train", *WORDS, "--epochs", "1", "--policy", "none", "--output", str(output)]
    assert main([*words, *resuming]) == 0
    assert not is_unbegun(output)
    assert not list(output.rglob("*.partial"))
    assert main(["train", "--resume", "--output", str(output)]) == 0


def test_a_folder_of_somebody_else_is_not_taken_for_one(tiny: Any, tmp_path: Path) -> None:
    for names in (("splits.csv",), (LOCK, "notes.txt")):
        output = tmp_path / names[-1]
        output.mkdir()
        for name in names:
            (output / name).write_text("mine")
        with pytest.raises(InputError, match="exists already"):
            train(tiny(output=str(output)))
        assert (output / names[-1]).read_text() == "mine"


def test_two_processes_do_not_work_on_one_run(tiny: Any, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(lock, "_PATIENCE", 0.1)
    kill_after(1, lambda: (_ for _ in ()).throw(OSError("cut off")), monkeypatch)
    with pytest.raises(OSError, match="cut off"):
        train(tiny())
    output = tmp_path / "run"
    for left in (output / "history.csv.7.partial", output / "checkpoints" / "last.ckpt.7.partial"):
        left.write_text("half")
    with only_process(output, "run"), pytest.raises(InputError, match="another process works on"):
        resume(output)
    monkeypatch.undo()
    assert resume(output).status == "finished"
    assert not list(output.rglob("*.partial"))


def test_files_may_be_read_by_whom_the_umask_says(pretrained: Path, tmp_path: Path) -> None:
    """Written by torch, safetensors and lightning, too, which think otherwise."""
    before = os.umask(0o027)
    try:
        assert main(["train", *WORDS, "--output", str(tmp_path / "run")]) == 0
        mixer_of_run(pretrained).save_pretrained(tmp_path / "mixer")
        code = main(["mixer", "export", str(pretrained), "--output", str(tmp_path / "exported")])
        assert code == 0
    finally:
        os.umask(before)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {path.suffix for path in files} >= {".safetensors", ".ckpt", ".csv", ".json", ".png"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o640}
    folders = {path.parent for path in files} - {tmp_path}
    assert {stat.S_IMODE(path.stat().st_mode) for path in folders} == {0o750}


def strike(_: Sequence[str]) -> int:
    """Run the benchmark, which reads its words by itself."""
    return int(runpy.run_path(str(KILLS))["main"]())


@pytest.mark.slow
def test_killed_at_random_moments_and_resumed_is_equal_bit_for_bit() -> None:
    """The short form of the benchmark: weights, optimiser, queue, tables, and no left-overs."""
    words = ["--commands", "train", "pretrain", "--kills", "4", "--terms", "2", "--seed", "1"]
    words += ["--epochs", "4"]
    process = Command(*words, main=strike)
    said, complaint = process.communicate(600)
    assert process.returncode == 0, said + complaint
    rows = [line for line in said.splitlines() if "pretrain" in line or "train" in line]
    assert len(rows) == 2
    assert all(row.endswith("| equal |") for row in rows)


def test_the_folder_of_a_run_is_told_from_an_unbegun_one(pretrained: Path) -> None:
    assert not is_unbegun(pretrained)
    assert not is_unbegun(RunFolder(pretrained).config)
