"""What every training loop of the benchmarks has in common."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

import samix


def batches(count: int, batch: int, steps: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Yield positions of so many batches, in a new order each time all photos were seen."""
    per_epoch = count // batch
    for step in range(steps):
        place = step % per_epoch
        if place == 0:
            order = torch.randperm(count, generator=generator)
        yield order[place * batch :][:batch]


def learn(method: samix.SupervisedMethod, optimizer: Any, schedule: Any, *batch: Tensor) -> Tensor:
    """Take one optimiser step on images and classes, under bfloat16 autocast; return the loss."""
    with torch.autocast("cpu", torch.bfloat16):
        output = method(*batch)
    output.loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    method.update_momentum()
    schedule.step()
    loss: Tensor = output.loss
    return loss
