from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import Tensor, nn

from samix.methods.mixer_step import judged


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_judged_has_the_value_and_the_gradient_of_the_plain_loss(dtype: torch.dtype) -> None:
    source = nn.Conv2d(1, 1, 3, padding=1).to(dtype)
    judge = nn.Conv2d(1, 2, 3).to(dtype).requires_grad_(False)
    images = torch.randn(3, 1, 6, 6, dtype=dtype)

    def loss_of(mask: Tensor) -> Tensor:
        return judge(mask * images).square().mean()

    results = []
    for way in (loss_of, partial(judged, loss_of=loss_of)):
        source.zero_grad()
        loss = 3.0 * way(torch.sigmoid(source(images)))
        loss.backward()
        results.append((loss.detach(), source.weight.grad.clone()))  # type: ignore[union-attr]
    (value, gradient), (ours, our_gradient) = results
    assert torch.allclose(ours, value)
    assert torch.allclose(our_gradient, gradient, rtol=1e-5, atol=1e-9)
    assert gradient.abs().max() > 0


def test_judged_frees_the_graph_of_the_judge() -> None:
    held = []

    class Watched(torch.autograd.Function):
        @staticmethod
        def forward(ctx: object, mask: Tensor) -> Tensor:
            held.append(True)
            return mask.clone()

        @staticmethod
        def backward(ctx: object, gradient: Tensor) -> Tensor:
            held.pop()
            return gradient

    mask = torch.rand(2, 1, 4, 4, requires_grad=True)
    loss = judged(mask, lambda value: Watched.apply(value).sum())
    assert not held  # its backward has run before ours
    loss.backward()
    assert torch.equal(mask.grad, torch.ones_like(mask))  # type: ignore[arg-type]


def test_judged_without_a_gradient() -> None:
    with torch.no_grad():
        assert judged(torch.ones(1, 1, 2, 2), torch.Tensor.sum).item() == 4.0


def test_an_overflow_in_the_gradient_leaves_the_value_finite() -> None:
    """The scaler of float16 then skips the step; a value that is no number would stop the run."""

    class Overflow(torch.autograd.Function):
        @staticmethod
        def forward(ctx: object, mask: Tensor) -> Tensor:
            return mask.clone()

        @staticmethod
        def backward(ctx: object, gradient: Tensor) -> Tensor:
            return gradient * torch.inf

    mask = torch.rand(1, 1, 2, 2, requires_grad=True)
    loss = judged(mask, lambda value: Overflow.apply(value).sum())
    assert torch.isfinite(loss)
    loss.backward()
    assert torch.isinf(mask.grad).all()  # type: ignore[arg-type]
