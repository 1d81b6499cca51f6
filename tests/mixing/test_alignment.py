from __future__ import annotations

import itertools

import torch

from samix.mixing import aligned, alignment, sinkhorn


def test_the_transport_is_even_and_takes_the_cheap_way() -> None:
    cost = torch.rand(3, 5, 7, dtype=torch.float64)
    plan = sinkhorn(cost, 0.05, 200)
    assert torch.allclose(plan.sum(1), torch.full((3, 7), 1 / 7, dtype=torch.float64))
    assert torch.allclose(plan.sum(2), torch.full((3, 5), 1 / 5, dtype=torch.float64), atol=1e-6)
    even = torch.full_like(plan, 1 / 35)
    assert ((plan * cost).sum((1, 2)) < 0.6 * (even * cost).sum((1, 2))).all()


def test_it_is_sinkhorns_algorithm_in_slow_loops() -> None:
    cost = torch.rand(1, 3, 4, dtype=torch.float64)
    kernel = (-cost[0] / 0.3).exp()
    left, right = torch.ones(3, dtype=torch.float64), torch.ones(4, dtype=torch.float64)
    for _ in range(10):
        for i in range(3):
            left[i] = (1 / 3) / sum(kernel[i, j] * right[j] for j in range(4))
        for j in range(4):
            right[j] = (1 / 4) / sum(kernel[i, j] * left[i] for i in range(3))
    found = sinkhorn(cost, 0.3, 10)[0]
    for i, j in itertools.product(range(3), range(4)):
        assert torch.isclose(found[i, j], left[i] * kernel[i, j] * right[j])


def test_a_shuffled_map_is_put_back_in_place() -> None:
    features = 3 * torch.randn(2, 6, 3, 4)
    order = torch.stack([torch.randperm(12) for _ in range(2)])
    shuffled = features.flatten(2).gather(2, order.unsqueeze(1).expand(-1, 6, -1))
    shuffled = shuffled.view_as(features)
    weight = alignment(features, shuffled, eps=0.1, steps=50)
    assert torch.allclose(aligned(shuffled, weight), features, atol=1e-3)
    back = aligned(features, weight.transpose(1, 2))
    assert torch.allclose(back, shuffled, atol=1e-3)
