"""samix-p and free policies in turn."""

from __future__ import annotations

import pytest
import torch

from samix import create_policy


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_a_share_of_the_samples_is_mixed_by_a_free_policy() -> None:
    images = torch.rand(400, 3, 16, 16, generator=seeded())
    plan = create_policy("samix-p", free=0.5).plan(images, generator=seeded(1))
    flat = plan.mask.flatten(1)
    even = flat.amax(1) - flat.amin(1) < 1e-6
    cut = ((flat == 0) | (flat == 1)).all(1) & ~even
    learned = ~even & ~cut
    assert 0.4 < learned.float().mean() < 0.6
    assert 0.15 < even.float().mean() < 0.35
    assert 0.12 < cut.float().mean() < 0.35
    assert torch.equal(plan.weight, plan.lam)
    assert torch.allclose(plan.area[~learned], plan.weight[~learned], atol=1e-6)
    own = create_policy("samix-p").plan(images, generator=seeded(1))
    assert torch.equal(plan.mask[learned], own.mask[learned])
    assert torch.equal(plan.index, own.index)


def test_none_and_all_of_them() -> None:
    images = torch.rand(8, 3, 16, 16, generator=seeded())
    none = create_policy("samix-p", free=0.0).plan(images, generator=seeded(1))
    assert torch.equal(none.mask, create_policy("samix-p").plan(images, generator=seeded(1)).mask)
    flat = create_policy("samix-p", free=1.0).plan(images, generator=seeded(1)).mask.flatten(1)
    even = flat.amax(1) - flat.amin(1) < 1e-6
    assert (even | ((flat == 0) | (flat == 1)).all(1)).all()
    with pytest.raises(ValueError, match="free: expected a probability"):
        create_policy("samix-p", free=1.5)
