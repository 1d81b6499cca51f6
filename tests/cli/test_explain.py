from __future__ import annotations

import json
import shutil
from importlib import import_module
from pathlib import Path

import pytest

from samix.cli import main

from .test_train import TINY, complaint, somewhere_else  # noqa: F401

DATA = "demo:photos_per_class=12,size=16"


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A finished run that is not to be changed."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    assert main(["train", DATA, *TINY, "--output", str(folder)]) == 0
    return folder


@pytest.fixture(autouse=True)
def fewer_mixes(monkeypatch):
    for name, number in (("_DRAWN", 64), ("_MEASURED", 8), ("_DRAWS", 1), ("_ROUTES", 2)):
        monkeypatch.setattr(import_module("samix.explain.explain"), name, number)


@pytest.fixture
def run(finished) -> str:
    shutil.copytree(finished, "run")
    return "run"


def test_a_run_is_explained(run, capsys):
    assert main(["explain", run, "--pairs", "2", "--photos", "1", "--output", "seen"]) == 0
    out = capsys.readouterr().out
    record = json.loads(Path("seen/explain.json").read_text())
    assert record["part"] == "test"
    assert record["photos"]["looked_at"] == record["photos"]["all"] > 2
    assert record["run"]["policy"] == "samix"
    assert set(record["mixer"]["correlation_with_heat"]) == {"original", "partner", "unrelated"}
    assert len(record["near"]["mixes"]) == 2
    assert {path.name for path in Path("seen").iterdir()} == {"explain.html", "explain.json"}
    for words in ("seen/explain.html", "seen/explain.json", "right on", "heat in the defect"):
        assert words in out
    splits = Path("run/splits.csv").read_text().splitlines()
    tested = {row.split(",")[0] for row in splits if row.split(",")[1] == "test"}
    trained = {row.split(",")[0] for row in splits if row.split(",")[1] == "train"}
    assert {one["path"] for one in record["looks"]["photos"]} <= tested
    for one in record["near"]["mixes"]:
        assert {one["original"], one["partner"]} <= tested
        assert {near["path"] for near in one["neighbours"]} <= trained
    said = complaint(["explain", run, "--output", "seen"], capsys)
    assert "'seen' exists already" in said
    assert (Path("seen") / "explain.html").is_file()


BAD = [
    (["--part", "tests"], ["--part", "tests"]),
    (["--pairs", "0"], ["--pairs", "0"]),
    (["--photos", "many"], ["--photos", "many"]),
    (["--seed", "-1"], ["--seed", "-1"]),
    (["--device", "tpu"], ["tpu"]),
    (["--data", "nowhere"], ["nowhere"]),
    (["--output", "run"], ["run", "exists"]),
    (["--output", "run/model.json/x"], ["model.json/x", "cannot be written"]),
    (["--photo", "2"], ["--photo", "--photos"]),
]


@pytest.mark.parametrize(("words", "named"), BAD, ids=lambda v: " ".join(v)[:40])
def test_bad_options_are_refused_in_one_sentence(words, named, run, capsys):
    before = sorted(Path("run").rglob("*"))
    said = complaint(["explain", run, *words], capsys)
    for word in named:
        assert word in said
    assert not any(Path("runs").glob("*"))
    assert sorted(Path("run").rglob("*")) == before


def test_what_is_no_run_is_refused(capsys):
    Path("empty").mkdir()
    assert "not a run folder" in complaint(["explain", "empty"], capsys)
    assert "not a run folder" in complaint(["explain", "nothing"], capsys)


def test_an_interrupted_run_leaves_nothing(run, monkeypatch, capsys):
    def interrupt(*_, **__):
        Path("out/where_photos.png").write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr("samix.explain.page.write_explanation", interrupt)
    monkeypatch.setattr("samix.explain.explain", lambda *_, **__: None)
    assert main(["explain", run, "--output", "out"]) == 130
    assert "interrupted" in capsys.readouterr().err
    assert not Path("out").exists()


def test_a_missing_extra_is_named(monkeypatch, capsys):
    from samix import cli

    def missing(*_):
        raise ModuleNotFoundError("No module named 'captum'", name="captum.attr")

    monkeypatch.setattr(cli, "run_command", missing)
    assert "pip install 'samix[explain]'" in complaint(["explain", "run"], capsys)


def test_help_explains_the_parts(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["explain", "--help"])
    assert stopped.value.code == 0
    text = capsys.readouterr().out
    for word in ("where the network", "--part", "--pairs", "explain.html", "pretrain"):
        assert word in text


def test_too_few_photos_that_are_left_are_told(run, capsys):
    """Some of the run's names are in other data too."""
    said = complaint(["explain", run, "--data", "demo:photos_per_class=3,size=16"], capsys)
    assert "test part of the run has" in said
    assert not any(Path("runs").glob("*"))
