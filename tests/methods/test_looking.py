"""What the momentum encoder says of clean images."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from samix.methods.mix_step import look, pixel_gradient
from samix.networks import MomentumEncoder


class Linear(nn.Module):
    """A network whose gradient is known: logits are inner products with fixed images."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(4, 3, 5, 5))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.einsum("bchw,kchw->bk", images, self.weight)


def test_the_gradient_is_that_of_each_images_own_loss() -> None:
    network, images, target = Linear(), torch.randn(3, 3, 5, 5), torch.tensor([0, 3, 1])
    probability = network(images).softmax(1) - F.one_hot(target, 4)
    wanted = torch.einsum("bk,kchw->bchw", probability, network.weight).norm(dim=1, keepdim=True)
    with torch.no_grad():
        found = pixel_gradient(network, images, target)
    assert torch.allclose(found, wanted, atol=1e-5)
    assert network.weight.grad is None
    assert not images.requires_grad


def test_no_more_is_found_out_than_is_wanted() -> None:
    average, images = MomentumEncoder(Linear()), torch.randn(3, 3, 5, 5)
    evidence = look(average, images, torch.tensor([0, 1, 2]), wanted={"gradient"})
    assert evidence.gradient is not None
    assert evidence.features is None
    assert look(average, images, None, wanted=()).gradient is None
    with pytest.raises(ValueError, match=r"target: expected \(B,\) class numbers to find the grad"):
        look(average, images, None, wanted={"gradient"})
