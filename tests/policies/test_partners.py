"""Partners that a plan names must be there."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from samix import MixPlan, blend, create_policy
from samix.mixing import EarlierBatch, constant_mask
from samix.policies import Policy


def own(rule) -> Policy:
    return Policy("own", lambda images, index, generator: rule(len(images), index))


def planned(index: torch.Tensor) -> MixPlan:
    lam = torch.full((len(index),), 0.25)
    return MixPlan(lam, index, constant_mask(lam, (4, 4)), lam)


@pytest.mark.parametrize("index", [[1, 2, 3, 4], [1, 2, 3, -4], [9, 0, 1, 2], [-1, 0, 1, 2]])
def test_partners_that_are_not_there_are_refused_when_they_are_planned(index: list[int]) -> None:
    images, partners = torch.rand(4, 3, 4, 4), torch.tensor(index)
    said = rf"expected positions in the batch, .*got {min(index)} to {max(index)}; number the"
    with pytest.raises(ValueError, match="index.*" + said):
        own(lambda _count, _index: planned(partners)).plan(images)
    with pytest.raises(ValueError, match="^index: " + said):
        create_policy("mixup").plan(images, index=partners)
    with pytest.raises(ValueError, match="index: " + said):
        blend(images, planned(partners))


def test_a_plan_for_another_number_of_images_is_refused() -> None:
    policy = own(lambda count, _index: planned(torch.arange(count - 1).roll(1)))
    with pytest.raises(ValueError, match="plan: expected one row for each of 4 images, got 3"):
        policy.plan(torch.rand(4, 3, 4, 4))


def test_partners_of_an_earlier_batch_are_counted_there() -> None:
    images, past = torch.zeros(2, 3, 4, 4), torch.arange(5.0).view(5, 1, 1, 1).expand(5, 3, 4, 4)
    source = EarlierBatch(past, torch.eye(5))
    policy = own(lambda _count, _index: replace(planned(torch.tensor([4, 2])), source=source))
    mixed = blend(images, policy.plan(images))
    assert torch.allclose(mixed[:, 0, 0, 0], 0.75 * torch.tensor([4.0, 2.0]))
    policy = own(lambda _count, _index: replace(planned(torch.tensor([5, 2])), source=source))
    with pytest.raises(ValueError, match="0 to 4, got 2 to 5"):
        policy.plan(images)


def test_a_rule_that_writes_into_its_images_is_refused() -> None:
    def rule(images: torch.Tensor, index: torch.Tensor, generator: torch.Generator) -> MixPlan:
        images[:, :, :2] = 0
        return planned(index)

    with pytest.raises(ValueError, match=r"the rule of policy 'own' wrote into them"):
        Policy("own", rule).plan(torch.rand(4, 3, 4, 4))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"mask": torch.full((4, 1, 4, 4), 1.5)}, "mask .*: expected shares .*got 1.5 to 1.5"),
        ({"weight": torch.full((4,), torch.nan)}, "weight .*: expected shares .*got nan to nan"),
        ({"lam": 0.25}, "MixPlan.lam: expected a tensor, got float"),
        ({"mask": np.ones((4, 1, 4, 4))}, "MixPlan.mask: expected a tensor, got ndarray"),
    ],
)
def test_numbers_that_are_no_shares_are_refused(changes: dict[str, Any], said: str) -> None:
    policy = own(lambda count, index: replace(planned(index), **changes))
    with pytest.raises((ValueError, TypeError), match=said):
        policy.plan(torch.rand(4, 3, 4, 4))


def test_what_is_no_plan_is_refused() -> None:
    with pytest.raises(TypeError, match=r"expected a samix.MixPlan .* got tuple"):
        own(lambda count, index: (count, index)).plan(torch.rand(4, 3, 4, 4))
