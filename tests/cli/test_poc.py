"""samix poc: from photos to a decision."""

from __future__ import annotations

import json
import os
import signal
import time
from contextlib import nullcontext
from pathlib import Path

import pytest
import yaml

from samix.cli import main
from samix.cli import poc as command
from samix.cli.poc import duration
from samix.errors import InputError
from samix.study.cells import PocFolder, read_study
from samix.training.lock import LOCK
from tests.forked import Command, fork_workers
from tests.study.tiny import Here, tiny_study


def test_a_choice_of_the_network_reaches_every_training():
    given = {"data": DEMO, "budget": "5m"}
    for word in ("weights", "tap", "backbone", "pretrained", "stem", "image_size"):
        assert command._wish({**given, word: "one"}).network == {word: "one"}


def test_weights_from_a_file_are_found_from_anywhere(tmp_path, monkeypatch):
    (tmp_path / "mine.pth").touch()
    monkeypatch.chdir(tmp_path)
    wish = command._wish({"data": DEMO, "budget": "5m", "weights": "mine.pth"})
    assert wish.network["weights"] == str(tmp_path / "mine.pth")


@pytest.fixture
def planned(monkeypatch):
    """A plan of seconds, whatever the time."""

    def plan(wish, opened, engine, trials, announce, *, begun):
        place = trials.parent / "elsewhere"
        study = tiny_study(place, seeds=(0, 1), epochs=2)
        for name in ("poc.yaml", "splits.csv"):
            (place / name).unlink()
        place.rmdir()
        kept = ("version", "data", "plan", "train", "pretrain")
        study["plan"]["timings"] = {
            "supervised": {n: {"start": 1.0, "step": 0.1, "look": 0.1} for n in ("none", "samix")}
        }
        study["plan"] |= {"trainings": 10, "cells": 10, "measure": "accuracy"}
        return {name: study[name] for name in kept}

    monkeypatch.setattr("samix.study.plan.plan_study", plan)


DEMO = "demo:photos_per_class=20,size=16"
WORDS = [
    DEMO, "--image-size", "16", "--stem", "small", "--batch-size",
    "24", "--model-kwargs", "layers=[1,1,1,1]", "channels=[8,8,8,8]", "--backbone", "resnet18",
    "--device", "cpu",
]  # fmt: skip


@pytest.fixture
def here(monkeypatch):
    """Trainings in this process instead of in others, which import everything anew."""
    monkeypatch.setattr("samix.study.engine.open_engine", lambda *_: nullcontext(Here()))


def test_from_photos_to_a_verdict_and_again(tmp_path, planned, here, capsys):
    poc = tmp_path / "poc"
    prices = ["--price", "2", "--currency", "EUR", "--power", "100"]
    assert main(["poc", *WORDS, "--output", str(poc), *prices]) == 0
    said = capsys.readouterr().out
    assert "Main question: accuracy of supervised learning with" in said
    assert "[10/10] supervised" in said
    assert "\nVerdict: " in said
    assert str(poc / "report.html") in said.replace("\n", "")
    findings = json.loads((poc / "findings.json").read_text())
    assert findings["cells"] == {"planned": 10, "finished": 10, "failed": [], "missing": []}
    assert findings["verdict"]["sentence"]["en"] in said
    assert findings["cost"][0]["money"] > 0
    page = (poc / "report.html").read_text()
    assert findings["verdict"]["sentence"]["ja"] in page
    study = yaml.safe_load((poc / "poc.yaml").read_text())
    assert study["prices"] == {"price": 2.0, "currency": "EUR", "power": 100.0}
    assert "torch" in study["versions"]

    before = (poc / "outcomes.parquet").read_bytes()
    assert main(["poc", "--resume", "--output", str(poc), "--lang", "ja", "--price", "4"]) == 0
    said = capsys.readouterr().out
    assert f"判定：{findings['verdict']['sentence']['ja']}" in said
    assert (poc / "outcomes.parquet").read_bytes() == before  # nothing is trained twice
    again = json.loads((poc / "findings.json").read_text())
    assert again["cost"][0]["money"] == pytest.approx(2 * findings["cost"][0]["money"])

    assert "data:image/" in (poc / "report.html").read_text()
    assert main(["poc", "--resume", "--output", str(poc), "--no-pictures"]) == 0
    assert "data:image/" not in (poc / "report.html").read_text()

    table = poc / "cells" / "supervised"
    cell = next(table.glob("none-*-s0")) / "cell.json"
    record = json.loads(cell.read_text())
    cell.write_text(json.dumps({**record, "version": 7}))
    assert main(["poc", "--resume", "--output", str(poc)]) == 2
    assert "has version 7, expected 1" in capsys.readouterr().err


def grouped() -> None:
    os.setpgrp()
    fork_workers()


@pytest.mark.slow
def test_interrupted_and_resumed(tmp_path):
    """SIGTERM to the first process alone, then Ctrl-C, which reaches the whole group."""
    poc = tmp_path / "poc"
    study = tiny_study(poc, policies=("none", "samix"), seeds=(0, 1), epochs=4)
    for send, number in ((os.kill, signal.SIGTERM), (os.killpg, signal.SIGINT)):
        before = len(list(poc.glob("cells/*/*/cell.json")))
        process = Command("poc", "--resume", "--output", str(poc), before=grouped)
        deadline = time.monotonic() + 200
        while len(list(poc.glob("cells/*/*/cell.json"))) == before:
            assert process.returncode is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        send(process.pid, number)
        said, complaint = process.communicate(timeout=60)
        assert process.returncode == 128 + number
        assert f"Go on with: samix poc --resume --output {poc}" in said
        assert complaint == f"samix: interrupted by {signal.Signals(number).name}\n"
        assert before < len(list(poc.glob("cells/*/*/cell.json"))) < 8
    kept = read_study(poc)  # with what the first trainings said about the room
    assert kept["plan"].items() >= study["plan"].items()
    assert {**kept, "plan": study["plan"]} == study
    assert main(["poc", "--resume", "--output", str(poc), "--lang", "en"]) == 0
    assert len(list(poc.glob("cells/*/*/cell.json"))) == 8


def test_a_study_that_was_cut_off_while_it_was_planned_can_begin_anew(tmp_path, capsys):
    folder = PocFolder(tmp_path / "poc")
    with pytest.raises(FileNotFoundError), command._created(folder):
        (folder.trials / "supervised" / "none").mkdir()  # anything that fails
    assert not folder.path.exists()
    (folder.trials / "supervised").mkdir(parents=True)  # as after SIGKILL
    (folder.path / LOCK).touch()
    (folder.path / "splits.csv.7.partial").touch()
    assert main(["poc", "--resume", "--output", str(folder.path)]) == 2
    assert "was stopped while it was planned" in capsys.readouterr().err
    with command._created(folder):
        assert {path.name for path in folder.path.iterdir()} == {LOCK}
        folder.study.touch()
    assert folder.path.exists()
    with pytest.raises(InputError, match="exists already"), command._created(folder):
        pass


@pytest.mark.parametrize(
    ("text", "seconds"), [("90m", 5400), ("2h", 7200), ("1h30m", 5400), ("45s", 45), ("1.5h", 5400)]
)
def test_budgets_are_times(text, seconds):
    assert duration(text) == seconds


@pytest.mark.parametrize("text", ["90", "", "0m", "soon", "-5m", "2 h"])
def test_other_budgets_are_refused(text):
    with pytest.raises(InputError, match="--budget must be a time such as 45m"):
        duration(text)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "DATA is missing"),
        (["nowhere"], "no such folder or image set: 'nowhere'"),
        (["demo", "--lang", "fr"], "--lang must be one of both, en, ja, got 'fr'"),
        (["demo", "--engine", "slurm"], "--engine must be local or ray, got 'slurm'"),
        (["demo", "--budget", "ninety"], "--budget must be a time such as 45m"),
        (["demo", "--labels", "five"], "--labels must be percentages such as 5 25 100, got 'five'"),
        (["demo", "--labels", "0"], "--labels: expected percentages above 0"),
        (["demo", "--policies", "mixup,cutmix"], "--policies: expected 'none'"),
        (["demo", "--policies", "none", "samiks"], "'samiks' is no policy"),
        (["demo", "--modes", "both"], "--modes: expected some of"),
        (["demo", "--workers", "0"], "--workers must be at least 1, got 0"),
        (["demo", "--defect-share", "1.5"], "--defect-share must be in (0, 1), got 1.5"),
        (["demo", "--price", "-1"], "--price must be a number of at least 0, got -1.0"),
        (
            ["demo:photos_per_class=20,size=16", "--good", "perfect"],
            "--good: 'perfect' is no class",
        ),
        (["demo", "--device", "tpu"], "there is no device 'tpu'"),
        (["--resume"], "--resume needs the study to go on with"),
        (
            ["demo", "--resume", "--output", "nowhere"],
            "DATA cannot be changed when a study goes on",
        ),
        (["--resume", "--output", "nowhere"], "'nowhere' is no folder of samix poc"),
    ],
)
def test_bad_input_is_one_sentence(words, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["poc", *words]) == 2
    complaint = capsys.readouterr().err
    assert complaint.startswith("samix: ")
    assert complaint.count("\n") == 1
    assert message in complaint
    assert not list(Path(tmp_path).iterdir())  # nothing is left behind


def test_a_folder_with_something_in_it_is_not_written_into(tmp_path, capsys):
    (tmp_path / "poc").mkdir()
    (tmp_path / "poc" / "notes.txt").write_text("mine")
    assert main(["poc", "demo", "--output", str(tmp_path / "poc")]) == 2
    assert "exists already; choose another folder" in capsys.readouterr().err


def test_a_missing_package_of_the_extra_is_told_before_anything_is_trained(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = command.find_spec
    monkeypatch.setattr(
        command, "find_spec", lambda name: None if name == "kornia" else found(name)
    )
    assert main(["poc", "demo"]) == 2
    assert "needs the package 'kornia'" in capsys.readouterr().err
