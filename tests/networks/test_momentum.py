from __future__ import annotations

import pytest
import torch
from torch import nn

from samix import MomentumEncoder, momentum_decay
from samix.networks import update_average


def network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))


@pytest.mark.parametrize("steps", [1, 5, 20, 100, 184, 400, 2_000, 20_000, 200_000])
def test_under_one_per_cent_of_the_initial_weights_is_left_at_the_end(steps: int) -> None:
    left = 1.0
    for step in range(steps):
        decay = momentum_decay(step, steps)
        assert 0.0 <= decay <= 1.0
        left *= decay
    assert left < 0.01
    assert momentum_decay(steps, steps) == pytest.approx(1.0)
    assert momentum_decay(steps + 10, steps) == pytest.approx(1.0)


def test_the_window_is_a_small_share_of_the_run() -> None:
    for steps in (2_000, 20_000, 200_000):
        window = 1 / (1 - momentum_decay(0, steps))
        assert 0.01 * steps <= window <= 0.02 * steps
    assert 1 / (1 - momentum_decay(0, 1_000)) == pytest.approx(20)


def test_without_a_plan_the_window_grows_with_the_run() -> None:
    left = 1.0
    for step in range(1_000):
        left *= momentum_decay(step, None)
    assert left < 0.01
    assert momentum_decay(0, None) == 0.0
    assert 1 / (1 - momentum_decay(500, None)) == pytest.approx(20)
    assert 1 / (1 - momentum_decay(100_000, None)) == pytest.approx(1_500)


def test_steps_must_be_positive() -> None:
    with pytest.raises(ValueError, match="steps: expected a number of at least 1, got 0"):
        momentum_decay(0, 0)


@pytest.mark.parametrize("decay", [0.0, 0.3, 1.0])
def test_average_of_parameters_and_buffers(decay: float) -> None:
    average, other = network(), network()
    other(torch.randn(8, 3))  # moves the statistics
    before = {name: value.clone() for name, value in average.state_dict().items()}
    update_average(average, other, decay)
    for name, value in average.state_dict().items():
        if value.is_floating_point():
            wanted = decay * before[name] + (1 - decay) * other.state_dict()[name]
            assert torch.allclose(value, wanted, atol=1e-7)
        else:
            assert torch.equal(value, other.state_dict()[name])
    if decay == 1.0:
        assert torch.equal(average[0].weight, before["0.weight"])
    if decay == 0.0:
        assert torch.equal(average[0].weight, other[0].weight)


def test_the_momentum_encoder_stays_in_eval_mode_and_takes_no_gradient() -> None:
    encoder = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
    average = MomentumEncoder(encoder)
    average.train()
    assert not any(module.training for module in average.modules())
    assert not any(parameter.requires_grad for parameter in average.parameters())
    images = torch.randn(8, 3, 2, 2, requires_grad=True)
    before = average.module[1].running_mean.clone()  # type: ignore[union-attr,operator]
    average(images).sum().backward()
    assert torch.equal(average.module[1].running_mean, before)  # type: ignore[index]
    assert images.grad is not None
    assert encoder[0].weight.grad is None
