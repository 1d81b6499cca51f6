"""A guard and an unmixed control in whole runs."""

import csv
import json
import signal

import pytest
import torch

from samix.errors import InputError
from samix.training import pretrain, resume, train
from samix.training.control import Control, less_mixing, open_control
from samix.training.interrupt import TrainingInterrupted
from samix.training.keeper import EpochKeeper

GUARD = {"good": ["good"], "share": 0.6}


def test_a_run_counts_what_its_guard_did(tiny):
    result = train(tiny(policy="cutmix", guard=GUARD))
    counts = result.metrics["guard"]
    assert counts["mixes"] == sum(pair["mixes"] for pair in counts["pairs"]) > 0
    assert counts["accepted"] < 1
    assert counts["accepted"] + sum(
        counts[name] for name in ("partner", "mask", "label", "mixup", "clean")
    ) == pytest.approx(1.0)
    rows = list(csv.DictReader(result.run.history.open()))
    assert float(rows[-1]["guard_accepted"]) == pytest.approx(counts["accepted"])
    assert float(rows[-1]["guard_broke_visibility"]) == pytest.approx(
        counts["broken"]["visibility"]
    )
    assert result.run.guard.is_file()
    assert json.loads(result.run.metrics.read_text())["guard"] == counts


def test_a_resumed_run_counts_as_one_that_was_not_stopped(tiny, tmp_path, monkeypatch):
    whole = train(tiny(policy="cutmix", guard=GUARD, output=str(tmp_path / "whole")))

    def stop_in_second(self, trainer, module, batch, batch_idx):
        if trainer.current_epoch == 1 and batch_idx == 1:
            raise TrainingInterrupted(signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(EpochKeeper, "on_train_batch_start", stop_in_second)
        stopped = train(tiny(policy="cutmix", guard=GUARD))
    assert stopped.status == "interrupted"
    assert stopped.metrics["guard"]["mixes"] < whole.metrics["guard"]["mixes"]
    resumed = resume(stopped.run.path)
    assert resumed.metrics["guard"] == whole.metrics["guard"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"guard": {"good": ["god"]}}, "the nearest is 'good'"),
        ({"guard": {}, "policy": "none"}, "nothing to check"),
        ({"guard": {"saliency": "given"}}, "loop of one's own"),
        ({"guard": {"shar": 0.5}}, "nearest is 'share'"),
    ],
)
def test_a_guard_that_cannot_be_is_refused_before_training(tiny, changes, message):
    with pytest.raises(InputError, match=message):
        train(tiny(**{"policy": "cutmix", **changes}))


def test_attention_and_plausibility_ask_the_momentum_encoder(tiny):
    guard = {"saliency": "attention", "plausibility": 0.2}
    result = train(tiny(policy="cutmix", guard=guard, epochs=1))
    assert set(result.metrics["guard"]["broken"]) == {"visibility", "plausibility"}
    assert set(result.metrics["test"]) == {"encoder", "average"}


def test_a_guard_works_without_labels(tiny_pretrain):
    result = pretrain(tiny_pretrain(policy="cutmix", guard={}, epochs=1))
    assert result.metrics["guard"]["mixes"] > 0
    assert "pairs" not in result.metrics["guard"]
    with pytest.raises(InputError, match="photos with classes"):
        pretrain(tiny_pretrain(policy="cutmix", guard={"good": ["good"]}, output=None))


def rows_of(*values, steps=10):
    return [{"step": i + 1, "val_balanced_accuracy": v} for i, v in enumerate(values)]


def test_mixing_is_reduced_and_stopped_where_the_control_is_ahead():
    control = Control("control", (0.1, 0.5, 1.0), (0.3, 0.6, 0.7), margin=0.05)
    assert control.reached(0.05) is None
    assert control.reached(0.6) == 0.6
    assert less_mixing(control, rows_of(0.26), 1.0, 10) == 1.0  # within the margin
    assert less_mixing(control, rows_of(0.2), 1.0, 10) == 0.5
    assert less_mixing(control, rows_of(0.2, 0.2), 0.5, 10) == 0.25
    assert less_mixing(control, rows_of(0.2, 0.2), 0.25, 10) == 0.0
    assert (
        less_mixing(control, rows_of(0.56, 0.5, 0.5, 0.5, 0.5), 1.0, 10) == 1.0
    )  # its best counts
    assert less_mixing(control, rows_of(0.2), 1.0, 100) == 1.0  # too early to tell


def test_a_run_behind_its_control_mixes_less_and_says_so(tiny, tmp_path):
    from tests.training.test_runner import Recorder

    control = train(tiny(policy="none", output=str(tmp_path / "control"))).run
    history = control.history.read_text().splitlines()
    place = history[0].split(",").index("val_balanced_accuracy")
    ahead = [line.split(",") for line in history[1:]]
    for line in ahead:
        line[place] = "0.9"
    control.history.write_text("\n".join([history[0], *map(",".join, ahead)]) + "\n")
    display = Recorder()
    result = train(tiny(policy="mixup", control=str(control.path)), display=display)
    rows = list(csv.DictReader(result.run.history.open()))
    assert [float(row["mix_share"]) for row in rows] == [1.0, 0.5, 0.25]
    assert any("Mixing is stopped" in line for line in display.said)
    state = torch.load(result.run.last, weights_only=True)["state_dict"]
    assert float(state["method.share._extra_state"]) == 0.0


def test_a_control_must_be_an_unmixed_run_on_the_same_photos(tiny, tmp_path):
    mixed = train(tiny(policy="mixup", epochs=1, output=str(tmp_path / "mixed"))).run
    with pytest.raises(InputError, match="give a run of policy none"):
        open_control(tiny(control=str(mixed.path)))
    plain = train(tiny(policy="none", epochs=1, output=str(tmp_path / "plain"))).run
    with pytest.raises(InputError, match="another data"):
        open_control(tiny(control=str(plain.path), data="demo"))
    with pytest.raises(InputError):
        open_control(tiny(control=str(tmp_path / "nothing")))
