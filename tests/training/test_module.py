from __future__ import annotations

from itertools import pairwise
from types import SimpleNamespace

import pytest
import torch

from samix.evaluation.finetune import lr_factor
from samix.training import TrainConfig
from samix.training.module import MethodModule, create_optimizer, create_schedule
from samix.training.prepare import resolve


def test_rises_linearly_then_falls_as_a_cosine():
    factors = [lr_factor(step, 100, rise=10) for step in range(101)]
    assert factors[0] == pytest.approx(1 / 11)
    assert factors[9] == pytest.approx(10 / 11)
    assert factors[10] == max(factors) == 1.0
    assert factors[55] == pytest.approx(0.5)
    assert factors[100] == pytest.approx(0.0)
    assert all(a >= b for a, b in pairwise(factors[10:]))


def test_ends_at_the_final_share_and_stays_there():
    assert lr_factor(0, 10, rise=0, final=0.5) == 1.0
    assert lr_factor(10, 10, rise=0, final=0.5) == pytest.approx(0.5)
    assert lr_factor(99, 10, rise=0, final=0.5) == pytest.approx(0.5)
    assert 0 < lr_factor(0, 1, rise=1) <= 1


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_groups_keep_their_own_rate(name):
    first, second = (torch.nn.Parameter(torch.zeros(1)) for _ in range(2))
    groups = [{"params": [first], "lr": 0.4}, {"params": [second], "lr": 0.1}]
    config = resolve(TrainConfig(data="demo", device="cpu", optimizer=name, warmup=0.0))
    optimizer = create_optimizer(groups, config)
    schedule = create_schedule(optimizer, config, steps=4)
    for _ in range(2):
        optimizer.step()
        schedule.step()
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.2, 0.05])


@pytest.mark.parametrize("accumulate", [1, 2, 3, 100])
def test_the_last_batches_of_an_epoch_count_in_full(accumulate):
    task = SimpleNamespace(
        method=torch.nn.Linear(1, 1),
        batches=range(5),
        step=lambda batch: SimpleNamespace(loss=batch[0].sum(), terms={}),
    )
    config = TrainConfig(data="demo", accumulate=accumulate)
    module = MethodModule(task, config, steps=1, record={})
    # lightning divides what training_step returns by accumulate
    shares = [float(module.training_step((torch.ones(1),), at)) / accumulate for at in range(5)]
    for first in range(0, 5, accumulate):
        assert sum(shares[first : first + accumulate]) == pytest.approx(1.0)
