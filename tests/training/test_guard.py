"""A guard in whole runs."""

import csv
import json
import signal

import pytest

from samix.errors import InputError
from samix.training import pretrain, resume, train
from samix.training.callbacks import EpochKeeper
from samix.training.progress import TrainingInterrupted

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
    page = result.run.page.read_text("utf-8")
    assert "What the guard did" in page
    assert "ガードの動作" in page
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
