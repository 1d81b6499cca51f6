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


def images_and_network(momentum: float = 0.1) -> tuple[torch.Tensor, nn.Sequential]:
    torch.manual_seed(0)
    encoder = nn.Sequential(
        nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4, momentum=momentum), nn.Flatten(), nn.Linear(16, 2)
    )
    return 5.0 + torch.randn(8, 3, 2, 2), encoder


def test_fresh_statistics_are_not_judged_by() -> None:
    """Until the averaged ones fit, the statistics of the batch are used, and nothing is changed."""
    images, encoder = images_and_network()
    average = MomentumEncoder(encoder)
    assert average.uses_batch
    before = {name: value.clone() for name, value in average.state_dict().items()}
    wanted = encoder.train()(images)  # also moves the encoder's own statistics
    assert torch.allclose(average(images), wanted, atol=1e-6)
    assert not any(module.training for module in average.module.modules())
    for name, value in average.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert torch.isfinite(average(images[:1])).all()  # one image has no statistics of a batch


def test_the_average_judges_by_its_own_statistics_once_they_fit() -> None:
    images, encoder = images_and_network()
    average = MomentumEncoder(encoder)
    steps = 0
    while average.uses_batch:
        encoder.train()(images)
        average.update(encoder, 0.9)
        steps += 1
        assert steps < 1000
    assert 40 < steps < 200  # 0.9^44 is 1 %, in the encoder's statistics alone
    wanted = average.module.eval()(images)
    assert torch.equal(average(images), wanted)
    # what is left is part of the state: a resumed run goes on as it would have
    resumed = MomentumEncoder(images_and_network()[1])
    assert resumed.uses_batch
    resumed.load_state_dict(average.state_dict())
    assert not resumed.uses_batch


def test_trained_statistics_are_judged_by_at_once() -> None:
    images, encoder = images_and_network()
    for _ in range(60):
        encoder.train()(images)
    assert not MomentumEncoder(encoder).uses_batch
    # and where a copy of fresh ones is replaced by a trained network
    fresh = MomentumEncoder(images_and_network()[1])
    fresh.update(encoder, 0.0)
    assert not fresh.uses_batch


def test_statistics_can_be_chosen() -> None:
    images, encoder = images_and_network()
    assert not MomentumEncoder(encoder, statistics="averaged").uses_batch
    always = MomentumEncoder(encoder, statistics="batch")
    for _ in range(60):
        encoder.train()(images)
        always.update(encoder, 0.0)
    assert always.uses_batch
    with pytest.raises(ValueError, match="teacher_statistics: expected one of auto, averaged"):
        MomentumEncoder(encoder, statistics="old")  # type: ignore[arg-type]
    assert not MomentumEncoder(nn.Linear(2, 2)).uses_batch
