"""Compiled regions and replayed steps give what the loop gives."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import timm
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import samix
from samix.methods import CompiledStep, StepOutput, compiled
from samix.methods.compiled import regions, why_not_replayed
from samix.mixing import draws

SMALL: dict[str, Any] = {
    "backbone": "resnet18",
    "stem": "small",
    "model_kwargs": {"layers": (1, 1, 1, 1), "channels": (8, 8, 16, 16)},
}


def supervised(policy: str = "samix", **options: Any) -> samix.SupervisedMethod:
    torch.manual_seed(0)
    return samix.create_method("supervised", num_classes=4, policy=policy, **SMALL, **options)


def sgd(method: Any) -> torch.optim.Optimizer:
    return torch.optim.SGD(method.parameter_groups(0.05), momentum=0.9)


def batches(count: int, size: int = 20) -> list[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(count, size, 3, 16, 16, generator=generator)
    return [(part, torch.arange(size) % 4) for part in images]


def by_the_loop(method: Any, steps: list[tuple[Tensor, Tensor]]) -> list[Tensor]:
    optimizer, losses = sgd(method), []
    for batch in steps:
        output = method(*batch)
        output.loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        method.update_momentum()
        losses.append(output.loss.detach())
    return losses


class StandIn:
    """A graph on the CPU: it computes again what was captured, into the same tensors."""

    def __init__(self, method: Any, function: Callable[[], StepOutput], output: StepOutput) -> None:
        self.method, self.function, self.output = method, function, output
        self.draws = draws._FIXED.get()

    def replay(self) -> None:
        kept = {p: p.grad for p in self.method.parameters()}
        for parameter in kept:
            parameter.grad = None
        self.method.counter.steps -= 1  # a graph runs no Python, and this does
        with self.draws.given():
            fresh = self.function()
        self.output.loss.copy_(fresh.loss)
        for name, value in fresh.terms.items():
            self.output.terms[name].copy_(value)
        for parameter, gradient in kept.items():
            if gradient is not None:
                gradient.copy_(parameter.grad)
            parameter.grad = gradient


@pytest.fixture
def replayed(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], CompiledStep]:
    """Return what makes a step that is replayed on the CPU."""

    def make(method: Any) -> CompiledStep:
        def capture(function: Callable[[], StepOutput], like: Tensor) -> tuple[Any, StepOutput]:
            buffers = {k: v.clone() for k, v in method.state_dict().items()}
            output = function()
            steps = method.counter.steps
            method.load_state_dict(buffers)  # capturing computes nothing
            method.counter.steps = steps
            return StandIn(method, function, output), output

        monkeypatch.setattr(compiled, "capture", capture)
        method.step = CompiledStep(method, sgd(method), replays=True)
        return method.step

    return make


@pytest.mark.parametrize(
    ("policy", "options", "kinds"),
    [
        ("none", {}, 1),
        ("mixup", {"clean_branch": "half"}, 1),
        ("cutmix", {"p": 0.5}, 1),
        ("samix", {"teacher_statistics": "averaged"}, 1),
        ("samix", {"teacher_statistics": "averaged", "cost": samix.methods.Cost(mixer_every=2)}, 2),
        ("adautomix", {"teacher_statistics": "averaged"}, 2),
    ],
)
def test_replayed_steps_are_those_of_the_loop(
    replayed: Callable[[Any], CompiledStep], policy: str, options: dict[str, Any], kinds: int
) -> None:
    steps = batches(10)
    plain, other = supervised(policy, **options), supervised(policy, **options)
    wanted, step = by_the_loop(plain, steps), replayed(other)
    found = [step(*batch).loss for batch in steps]
    assert step.captured == kinds
    assert torch.equal(torch.stack(found), torch.stack(wanted))
    assert all(map(torch.equal, plain.parameters(), other.parameters()))
    assert plain.counter.steps == other.counter.steps == 10


def test_another_batch_is_another_kind_of_step(replayed: Callable[[Any], CompiledStep]) -> None:
    plain, other = supervised(), supervised()
    steps = [batch for pair in zip(batches(3), batches(3, 17), strict=True) for batch in pair]
    wanted, step = by_the_loop(plain, steps), replayed(other)
    assert torch.equal(torch.stack([step(*batch).loss for batch in steps]), torch.stack(wanted))


def test_a_step_that_is_not_replayed_is_the_loop() -> None:
    plain, other = supervised(), supervised()
    steps = batches(3)
    wanted, step = by_the_loop(plain, steps), CompiledStep(other, sgd(other))
    assert torch.equal(torch.stack([step(*batch).loss for batch in steps]), torch.stack(wanted))
    assert all(map(torch.equal, plain.parameters(), other.parameters()))


def test_a_plain_network_has_the_same_switch() -> None:
    class Plain(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = nn.Linear(8, 4)

        def forward(self, values: Tensor, target: Tensor) -> Tensor:
            return F.cross_entropy(self.network(values), target)

    torch.manual_seed(0)
    first, second = Plain(), None
    second = copy.deepcopy(first)
    values, target = torch.randn(6, 8), torch.arange(6) % 4
    optimizer = torch.optim.SGD(first.parameters(), lr=0.1)
    loss = first(values, target)
    loss.backward()
    optimizer.step()
    step = CompiledStep(second, torch.optim.SGD(second.parameters(), lr=0.1), clip=100.0)
    assert torch.equal(step(values, target).loss, loss.detach())
    assert torch.equal(first.network.weight, second.network.weight)
    assert second.network.weight.grad is None


def test_what_cannot_be_replayed_is_said() -> None:
    assert "need a GPU" in why_not_replayed(supervised())
    assert why_not_replayed(supervised(), "cuda") == ""
    assert why_not_replayed(nn.Linear(2, 2), "cuda") == ""
    assert "'fmix'" in why_not_replayed(supervised("fmix"), "cuda")
    assert "a guard" in why_not_replayed(supervised(guard=True), "cuda")
    assert "keys" in why_not_replayed(samix.create_method("moco", policy="mixup", **SMALL), "cuda")


@pytest.mark.parametrize(
    ("name", "options", "kind", "count"),
    [
        ("resnet18", {}, "BasicBlock", 8),
        ("vit_tiny_patch16_224", {"depth": 3}, "Block", 3),
        ("tf_efficientnet_lite0", {}, "InvertedResidual", 15),
        ("vgg11", {}, "VGG", 1),
    ],
)
def test_regions_are_the_blocks_that_repeat(
    name: str, options: dict[str, Any], kind: str, count: int
) -> None:
    with torch.device("meta"):
        found = regions(timm.create_model(name, **options))
    assert [type(block).__name__ for block in found] == [kind] * count


def test_without_a_compiler_nothing_is_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*args: Any, **options: Any) -> Any:
        raise RuntimeError("no working C++ compiler\nfound")

    monkeypatch.setattr(torch, "compile", missing)
    method = supervised()
    step = samix.compile_step(method, sgd(method))
    assert step.notes[0].endswith("does not work here (no working C++ compiler).")
    assert torch.isfinite(step(*batches(1)[0]).loss)


@pytest.mark.slow
def test_compiled_steps_are_those_of_the_loop_to_rounding(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = nn.Module.compile  # with what traces and cuts the graph, but makes no kernels: minutes
    monkeypatch.setattr(nn.Module, "compile", lambda self, **o: own(self, backend="aot_eager", **o))
    monkeypatch.setattr(compiled, "why_not_compiled", lambda: "")
    small = {"patch_size": 8, "embed_dim": 16, "depth": 2, "num_heads": 2}
    options = {"backbone": "vit_tiny_patch16_224", "image_size": 16, "model_kwargs": small}

    def made() -> Any:
        torch.manual_seed(0)
        return samix.create_method("supervised", num_classes=4, policy="mixup", **options)

    plain, other, steps = made(), made(), batches(2)
    wanted = by_the_loop(plain, steps)
    step = samix.compile_step(other, sgd(other))
    assert len(step.notes) == 1  # that there is no GPU
    found = [step(*batch).loss for batch in steps]
    assert torch.allclose(torch.stack(found), torch.stack(wanted), atol=1e-5)
    for first, second in zip(plain.parameters(), other.parameters(), strict=True):
        assert torch.allclose(first, second, atol=1e-4)
    torch.save(other.export(), tmp_path / "model.pt")  # nothing of the compiler is in it
    assert list(other.state_dict()) == list(plain.state_dict())
