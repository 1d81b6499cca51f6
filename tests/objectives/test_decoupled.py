from __future__ import annotations

import pytest
import torch

from samix.objectives import decoupled_loss


def test_the_formula_in_slow_loops() -> None:
    logits = torch.randn(5, 4, dtype=torch.float64)
    own, other = torch.tensor([0, 1, 2, 3, 0]), torch.tensor([1, 3, 2, 0, 2])
    weight = torch.tensor([0.3, 0.9, 0.5, 1.0, 0.01])
    wanted = 0.0
    for z, a, b, w in zip(logits, own, other, weight, strict=True):
        if a == b or w >= 1:
            continue
        for i, j in ((a, b), (b, a)):
            rest = sum(z[k].exp() for k in range(4) if k != j)
            wanted -= (z[i].exp() / rest).log().item()
    found = decoupled_loss(logits, own, other, weight)
    assert found.item() == pytest.approx(wanted / 5, abs=1e-9)


def test_it_does_not_depend_on_the_shares_and_one_class_does_not_hold_the_other_down() -> None:
    own, other = torch.tensor([0]), torch.tensor([1])
    logits = torch.tensor([[5.0, 5.0, 0.0]])
    shares = [decoupled_loss(logits, own, other, torch.tensor([w])).item() for w in (0.1, 0.9)]
    assert shares[0] == shares[1]
    assert shares[0] < 0.02


def test_gradient() -> None:
    logits = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    own, other = torch.tensor([0, 1, 2]), torch.tensor([1, 1, 0])
    weight = torch.full((3,), 0.4)
    assert torch.autograd.gradcheck(lambda z: decoupled_loss(z, own, other, weight), logits)


def test_low_precision() -> None:
    logits = torch.randn(3, 4)
    own, other = torch.tensor([0, 1, 2]), torch.tensor([1, 2, 0])
    loss = decoupled_loss(logits.bfloat16(), own, other, torch.full((3,), 0.4))
    assert loss.dtype == torch.float32
    assert torch.isfinite(loss)
