from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from samix.cli import main
from samix.training import PretrainConfig, open_run, pretrain, read_config, resume
from samix.training.callbacks import load_method
from samix.training.prepare import prepare
from samix.training.run_folder import RunFolder
from samix.training.task import Place

from .conftest import TINY
from .test_resume import Breaks, assert_same_run, rows_of

Make = Callable[..., PretrainConfig]
_WORDS = (
    "demo:photos_per_class=20,size=16 --image-size 16 --batch-size 24 --method-options "
    "queue_size=64 --model-kwargs layers=[1,1,1,1] channels=[8,8,8,8] drop_path_rate=0.2 "
    "--device cpu"
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run of `tiny_pretrain` that nothing broke."""
    output = tmp_path_factory.mktemp("whole") / "run"
    own = {"method_options": {"queue_size": 64}, "output": str(output), "workers": 0}
    return pretrain(PretrainConfig(**{**TINY, **own})).run


@pytest.mark.parametrize("workers", [0, 2])
def test_broken_and_resumed_with_any_number_of_workers(
    tiny_pretrain: Make, whole: RunFolder, tmp_path: Path, workers: int
) -> None:
    broken = tiny_pretrain(output=str(tmp_path / "broken"), workers=workers)
    with pytest.raises(OSError, match="no space"):
        pretrain(broken, display=Breaks(2))  # the queue has been filled more than once
    torch.rand(7)  # another state of the global generator must not matter
    resume(str(broken.output))
    state = torch.load(whole.last, weights_only=True)["state_dict"]
    assert "method.queue.keys" in state
    assert state["method.queue._extra_state"].tolist() == [3 * 72 % 64, 3 * 72]
    assert_same_run(whole.path, Path(str(broken.output)))


@pytest.mark.slow
def test_command_line_pretrains_in_two_processes(tmp_path: Path, capfd: Any) -> None:
    """Files 1 and 2 are looked at, to which the processes that are started write as well."""
    output = tmp_path / "run"
    words = [*_WORDS.split(), "--epochs", "2", "--devices", "2", "--stem", "small"]
    code = main(["pretrain", *words, "--output", str(output)])
    said, complaint = capfd.readouterr()
    assert code == 0, complaint
    assert complaint == ""
    assert said.count("epoch 2/2") == 1
    metrics = json.loads((output / "metrics.json").read_text())
    assert metrics["cost"]["processes"] == 2
    # what two processes measured together is what one measures with the same weights
    run = open_run(output)
    prepared = prepare(read_config(run), run=run)
    load_method(run.last, prepared)
    assert prepared.method.queue is not None
    assert prepared.method.queue.seen == 2 * 72
    alone = prepared.task.measure(Place("cpu"))
    row = rows_of(output)[-1]
    for name in ("held_out_loss", "mixer_mask_deviation"):
        assert alone[name] == pytest.approx(float(row[name]), rel=1e-3), name
    # each process has batch statistics of its own, so that a neighbour may change for a photo of 24
    assert alone["knn_top1"] == pytest.approx(float(row["knn_top1"]), abs=1.01 / 24)
