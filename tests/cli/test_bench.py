from __future__ import annotations

import json
from pathlib import Path

import pytest

from samix.cli import main
from samix.cli.running import chosen_machine
from samix.evaluation.cost import measure
from samix.evaluation.cost.numbers import PeakMemory

from .test_train import complaint, somewhere_else  # noqa: F401

_TINY = (
    "bench --backbone resnet18 --stem small --image-size 16 --model-kwargs layers=[1,1,1,1] "
    "channels=[16,16,16,16] --batch-size 4 --steps 2 --warmup 1 --threads 1 --device cpu"
)
TINY = _TINY.split()
QUICK = [*TINY, "--no-memory", "--settings", "none"]


@pytest.fixture
def known_memory(monkeypatch):
    """Peak memory without fresh processes: 40 MiB, and 10 MiB of weights more with a Mixer."""

    def measured(setting: str, *_: object, **__: object) -> PeakMemory:
        return PeakMemory((20 if "samix" in setting else 10) * 2**20, 30 * 2**20)

    monkeypatch.setattr(measure, "measure_memory", measured)
    monkeypatch.setattr(measure, "why_unmeasured", lambda device: None)


def test_a_whole_run_with_an_estimate(known_memory, capsys):
    words = ["--settings", "none,samix-fast", "samix-full+clean", "--images", "1000"]
    money = ["--epochs", "3", "--price", "1.5", "--currency", "EUR", "--power", "200"]
    assert main([*TINY, *words, *money, "--output", "costs"]) == 0
    out = capsys.readouterr().out
    assert {path.name for path in Path("costs").iterdir()} == {"bench.json", "bench.html"}
    record = json.loads(Path("costs/bench.json").read_text())
    names = ["plain", "plain channels-last", "none", "samix-fast", "samix-full + clean branch"]
    rows = record["rows"]
    assert list(rows) == names
    assert rows["plain"]["time_ratio"] == 1.0
    for row in rows.values():
        assert len(row["seconds"]) == 2
        assert row["images_per_second"] == pytest.approx(4 * 2 / sum(row["seconds"]))
        assert row["time_ratio_to_faster_plain"] >= row["time_ratio"]
    assert rows["samix-fast"]["memory_ratio"] == 1.25
    run = record["estimate"]["rows"]["samix-fast"]
    assert run["hours"] == pytest.approx(3000 / rows["samix-fast"]["images_per_second"] / 3600)
    assert run["money"] == pytest.approx(1.5 * run["hours"])
    assert run["kilowatt_hours"] == pytest.approx(0.2 * run["hours"])
    assert record["workload"]["backbone"] == "resnet18"
    assert record["versions"]["torch"]
    assert record["machine"]["threads"] == 1
    assert record["command"]
    assert record["steps"] == 2
    for word in (*names[1:4], "images/s", "MiB", "EUR", "kWh", "1,000 images, 3 epochs",
                 "samix-fast takes", record["summary"], "Only 2 steps", "costs/bench.json",
                 "costs/bench.html"):  # fmt: skip
        assert word in out
    page = Path("costs/bench.html").read_text("utf-8")
    assert page.count('role="img"') == 3  # time, memory, a whole run
    assert "通常学習比" in page


def test_a_run_of_a_self_supervised_method_takes_free_names(capsys):
    words = ["--method", "moco", "--settings", "mixco", "--no-memory", "--no-channels-last"]
    for _ in range(2):
        assert main([*TINY, *words]) == 0
    out = capsys.readouterr().out
    assert "mixco takes" in out
    assert "MiB" not in out
    record = json.loads(Path("runs/bench-resnet18-2/bench.json").read_text())
    assert list(record["rows"]) == ["plain", "mixco"]
    assert record["faster_plain"] == "plain"
    assert "estimate" not in record


def test_plain_training_alone_and_low_precision(capsys):
    assert main([*QUICK[:-1], "plain", "--precision", "bf16"]) == 0
    out = capsys.readouterr().out
    assert "Plain training processes" in out
    record = json.loads(Path("runs/bench-resnet18/bench.json").read_text())
    assert record["machine"]["precision"] == "bfloat16"
    assert chosen_machine({"precision": "auto", "device": "cpu"}).device == "cpu"


BAD = [
    (["--settings", "cutmics"], ["cutmics", "'cutmix'"]),
    (["--settings", "samix"], ["'samix'", "samix-full"]),
    (["--settings", "mixco"], ["mixco", "--method moco"]),
    (["--settings", "."], ["'.'", "not that of a pre-trained Mixer"]),
    (["--batch-size", "0"], ["--batch-size", "at least 2", "0"]),
    (["--image-size", "0"], ["--image-size", "0"]),
    (["--image-size", "1"], ["--image-size 1", "1 x 1"]),
    (["--classes", "1"], ["--classes", "1"]),
    (["--classes", "5", "--method", "byol", "--settings", "none"], ["--classes", "byol"]),
    (["--method", "mocco"], ["mocco", "'moco'"]),
    (["--backbone", "resnet81"], ["resnet81", "'resnet18'"]),
    (["--stem", "big"], ["--stem", "big"]),
    (["--model-kwargs", "layers"], ["KEY=VALUE", "layers"]),
    (["--model-kwargs", "wings=2"], ["wings"]),
    (["--steps", "1"], ["--steps", "1"]),
    (["--steps", "many"], ["--steps", "many"]),
    (["--step", "40"], ["--step", "--steps"]),
    (["--warmup", "0"], ["--warmup", "0"]),
    (["--threads", "0"], ["--threads", "0"]),
    (["--seed", "-1"], ["--seed", "-1"]),
    (["--device", "tpu"], ["tpu", "cpu"]),
    (["--precision", "8"], ["--precision", "8"]),
    (["--precision", "16"], ["--precision 16", "CPU"]),
    (["--price", "2"], ["--price 2", "--images"]),
    (["--power", "200", "--images", "9"], ["--epochs"]),
    (["--images", "9"], ["--images 9", "--epochs"]),
    (["--images", "0", "--epochs", "1"], ["--images", "0"]),
    (["--images", "9", "--epochs", "1", "--price", "-1"], ["--price", "-1"]),
    (["--images", "9", "--epochs", "1", "--power", "nan"], ["--power", "nan"]),
    (["--currency", "EUR"], ["--currency EUR", "--price"]),
    (["--output", "full"], ["full", "exists"]),
    (["--output", "full/file/x"], ["full/file/x", "cannot be written"]),
]


@pytest.mark.parametrize(("words", "named"), BAD, ids=lambda v: " ".join(v)[:40])
def test_bad_input_is_refused_in_one_sentence(words, named, capsys):
    Path("full").mkdir()
    Path("full/file").write_text("something")
    said = complaint([*TINY, "--no-memory", "--settings", "samix-full", *words], capsys)
    for word in named:
        assert word in said
    assert not any(Path("runs").glob("*"))


def test_memory_that_runs_out_or_cannot_be_measured_is_told(monkeypatch, capsys):
    def short(step: object) -> float:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9")

    with monkeypatch.context() as patch:
        patch.setattr(measure, "timed", short)
        assert "--batch-size 4" in complaint(QUICK, capsys)
    monkeypatch.setattr(measure, "why_unmeasured", lambda device: "this system does not tell")
    said = complaint([*TINY, "--settings", "none", "--memory"], capsys)
    assert "this system does not tell" in said
    assert not any(Path("runs").glob("*"))
    assert main([*TINY, "--settings", "none"]) == 0
    assert "No memory: this system does not tell." in capsys.readouterr().out


def test_an_interrupted_run_leaves_nothing(monkeypatch, capsys):
    def interrupt(step: object) -> float:
        raise KeyboardInterrupt

    monkeypatch.setattr(measure, "timed", interrupt)
    assert main(QUICK) == 130
    assert "interrupted" in capsys.readouterr().err
    assert not any(Path("runs").glob("*"))


def test_a_missing_extra_of_self_supervised_methods_is_named(monkeypatch, capsys):
    def missing(*_: object, **__: object) -> None:
        raise ModuleNotFoundError("No module named 'lightly'", name="lightly")

    monkeypatch.setattr(measure, "refuse_unusable", missing)
    said = complaint([*QUICK, "--method", "moco"], capsys)
    assert "pip install 'samix[ssl]'" in said


def test_help_explains_settings_and_every_option(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["bench", "--help"])
    assert stopped.value.code == 0
    text = capsys.readouterr().out
    for word in ("samix-fast", "plain", "--price", "--channels-last", "--threads", "--memory"):
        assert word in text
