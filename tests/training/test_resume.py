from __future__ import annotations

import csv
import io
import os
import shutil
import signal
import time
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest
import torch
from PIL import Image

from samix.cli import main
from samix.errors import InputError
from samix.training import Silent, TrainConfig, pretrain, read_config, resume, train
from samix.training.run_folder import open_run
from tests.forked import Command

from .conftest import TINY

_WORDS = (
    "demo:photos_per_class=20,size=16 --preset small-resnet --image-size 16 --batch-size 24 "
    "--model-kwargs layers=[1,1,1,1] channels=[8,8,8,8] drop_path_rate=0.2 --lr 0.05 --device cpu "
    "--epochs 8"
)
_TIMES = {"seconds", "train_seconds", "images_per_second", "waiting_share"}


def start(output: Path, workers: int = 0) -> Command:
    words = ["train", *_WORDS.split(), "--output", str(output), "--workers", str(workers)]
    return Command(*words, before=os.setpgrp)


def wait_for_epochs(process: Command, output: Path, epochs: int) -> None:
    deadline = time.monotonic() + 300
    while not (output / "history.csv").exists() or len(rows_of(output)) < epochs:
        assert process.returncode is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)


def rows_of(output: Path) -> list[dict[str, str]]:
    with (output / "history.csv").open() as file:
        return [{k: v for k, v in row.items() if k not in _TIMES} for row in csv.DictReader(file)]


def assert_same_run(one: Path, other: Path) -> None:
    """Weights, optimiser, averages, counters and history are equal bit for bit."""
    first, second = (
        torch.load(path / "checkpoints" / "last.ckpt", weights_only=True) for path in (one, other)
    )
    assert first["state_dict"].keys() == second["state_dict"].keys()
    for name, value in first["state_dict"].items():
        assert torch.equal(value, second["state_dict"][name]), name
    states = [c["optimizer_states"][0]["state"] for c in (first, second)]
    assert states[0].keys() == states[1].keys() != set()
    for key, state in states[0].items():
        assert state.keys() == states[1][key].keys() != set()
        for name, value in state.items():
            assert torch.equal(value, states[1][key][name]), name
    assert rows_of(one) == rows_of(other)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> Path:
    output = tmp_path_factory.mktemp("undisturbed") / "run"
    torch.set_num_threads(1)  # as in the processes that it is compared with
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        assert main(["train", *_WORDS.split(), "--output", str(output), "--workers", "0"]) == 0
    assert "top-1" in out.getvalue()
    assert err.getvalue() == ""
    return output


@pytest.mark.parametrize(
    ("number", "workers", "code"), [(signal.SIGINT, 0, 130), (signal.SIGTERM, 2, 143)]
)
def test_a_signal_stops_cleanly_and_the_run_can_be_resumed(
    undisturbed, tmp_path, number, workers, code
):
    """The signal goes to the whole group, with the processes that read photos, which go on."""
    output = tmp_path / "run"
    process = start(output, workers)
    wait_for_epochs(process, output, 1)
    os.killpg(process.pid, number)
    out, err = process.communicate(timeout=300)
    assert process.returncode == code
    assert "Traceback" not in err + out
    assert f"samix train --resume --output {output}" in out
    assert '"status": "interrupted"' in (output / "metrics.json").read_text()
    torch.set_num_threads(1)
    torch.rand(7)  # another state of the global generator must not matter
    result = resume(output)
    assert result.metrics["epochs"] == {"done": 8, "planned": 8}
    assert result.metrics["cost"]["seconds"] < 60
    assert_same_run(undisturbed, output)


class Breaks(Silent):
    """Fails after some epochs, as a full disk would."""

    def __init__(self, epochs: int) -> None:
        self.left = epochs

    def say(self, text: str) -> None:
        self.left -= text.startswith("epoch")
        if self.left == 0:
            raise OSError("no space left")


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """A run of `tiny` that nothing broke."""
    output = tmp_path_factory.mktemp("whole") / "run"
    return train(TrainConfig(**TINY, output=str(output), workers=0)).run.path


@pytest.mark.parametrize("workers", [0, 2])
def test_broken_and_resumed_with_any_number_of_workers(tiny, whole, tmp_path, workers):
    broken = tiny(output=str(tmp_path / "broken"), workers=workers)
    with pytest.raises(OSError, match="no space"):
        train(broken, display=Breaks(1))
    resume(broken.output)
    assert_same_run(whole, Path(broken.output))


@pytest.mark.parametrize("change", ["class of a photo", "name of a class", "photos"])
@pytest.mark.parametrize("kind", ["train", "pretrain"])
def test_a_run_does_not_go_on_with_others(tiny, tiny_pretrain, tmp_path, change, kind):
    """What was mended meanwhile: half of the epochs would be learned from each."""
    (tmp_path / "photos").mkdir()
    names = [f"{i}.png" for i in range(40)]
    for i, name in enumerate(names):
        Image.new("RGB", (16, 16), (i * 6, i % 2 * 200, 255 - i)).save(tmp_path / "photos" / name)
    labels = ["good" if i % 2 else "crack" for i in range(40)]

    def write(labels: list[str]) -> None:
        rows = [f"{name},{label}\n" for name, label in zip(names, labels, strict=True)]
        (tmp_path / "labels.csv").write_text("path,label\n" + "".join(rows))

    write(labels)
    own = {"data": str(tmp_path / "photos"), "labels": str(tmp_path / "labels.csv")}
    make, begin = (tiny, train) if kind == "train" else (tiny_pretrain, pretrain)
    config = make(epochs=2, batch_size=8, duplicates="ignore", policy="none", **own)
    with pytest.raises(OSError, match="no space"):
        begin(config, display=Breaks(1))
    kept = shutil.copytree(tmp_path / "photos", tmp_path / "kept")
    said = "1 of 40 photos have other labels"
    if change == "class of a photo":
        write(["good", *labels[1:]])
    elif change == "name of a class":
        write([label.replace("good", "whole") for label in labels])
        said = "20 of 40 photos have other labels"
    else:
        for name in names[:10]:
            Image.new("RGB", (16, 16), "white").save(tmp_path / "photos" / name)
        said = r"10 of 40 photos are others \(such as '0.png'\) than when it began; give the ph"
    with pytest.raises(InputError, match=said):
        resume(config.output)
    write(labels)
    shutil.copytree(kept, tmp_path / "photos", dirs_exist_ok=True)
    assert resume(config.output).metrics["epochs"] == {"done": 2, "planned": 2}


def test_resuming_a_finished_run_changes_nothing(tiny):
    result = train(tiny(epochs=1, policy="none"))
    before = result.run.last.read_bytes()
    again = resume(result.run.path)
    assert again.metrics == result.metrics
    assert result.run.last.read_bytes() == before


def test_configuration_comes_from_the_folder(undisturbed):
    config = read_config(open_run(undisturbed))
    assert (config.epochs, config.batch_size, config.preset) == (8, 24, "small-resnet")
    assert config.policy_options == {"alpha": 2.0}
