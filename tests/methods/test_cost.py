"""What a learned policy may cost: fewer samples for the Mixer, a smaller look at the images."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from samix import SelfSupervisedMethod, SupervisedMethod, blend, create_method, eta_balanced_loss
from samix.methods import COSTS, Cost
from samix.methods.mix_step import scaled
from samix.methods.step import find_cost
from samix.networks import tap_features
from samix.policies import Evidence

SMALL: dict[str, Any] = {
    "backbone": "resnet18",
    "stem": "small",
    "model_kwargs": {"layers": (1, 1, 1, 1), "channels": (8, 8, 8, 8)},
}


def supervised(cost: str | Cost, **options: Any) -> SupervisedMethod:
    torch.manual_seed(0)
    method = create_method(
        "supervised", num_classes=4, policy="samix", cost=cost, **SMALL, **options
    )
    assert isinstance(method, SupervisedMethod)
    return method


def self_supervised(name: str, cost: str | Cost, **options: Any) -> SelfSupervisedMethod:
    torch.manual_seed(0)
    method = create_method(name, policy="samix", cost=cost, **SMALL, **options)
    assert isinstance(method, SelfSupervisedMethod)
    return method


def images(count: int = 8) -> Tensor:
    return torch.randn(count, 3, 16, 16, generator=torch.Generator().manual_seed(1))


def test_fast_is_the_default_and_full_the_paper_s_way() -> None:
    assert COSTS["full"] == Cost(mixer_share=1.0, look_scale=1.0)
    assert supervised("full").options.cost == "full"
    torch.manual_seed(0)
    default = create_method("supervised", num_classes=4, policy="samix", **SMALL)
    assert isinstance(default, SupervisedMethod)
    batch, target = images(64), torch.arange(64) % 4
    loss = default(batch, target).loss
    assert torch.equal(loss, supervised("fast")(batch, target).loss)
    assert not torch.equal(loss, supervised("full")(batch, target).loss)


@pytest.mark.parametrize(("batch", "wanted"), [(100, 25), (64, 16), (40, 16), (9, 9), (1, 1)])
def test_part_of_the_batch(batch: int, wanted: int) -> None:
    """A share, but never fewer than 16 images, nor more than there are."""
    assert Cost(mixer_share=0.25).mixer_part(batch) == wanted


def test_the_encoder_learns_the_same_at_any_share() -> None:
    """Only the Mixer's loss and gradient change."""
    batch, target = images(32), torch.arange(32) % 4
    found = {}
    for name in ("full", "fast"):
        method = supervised(name)
        step = method(batch, target)
        step.loss.backward()
        found[name] = step, {k: p.grad for k, p in method.encoder.named_parameters()}
    full, fast = found["full"], found["fast"]
    assert torch.equal(full[0].terms["encoder"], fast[0].terms["encoder"])
    assert full[0].plan is not None
    assert fast[0].plan is not None
    assert torch.equal(full[0].plan.mask, fast[0].plan.mask)
    for name, gradient in full[1].items():
        other = fast[1][name]
        assert gradient is not None
        assert other is not None
        assert torch.equal(gradient, other)
    assert not torch.equal(full[0].terms["mixer"], fast[0].terms["mixer"])


def test_the_mixer_s_part_against_an_independent_calculation() -> None:
    cost = Cost(mixer_share=0.5, look_scale=0.5)
    method = supervised(cost, teacher_statistics="averaged", clean_branch="off").eval()
    batch, target = images(32), torch.arange(32) % 4
    generator = copy.deepcopy(method.counter).next_generator()
    step = method(batch, target)
    assert method.average is not None
    assert method.tap is not None
    small = batch.unflatten(2, (8, 2)).unflatten(4, (8, 2)).mean((3, 5))
    features = tap_features(method.average.module, small, method.tap)
    first = method.policy.plan(batch, evidence=Evidence(features), generator=generator)
    half = batch[:16]
    second = method.policy.plan(half, evidence=Evidence(features[:16]), generator=generator)
    logits = method.average(blend(half, second))
    wanted = eta_balanced_loss(logits, target[:16], target[:16][second.index], second.lam, 0.5)
    assert step.terms["mixer"].item() == pytest.approx(wanted.item(), abs=1e-5)
    assert step.plan is not None
    assert torch.allclose(step.plan.mask, first.mask, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("moco", {"queue_size": 32}),
        ("moco", {"queue_size": 32, "cross_view": True}),
        ("moco", {"queue_size": 32, "mixer_candidates": "clusters", "clusters": 3}),
        ("simclr", {}),
        ("byol", {}),
        ("mocov3", {}),
    ],
)
def test_self_supervised_methods(name: str, options: dict[str, Any]) -> None:
    """The encoder's loss stays; the Mixer still learns, from fewer samples; keys all stay."""
    views = images(), images(8).flip(3)
    full, fast = (self_supervised(name, cost, **options) for cost in ("full", "fast"))
    for _ in range(5):  # the queue is full, clusters are found
        steps = full(views), fast(views)
    if not full.contrast.symmetric:  # the draws of a second direction come after the Mixer's
        assert torch.equal(steps[0].terms["encoder"], steps[1].terms["encoder"])
    assert steps[0].plan is not None
    assert steps[1].plan is not None
    assert len(steps[0].plan) == len(steps[1].plan) == 8
    steps[1].loss.backward()
    gradients = [p.grad for p in fast.policy.parameters()]  # type: ignore[attr-defined]
    assert all(g is not None and g.abs().sum() > 0 for g in gradients)
    if full.queue is not None and fast.queue is not None:
        assert torch.equal(full.queue.keys, fast.queue.keys)


def test_the_judge_sees_all_keys_of_the_batch() -> None:
    """SimCLR's candidates for a quarter of the queries are still the whole batch."""
    method = self_supervised("simclr", "fast").eval()
    query, key = (view.requires_grad_(False) for view in (images(), images().flip(2)))
    seen = method._look(query, key)
    keys = method._momentum_keys(*seen).head(2)
    candidates = method._judge(query[:2], keys, torch.tensor([1, 0]))
    assert candidates.logits.shape == (2, 8)
    assert candidates.partner.tolist() == [1, 0]


def test_scaled() -> None:
    batch = images()
    assert scaled(batch, 1.0) is batch
    assert scaled(batch, 0.5).shape == (8, 3, 8, 8)
    assert scaled(batch[:, :, :9, :9], 0.5).shape == (8, 3, 4, 4)
    assert torch.allclose(scaled(batch, 0.5).mean((2, 3)), batch.mean((2, 3)), atol=1e-6)


@pytest.mark.parametrize("value", [0.0, -0.5, 1.5, float("nan")])
@pytest.mark.parametrize("name", ["mixer_share", "look_scale"])
def test_refuses_shares_out_of_range(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=rf"cost\.{name}: expected a number in \(0, 1\]"):
        replace(Cost(), **{name: value})


def test_refuses_an_unknown_cost() -> None:
    with pytest.raises(ValueError, match="'fasst'; the nearest is 'fast'"):
        supervised("fasst")
    with pytest.raises(ValueError, match="'fasst'; the nearest is 'fast'"):
        self_supervised("moco", "fasst")
    assert find_cost(Cost(mixer_share=0.5)).mixer_share == 0.5


@pytest.mark.parametrize("value", [0, -1, 1.5, "2"])
def test_refuses_turns_that_are_no_number_of_steps(value: Any) -> None:
    with pytest.raises(ValueError, match=r"cost\.mixer_every: expected a whole number from 1 on"):
        Cost(mixer_every=value)


def test_the_turns_of_the_mixer() -> None:
    turns = [Cost(mixer_every=3).mixer_turn(step) for step in range(7)]
    assert turns == [0, None, None, 1, None, None, 2]
    assert [Cost().mixer_turn(step) for step in range(3)] == [0, 1, 2]


@pytest.mark.parametrize("method", ["supervised", "moco", "byol"])
def test_a_mixer_that_learns_every_third_step(method: str) -> None:
    """In its turn it learns as at full cost; else its gradient is 0, and the encoder's the same."""
    if method == "supervised":
        batch: tuple[Any, ...] = images(), torch.arange(8) % 4
        full, seldom = supervised("full"), supervised(Cost(mixer_every=3))
    else:
        batch = ((images(), images().flip(3)),)
        options = {"queue_size": 32} if method == "moco" else {}
        full = self_supervised(method, "full", **options)  # type: ignore[assignment]
        seldom = self_supervised(method, Cost(mixer_every=3), **options)  # type: ignore[assignment]
    for turn in (True, False, False, True):
        steps = full(*batch), seldom(*batch)
        for step in steps:
            step.loss.backward()
        if method != "byol":  # the draws of a second direction come after the Mixer's
            assert torch.equal(steps[0].terms["encoder"], steps[1].terms["encoder"])
        assert ("mixer" in steps[1].terms) == turn
        assert "mixer" in steps[0].terms
        gradients = [p.grad for p in seldom.policy.parameters()]  # type: ignore[attr-defined]
        assert all(g is not None for g in gradients)
        assert any(bool(g.any()) for g in gradients if g is not None) == turn
        for each in (full, seldom):
            each.zero_grad()


def test_the_adversary_and_its_rival_take_turns_in_the_mixer_s_steps() -> None:
    """AdAutoMix looks at unmixed images in every second of the steps in which its Mixer learns."""
    torch.manual_seed(0)
    cost = Cost(mixer_every=2)
    method = create_method("supervised", num_classes=4, policy="adautomix", cost=cost, **SMALL)
    assert isinstance(method, SupervisedMethod)
    looks: list[int] = []
    own = method._clean_logits

    def clean(batch: Tensor, turn: int) -> Tensor | None:
        found = own(batch, turn)
        if found is not None:
            looks.append(method.counter.steps - 1)
        return found

    method._clean_logits = clean  # type: ignore[method-assign]
    for _ in range(8):
        method(images(), torch.arange(8) % 4)
    assert looks == [2, 6]
