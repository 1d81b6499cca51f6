from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from samix.cli import main
from samix.errors import InputError
from samix.training import train

_CONVNEXT = {"depths": [1, 1, 1, 1], "dims": [4, 8, 8, 8]}


def weights(run: Path) -> dict[str, torch.Tensor]:
    state = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    return {k: v for k, v in state.items() if k.startswith("method.encoder")}


@pytest.mark.slow
def test_two_processes_equal_one_with_the_whole_batch(tiny, tmp_path):
    """A network with layer norm, so that a batch's halves do not change what is computed."""
    options = {"backbone": "convnext_atto", "model_kwargs": _CONVNEXT, "optimizer": "adamw"}
    options |= {"lr": 1e-3, "policy": "none", "augmentation": "none", "epochs": 2}
    one = train(tiny(**options, output=str(tmp_path / "one")))
    two = train(tiny(**options, output=str(tmp_path / "two"), devices=2))
    assert one.metrics["cost"]["steps"] == two.metrics["cost"]["steps"] == 6
    reference = weights(one.run.path)
    for name, value in weights(two.run.path).items():
        assert torch.allclose(value, reference[name], atol=2e-5), name
    for part in ("val", "test"):
        single, double = (r.metrics[part]["encoder"] for r in (one, two))
        assert double["top1"] == single["top1"]
        assert double["nll"] == pytest.approx(single["nll"], abs=1e-4)


@pytest.mark.slow
def test_command_line_trains_samix_in_two_processes(tmp_path, capfd):
    """Files 1 and 2 are looked at, to which the processes that are started write as well."""
    output = tmp_path / "run"
    words = f"""
        train demo:photos_per_class=20,size=16 --image-size 16 --batch-size 24 --epochs 2
        --model-kwargs layers=[1,1,1,1] channels=[8,8,8,8] --devices 2 --device cpu
        --output {output}
    """.split()
    code = main(words)
    said, complaint = capfd.readouterr()
    assert code == 0, complaint
    assert complaint == ""
    assert said.count("epoch 2/2") == 1
    metrics = json.loads((output / "metrics.json").read_text())
    assert metrics["cost"]["processes"] == 2
    assert set(metrics["test"]) == {"encoder", "average"}


def test_a_batch_that_cannot_be_shared_is_refused(tiny):
    with pytest.raises(InputError, match="batch_size=25 cannot be shared by 2"):
        train(tiny(batch_size=25, devices=2))


def test_machines_need_a_launcher(tiny, monkeypatch):
    monkeypatch.delenv("RANK", raising=False)
    with pytest.raises(InputError, match="torchrun"):
        train(tiny(nodes=2))
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "4")
    with pytest.raises(InputError, match="started 4 processes"):
        train(tiny(devices=2))
