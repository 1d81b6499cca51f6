"""The final model after a study, and runs that learn from their test photos."""

from __future__ import annotations

import csv
import json
import math
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from samix.cli import main
from samix.cli.train import final_config
from samix.data import DemoOptions, make_splits, open_images, write_demo, write_splits
from samix.study.conclude import final_of
from samix.study.grid import LOOKS
from samix.training import TrainConfig, open_run, read_config

from .test_train import TINY, complaint, somewhere_else  # noqa: F401

NETWORK = {
    "backbone": "resnet18", "model_kwargs": {"layers": [1, 1, 1, 1], "channels": [8, 8, 8, 8]},
    "stem": "small", "image_size": 16, "device": "cpu",
}  # fmt: skip
POLICIES = ["none", "none-long", "mixup", "mixup-long", "samix-p", "samix"]


def study_of(data: str) -> dict[str, Any]:
    """What poc.yaml holds, as samix poc plans it."""
    return {
        "version": 1, "command": "samix poc parts", "started": "2026-11-25T10:00:00+0000",
        "data": {"source": "parts", "name": "parts", "good": [], "image_size": 16},
        "plan": {
            "policies": {"supervised": POLICIES, "self-supervised": POLICIES},
            "modes": ["supervised", "self-supervised"],
            "labels": [20, 45], "fractions": [0.4, 1.0], "seeds": [3, 4],
            "steps": {"20": 8, "45": 15}, "epochs": {"20": 4, "45": 5}, "pretrain_epochs": 1,
            "pretrain_steps": 4, "long_labels": [45],
            "long": {mode: {"none-long": 2.0, "mixup-long": 1.8}
                     for mode in ("supervised", "self-supervised")},
            "options": {"samix": {"alpha": 2.0}}, "timings": {},
            "primary": {"mode": "supervised", "labels": 45},
        },
        "train": {**NETWORK, "data": data, "batch_size": 16, "lr": 0.1, "mixer_lr": 0.2,
                  "weight_decay": 5e-4, "cost": "fast", "balance": 0.5},
        "pretrain": {**NETWORK, "data": data, "method": "moco", "batch_size": 16,
                     "method_options": {"queue_size": 32}, "optimizer": "adamw", "lr": 3e-3},
    }  # fmt: skip


def findings_of(kind: str, policy: str, mode: str = "supervised") -> dict[str, Any]:
    rows = [
        {"mode": where, "labels": labels, "policy": name, "score": 0.9, "low": 0.85, "high": None,
         "seeds": 3, "gain": None if name == "none" else 0.5, "p_holm": 0.5}
        for where in ("supervised", "self-supervised") for labels in (20, 45) for name in POLICIES
    ]  # fmt: skip
    rows[0]["high"] = rows[-1]["high"] = 0.95
    sentence = {"en": f"The verdict is {kind} of {policy}.", "ja": "結論です。"}
    return {
        "version": 1, "data": {"measure": "balanced_accuracy"}, "policies": rows,
        "verdict": {"kind": kind, "policy": policy, "sentence": sentence, "numbers": {},
                    "risks": [], "mode": mode, "labels": 45},
    }  # fmt: skip


def write_findings(*verdict: str) -> None:
    Path("poc/findings.json").write_text(json.dumps(findings_of(*verdict)))


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """Photos and a study on them, with a pre-training of samix and of none; not to be changed."""
    folder = tmp_path_factory.mktemp("poc")
    write_demo(folder / "parts", DemoOptions(photos_per_class=12, size=16))
    images = open_images(folder / "parts")
    (folder / "poc").mkdir()
    splits = folder / "poc/splits.csv"
    write_splits(splits, images, make_splits(images, group_by=r"part(\d+)"))
    study = study_of(str(folder / "parts"))
    (folder / "poc/poc.yaml").write_text(yaml.safe_dump(study))
    runs = folder / "poc/cells/self-supervised"
    words = [*TINY, "--batch-size", "16", "--splits", str(splits), "--policy", "samix"]
    words += ["--method-options", "queue_size=32", "--output", str(runs / "samix-s3")]
    assert main(["pretrain", str(folder / "parts"), *words]) == 0
    (runs / "none-s3").mkdir()
    model = json.loads((runs / "samix-s3/model.json").read_text())
    model.pop("mixer")
    (runs / "none-s3/model.json").write_text(json.dumps(model))
    return folder


@pytest.fixture
def poc(made) -> dict[str, str]:
    """A copy of the study; returns the part of each photo."""
    shutil.copytree(made / "poc", "poc")
    return parts_of("poc/splits.csv")


def parts_of(path: str) -> dict[str, str]:
    with Path(path).open(encoding="utf-8", newline="") as file:
        return {row["path"]: row["split"] for row in csv.DictReader(file)}


def test_the_final_model_learns_from_train_and_test_and_says_what_it_does(made, poc, capsys):
    write_findings("use-simple", "mixup-long")
    assert main(["train", "--from-poc", "poc", "--epochs", "2"]) == 0
    out = capsys.readouterr().out
    for words in (
        "The study says: The verdict is use-simple of mixup-long.",
        "So the final model is trained with mixup, longer for 9 epochs, on all labelled photos",
        "no test figure",
        "Test figure of the study, not of this model: mixup, longer reached 90.0% balanced "
        "accuracy with 45 labels, 3 seeds.",
        "Val: ",
    ):
        assert words in out
    run = Path("runs/parts-final")
    final = parts_of(str(run / "splits.csv"))
    assert {"train", "val", "test"} == set(poc.values())
    assert set(final.values()) == {"train", "val"}
    assert final == {path: "val" if part == "val" else "train" for path, part in poc.items()}
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["test"] is None
    assert metrics["val"]["encoder"]["photos"] == sum(part == "val" for part in poc.values())
    assert metrics["photos"]["test"] == 0
    said = parts_of(str(run / "predictions.csv"))
    assert set(said.values()) == {"val"}
    config = read_config(open_run(run))
    assert isinstance(config, TrainConfig)
    assert (config.policy, config.epochs, config.seed, config.final) == ("mixup", 2, 3, True)
    assert (config.cost, config.balance, config.lr) == ("fast", 0.5, 0.1)
    assert main(["predict", str(run), str(made / "parts"), "--output", "said.csv"]) == 0
    assert main(["train", "--resume", "--output", str(run)]) == 0
    out = capsys.readouterr().out
    assert "finished already" in out


def test_the_settings_are_those_of_the_largest_cell(poc):
    for verdict, policy, epochs, options in (
        (("adopt", "samix"), "samix", 5, {"alpha": 2.0}),
        (("adopt-light", "samix-p"), "samix-p", 5, {}),
        (("use-simple", "mixup"), "mixup", 5, {}),
        (("use-simple", "none-long"), "none", 10, {}),
        (("not-proven", "samix"), "none", 5, {}),
        (("do-not-adopt", "samix"), "none", 5, {}),
        (("mixer-not-alive", "samix"), "none", 5, {}),
    ):
        write_findings(*verdict)
        final = final_of("poc")
        config = final_config({}, final)
        assert (config.policy, config.epochs, config.policy_options) == (policy, epochs, options)
        assert config.splits == str(Path("poc/splits.csv").resolve())
        assert config.label_fraction is None
        assert config.final
        assert config.validate_every == math.ceil(epochs / LOOKS)
        assert ("recommends no policy" in final.follows.en) is (verdict[0] not in (
            "adopt", "adopt-light", "use-simple"))  # fmt: skip


def test_where_nothing_is_recommended_a_proven_free_policy_is_taken(poc):
    """As the verdict says in words: until then use that one."""
    found = findings_of("not-proven", "samix")

    def chosen(**better: dict[str, Any]) -> str:
        rows = [
            {**row, **better.get(row["policy"].replace("-", "_"), {})}
            if (row["mode"], row["labels"]) == ("supervised", 45) else row
            for row in found["policies"]
        ]  # fmt: skip
        Path("poc/findings.json").write_text(json.dumps({**found, "policies": rows}))
        return final_of("poc").policy

    proven = {"gain": 3.0, "p_holm": 0.01}
    assert chosen() == "none"
    assert chosen(mixup=proven) == "mixup"
    assert chosen(mixup=proven, mixup_long={"gain": 4.0, "p_holm": 0.02}) == "mixup-long"
    assert "is proven ahead of plain" in final_of("poc").follows.en
    assert final_config({}, final_of("poc")).epochs == 9
    assert chosen(samix=proven, samix_p=proven) == "none"  # they are not free
    assert chosen(mixup={**proven, "seeds": 1}) == "none"
    assert chosen(mixup={"gain": 0.9, "p_holm": 0.01}) == "none"
    assert chosen(mixup={"gain": 3.0, "p_holm": 0.06}) == "none"
    assert chosen(mixup={"gain": -3.0, "p_holm": 0.01}) == "none"


def test_a_study_of_few_labels_still_leads_to_a_model_of_all(poc):
    study = yaml.safe_load(Path("poc/poc.yaml").read_text())
    study["plan"] |= {"labels": [20], "fractions": [0.4], "long_labels": [20]}
    Path("poc/poc.yaml").write_text(yaml.safe_dump(study))
    write_findings("use-simple", "mixup")
    config = final_config({}, final_of("poc"))
    assert (config.label_fraction, config.epochs) == (None, 4)


def test_after_self_supervised_learning_it_starts_from_the_pretraining(poc, capsys):
    write_findings("adopt", "samix", "self-supervised")
    assert main(["train", "--from-poc", "poc", "--epochs", "1", "--output", "run"]) == 0
    out = capsys.readouterr().out
    assert "cells/self-supervised/samix-s3" in out
    assert "by a linear probe with 45 labels" in out
    assert "No test photo was learned from" not in out  # there is none
    config = read_config(open_run("run"))
    assert isinstance(config, TrainConfig)
    assert (config.policy, config.init) == ("samix", config.mixer_from)
    assert str(config.init).endswith("poc/cells/self-supervised/samix-s3")
    assert (config.lr, config.mixer_lr) == (pytest.approx(0.01), pytest.approx(0.02))
    write_findings("not-proven", "samix", "self-supervised")
    config = final_config({}, final_of("poc"))
    assert str(config.init).endswith("none-s3")
    assert (config.policy, config.epochs) == ("none", 5)
    shutil.rmtree("poc/cells/self-supervised/none-s3")
    said = complaint(["train", "--from-poc", "poc"], capsys)
    assert "none-s3' has no model.json" in said
    assert "samix poc --resume" in said


def test_options_come_before_those_of_the_study(poc, capsys):
    write_findings("adopt", "samix")
    final = final_of("poc")
    config = final_config({"policy": "cutmix", "alpha": 0.5, "lr": 0.2, "final": False}, final)
    assert (config.policy, config.lr, config.final) == ("cutmix", 0.2, False)
    assert config.policy_options == {"alpha": 0.5}
    config = final_config({"policy_options": ["lam_margin=0.1"], "epochs": 7}, final)
    assert config.policy_options == {"alpha": 2.0, "lam_margin": 0.1}
    assert (config.epochs, config.validate_every) == (7, None)
    config = final_config({"model_kwargs": ["drop_path_rate=0.1"]}, final)
    assert set(config.model_kwargs) == {"layers", "channels", "drop_path_rate"}
    config = final_config({"backbone": "resnet34", "batch_size": 8}, final)
    assert (config.model_kwargs, config.shrink_batch) == ({}, False)
    words = ["--policy", "none", "--no-final", "--epochs", "1", "--output", "run"]
    assert main(["train", "--from-poc", "poc", *words]) == 0
    out = capsys.readouterr().out
    given = re.search(r"What was given comes before it: (.*)\.", out).group(1)
    assert set(given.split(", ")) == {"--policy", "--epochs", "--final"}
    assert "Test: " in out
    assert parts_of("run/splits.csv") == poc


def test_a_guard_is_left_out_where_nothing_is_mixed(poc):
    study = yaml.safe_load(Path("poc/poc.yaml").read_text())
    study["train"]["guard"] = {"share": 0.4}
    Path("poc/poc.yaml").write_text(yaml.safe_dump(study))
    write_findings("use-simple", "mixup")
    assert final_config({}, final_of("poc")).guard == {"share": 0.4}
    assert final_config({"policy": "none"}, final_of("poc")).guard is None
    write_findings("use-simple", "none-long")
    assert final_config({}, final_of("poc")).guard is None


def test_what_is_no_finished_study_is_refused(poc, capsys):
    def said(*words: str) -> str:
        return complaint(["train", "--from-poc", *(words or ("poc",))], capsys)

    Path("empty").mkdir()
    assert "'empty' is no folder of samix poc" in said("empty")
    assert "'nowhere' is no folder of samix poc" in said("nowhere")
    assert "has no findings.json" in (text := said())
    assert "samix poc --resume --output poc" in text
    Path("poc/findings.json").write_text("{")
    assert "findings.json' cannot be read" in said()
    write_findings("perhaps", "samix")
    assert "unknown verdict 'perhaps'" in said()
    write_findings("use-simple", "cutmix")
    assert "no supervised training of 'cutmix'" in said()
    Path("poc/findings.json").write_text(
        json.dumps({**findings_of("adopt", "samix"), "version": 2})
    )
    assert "version 2, expected 1" in said()
    write_findings("adopt", "samix")
    assert "--preset" in said("poc", "--preset", "small-resnet")
    assert "give --resume --output RUN alone" in said("poc", "--resume", "--output", "run")
    assert "'cutmics'" in said("poc", "--policy", "cutmics")
    Path("poc/poc.yaml").write_text("version: 7")
    assert "has version 7" in said()
    assert not Path("runs").exists()


def test_photos_that_have_moved_are_named_by_data(made, poc, capsys):
    write_findings("use-simple", "mixup")
    study = yaml.safe_load(Path("poc/poc.yaml").read_text())
    study["train"]["data"] = "/no/such/folder"
    Path("poc/poc.yaml").write_text(yaml.safe_dump(study))
    assert "'/no/such/folder'" in complaint(["train", "--from-poc", "poc"], capsys)
    words = [str(made / "parts"), "--from-poc", "poc", "--epochs", "1", "--output", "run"]
    assert main(["train", *words]) == 0
    write_demo("others", DemoOptions(photos_per_class=11, size=16))
    said = complaint(["train", "others", "--from-poc", "poc"], capsys)
    assert "written for other photos" in said


def test_a_final_run_alone_and_what_comes_after_it(made, capsys):
    """Without a study; a later run does not take its split for one with unseen test photos."""
    shutil.copytree(made / "parts", "parts")
    words = [*TINY, "--policy", "none"]
    assert main(["train", "parts", *words, "--final", "--output", "first"]) == 0
    assert "test photos are learned from too" in capsys.readouterr().out
    assert main(["train", "parts", *words, "--init", "first", "--output", "second"]) == 0
    out = capsys.readouterr().out
    assert "test photos were learned from in" in out
    assert "of them the test says more than is true" in out
    said = complaint(["explain", "first", "--output", "seen"], capsys)
    assert "the test part of the run has 0 photos" in said
