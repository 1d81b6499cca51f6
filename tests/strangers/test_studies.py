"""Studies of strangers: nothing outside of their folder is written or removed."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from samix.cli import main
from samix.errors import InputError
from samix.files import check_links, within
from samix.study.cells import PocFolder, collect, read_cell, read_study, run_job, write_cell
from samix.study.conclude import final_of
from samix.study.grid import Cell, Job, cells_of
from samix.study.report.pictures import read_pictures

NETWORK = {"backbone": "resnet18", "image_size": 16, "device": "cpu", "data": "demo"}


def study_of() -> dict[str, Any]:
    modes = ["supervised", "self-supervised"]
    return {
        "version": 1,
        "data": {"source": "demo", "name": "demo", "classes": ["a", "b"], "good": []},
        "plan": {
            "policies": {mode: ["none", "none-long", "samix"] for mode in modes}, "modes": modes,
            "labels": [20], "fractions": [1.0], "seeds": [0], "epochs": {"20": 1},
            "steps": {"20": 1}, "pretrain_epochs": 1, "pretrain_steps": 1,
            "long": {mode: {"none-long": 1.5} for mode in modes}, "long_labels": [20],
            "options": {"samix": {"alpha": 2.0}}, "timings": {}, "budget_seconds": 60.0,
        },
        "train": {**NETWORK}, "pretrain": {**NETWORK, "method": "moco"},
    }  # fmt: skip


@pytest.fixture
def poc(tmp_path: Path) -> Path:
    folder = tmp_path / "poc"
    folder.mkdir()
    (folder / "poc.yaml").write_text(yaml.safe_dump(study_of()))
    (folder / "splits.csv").write_text("path,split,group\n")
    return folder


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """A folder of the user beside the study."""
    (tmp_path / "victim").mkdir()
    (tmp_path / "victim/photo.png").write_bytes(b"mine")
    return tmp_path / "victim"


def set_in(folder: Path, place: str, value: Any) -> None:
    study = yaml.safe_load((folder / "poc.yaml").read_text())
    *way, last = place.split(".")
    inside = study
    for name in way:
        inside = inside[name]
    inside[last] = value
    (folder / "poc.yaml").write_text(yaml.safe_dump(study))


def refused(folder: Path, capsys: Any) -> str:
    """What samix says of a study that it does not go on with."""
    assert main(["poc", "--resume", "--output", str(folder)]) == 2
    said = capsys.readouterr().err
    assert "Traceback" not in said
    assert said.count("\n") == 1
    with pytest.raises(InputError):
        read_study(folder)
    return said


@pytest.mark.parametrize(
    ("place", "value", "reason"),
    [
        ("plan.modes", ["../../victim"], "mode '../../victim' is unknown"),
        ("plan.policies", {"supervised": ["../../../victim"], "self-supervised": []},
         "policy '../../../victim' is unknown"),
        ("plan.policies", {"supervised": ["none/../../../victim"]}, "is unknown"),
        ("plan.policies", {"supervised": ["/victim"]}, "policy '/victim' is unknown"),
        ("plan.policies", {"supervised": [["none"]]}, "policy ['none'] is unknown"),
        ("plan.policies", {"../victim": ["none"]}, "mode '../victim' is unknown"),
        ("plan.policies", ["none"], "does not hold a plan"),
        ("plan.seeds", ["0/../../../victim"], "seed: expected a whole number"),
        ("plan.seeds", [True], "seed: expected a whole number"),
        ("plan.seeds", 3, "seeds: expected a list"),
        ("plan.labels", ["20/../x"], "labels: expected a whole number"),
        ("plan.epochs", {"20": 10**9}, "epochs of '20': expected a whole number"),
        ("plan.long", {"supervised": {"none-long": 1e9}}, "factors up to 1000"),
        ("train.output", "../victim", "train: 'output' is no setting of a study"),
        ("train.splits", "../victim", "train: 'splits' is no setting of a study"),
        ("train.init", "../victim", "train: 'init' is no setting of a study"),
        ("pretrain.mixer_from", "../victim", "pretrain: 'mixer_from' is no setting of a study"),
        ("train.data", ["demo"], "train: data: expected a text"),
        ("train.wings", 2, "train: 'wings' is no setting"),
        ("train", None, "does not hold a plan"),
        ("data.classes", [1], "data: classes: expected a list of texts"),
        ("plan", {}, "it has no 'modes'"),
        ("version", {"a": 1}, "has version {'a': 1}, expected 1"),
    ],
    ids=str,
)  # fmt: skip
def test_names_that_are_not_known_are_refused_before_anything_is_removed(
    place: str, value: Any, reason: str, poc: Path, victim: Path, capsys: Any
) -> None:
    set_in(poc, place, value)
    before = sorted(poc.rglob("*"))
    assert reason in refused(poc, capsys)
    assert sorted(poc.rglob("*")) == before
    assert (victim / "photo.png").read_bytes() == b"mine"


@pytest.mark.parametrize(
    "place", ["cells", "cells/supervised", "locks", "cells/supervised/none-20-s0"]
)
def test_a_link_out_of_the_study_is_refused(
    place: str, poc: Path, victim: Path, capsys: Any
) -> None:
    (poc / place).parent.mkdir(parents=True, exist_ok=True)
    (poc / place).symlink_to(victim)
    assert f"'{poc / place}' lies outside of '{poc}'" in refused(poc, capsys)
    assert [path.name for path in victim.iterdir()] == ["photo.png"]


def test_a_job_of_another_folder_removes_nothing(poc: Path, victim: Path) -> None:
    cell = Cell("none", 20, "supervised", 0)
    settings = {**NETWORK, "policy": "none", "epochs": 1}
    job = Job("../victim", "train", settings, (cell,))
    ended = run_job(str(poc), job)
    assert ended.status == "failed"
    assert "lies outside of" in ended.reason
    (poc / "out-20-s0").symlink_to(victim)
    with pytest.raises(InputError, match="lies outside of"):
        write_cell(PocFolder(poc), Cell("../../out", 20, "supervised", 0), None, {})
    assert [path.name for path in victim.iterdir()] == ["photo.png"]


@pytest.mark.parametrize("name", ["..", ".", "", "a/../..", "../poc-2", "/etc", "a/../../poc"])
def test_only_what_lies_below_is_within(name: str, tmp_path: Path) -> None:
    (tmp_path / "poc").mkdir()
    (tmp_path / "poc-2").mkdir()
    with pytest.raises(InputError, match="lies outside of"):
        within(tmp_path / "poc", name)
    assert within(tmp_path / "poc", "a/b") == tmp_path / "poc/a/b"


def test_links_inside_of_a_folder_and_to_it_are_fine(tmp_path: Path) -> None:
    (tmp_path / "disk/runs").mkdir(parents=True)
    (tmp_path / "runs").symlink_to(tmp_path / "disk/runs")
    (tmp_path / "disk/runs/a").mkdir()
    (tmp_path / "disk/runs/b").symlink_to("a")
    check_links(tmp_path / "runs")
    assert within(tmp_path / "runs", "b/x") == tmp_path / "runs/b/x"
    (tmp_path / "runs/c").symlink_to(tmp_path / "disk")
    with pytest.raises(InputError, match="runs/c"):
        check_links(tmp_path / "runs")


def test_a_study_that_is_none_is_a_sentence(poc: Path, capsys: Any) -> None:
    for text in ("[" * 5000, "[1]", "version: !!python/name:os.sep ''", "a: &a [*a]", ""):
        (poc / "poc.yaml").write_text(text)
        assert "cannot be read" in refused(poc, capsys)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"status": "done"}, "status: expected finished or failed"),
        ({"seed": 1}, "it is of another cell: seed 1"),
        ({"seconds": "long"}, "seconds: expected a number"),
        ({"alive": "yes"}, "alive: expected true or false"),
        ({"reason": [1]}, "reason: expected a text"),
    ],
)
def test_a_cell_of_a_stranger_is_checked(values: dict[str, Any], reason: str, poc: Path) -> None:
    cell = cells_of(study_of())[0]
    write_cell(PocFolder(poc), cell, None, {"status": "failed", "reason": "x"})
    file = poc / cell.folder / "cell.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **values}))
    with pytest.raises(InputError, match=reason):
        read_cell(PocFolder(poc), cell)
    file.write_text("[" * 50_000)
    with pytest.raises(InputError, match="nested deeper"):
        read_cell(PocFolder(poc), cell)


def test_outcomes_that_are_none_are_a_sentence(poc: Path) -> None:
    cell = cells_of(study_of())[0]
    write_cell(PocFolder(poc), cell, pd.DataFrame({"a": [1]}), {"status": "finished"})
    (poc / cell.folder / "outcomes.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(InputError, match=r"outcomes\.parquet' cannot be read"):
        collect(PocFolder(poc), study_of())
    pd.DataFrame({"a": [1]}).to_parquet(poc / cell.folder / "outcomes.parquet")
    with pytest.raises(InputError, match="has version None"):
        collect(PocFolder(poc), study_of())


def test_findings_of_a_stranger_are_checked(poc: Path) -> None:
    for findings in ({"version": 1}, {"version": 1, "verdict": 3}, {"version": 1, "verdict": {
        "kind": "adopt", "mode": ["x"], "policy": "none", "sentence": {"en": "x"}}}):  # fmt: skip
        (poc / "findings.json").write_text(json.dumps(findings))
        with pytest.raises(InputError):
            final_of(poc)
    (poc / "findings.json").write_text("[" * 50_000)
    with pytest.raises(InputError, match="nested deeper"):
        final_of(poc)


def test_pictures_of_a_stranger_are_those_of_the_study(poc: Path, victim: Path) -> None:
    (poc / "pictures").mkdir()
    record = poc / "pictures/pictures.json"
    for file in ("../../victim/photo.png", str(victim / "photo.png"), 3):
        rows = [{"part": "mixes", "caption": "x", "file": file}]
        record.write_text(json.dumps({"version": 1, "pictures": rows}))
        with pytest.raises(InputError):
            read_pictures(poc)
