"""samix-p inside every method: it mixes, it is never trained, and nothing is kept for it."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from samix import METHODS, StepOutput, create_method, create_policy
from samix.policies import PretrainedPolicy

NETWORK: dict[str, Any] = {
    "backbone": "resnet18",
    "stem": "small",
    "model_kwargs": {"layers": (1, 1, 1, 1), "channels": (8, 8, 8, 8)},
}
OPTIONS: dict[str, dict[str, Any]] = {"supervised": {"num_classes": 3}, "moco": {"queue_size": 16}}


def step_of(method: Any, name: str) -> StepOutput:
    first = torch.rand(8, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    batch = (first, torch.arange(8) % 3) if name == "supervised" else ((first, first.flip(3)),)
    output: StepOutput = method(*batch)
    return output


@pytest.mark.parametrize("name", list(METHODS))
@pytest.mark.parametrize("mixer", [None, "demo"])
def test_in_every_method_by_name(name: str, mixer: str | None) -> None:
    method = create_method(name, policy="samix-p", mixer=mixer, **OPTIONS.get(name, {}), **NETWORK)
    assert isinstance(method.policy, PretrainedPolicy)
    before = {key: value.clone() for key, value in method.policy.state_dict().items()}
    groups = method.parameter_groups(lr=0.1)
    assert [group["name"] for group in groups] == ["weights", "biases"]
    optimizer = torch.optim.SGD(groups)
    method.train()
    output = step_of(method, name)
    output.loss.backward()
    optimizer.step()
    method.update_momentum()
    assert all(torch.equal(before[k], v) for k, v in method.policy.state_dict().items())
    assert all(parameter.grad is None for parameter in method.policy.parameters())
    assert not method.policy.mixer.encoder.training
    assert "mixer" not in output.terms
    assert output.plan is not None
    assert output.plan.mask.flatten(1).std(1).max() > 0.05
    images = torch.rand(6, 3, 16, 16)
    second = torch.arange(6) % 3 if name == "supervised" else images.flip(3)
    signs = method.signs_of_life(images, second) if name == "supervised" else (
        method.signs_of_life((images, second))
    )  # fmt: skip
    assert signs == {}


@pytest.mark.parametrize("name", ["moco", "byol", "mocov3"])
def test_partners_from_the_other_view_are_looked_at_there(name: str) -> None:
    options = OPTIONS.get(name, {})
    method = create_method(name, policy="samix-p", cross_view=True, **options, **NETWORK)
    output = step_of(method, name)
    output.loss.backward()
    plan = output.plan
    assert plan is not None
    first = torch.rand(8, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    second = first.flip(3)
    i, j = 0, int(plan.index[0])
    wanted = method.policy.mixer(first[[i]], second[[j]], plan.lam[[i]])
    assert torch.allclose(wanted[0], plan.mask[i], atol=1e-5)


def test_a_method_that_is_moved_to_low_precision_still_mixes() -> None:
    method = create_method("supervised", policy="samix-p", num_classes=3, **NETWORK)
    method.to(torch.bfloat16)
    images = torch.rand(4, 3, 16, 16).bfloat16()
    output = method(images, torch.arange(4) % 3)
    assert output.plan.mask.dtype == torch.float32
    assert output.loss.isfinite()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64], ids=str)
def test_it_can_be_made_and_used_under_another_default_precision(dtype: torch.dtype) -> None:
    """Its masks are those of the Mixer that was made in float32, to the last bit."""
    images = torch.rand(4, 3, 16, 16, dtype=torch.float32)
    draw = {"generator": torch.Generator().manual_seed(1)}
    wanted = create_policy("samix-p").plan(images, **draw).mask
    torch.set_default_dtype(dtype)
    try:
        method = create_method("supervised", policy="samix-p", num_classes=3, **NETWORK)
        draw["generator"].manual_seed(1)
        mask = method.policy.plan(images, **draw).mask
        output = method.to(dtype)(images.to(dtype), torch.arange(4) % 3)
    finally:
        torch.set_default_dtype(torch.float32)
    assert torch.equal(mask, wanted)
    assert output.loss.isfinite()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_it_can_be_made_and_used_under_autocast(dtype: torch.dtype) -> None:
    with torch.autocast("cpu", dtype):
        method = create_method("supervised", policy="samix-p", num_classes=3, **NETWORK)
        output = method(torch.rand(4, 3, 16, 16), torch.arange(4) % 3)
        output.loss.backward()
    assert output.plan.mask.dtype == torch.float32
    assert output.loss.isfinite()


def test_it_is_kept_in_checkpoints_and_saved_once() -> None:
    method = create_method("supervised", policy="samix-p", num_classes=3, **NETWORK)
    other = create_method("supervised", policy="samix-p", mixer="demo", num_classes=3, **NETWORK)
    other.load_state_dict(method.state_dict())
    images = torch.rand(4, 3, 16, 16)
    plans = [m.policy.plan(images, generator=torch.Generator().manual_seed(1)) for m in
             (method, other)]  # fmt: skip
    assert torch.equal(plans[0].mask, plans[1].mask)
