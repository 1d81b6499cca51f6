"""What every training loop of the benchmarks has in common."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
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
    with torch.autocast(batch[0].device.type, torch.bfloat16):
        output = method(*batch)
    output.loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    method.update_momentum()
    schedule.step()
    loss: Tensor = output.loss
    return loss


def ratios_in_turn(
    steps: Mapping[str, Callable[[], float]], base: str, rounds: int
) -> dict[str, list[float]]:
    """Take one step of each in turn; return the seconds of each over those of ``base``, by round.

    Args:
        steps: Each takes a step and returns its seconds.
        base: Name of the one that the others are compared with.
        rounds: How many; one more, before them, warms up.
    """
    ratios: dict[str, list[float]] = {name: [] for name in steps}
    for number in range(rounds + 1):
        spent = {name: step() for name, step in steps.items()}
        if number:
            for name, values in ratios.items():
                values.append(spent[name] / spent[base])
    return ratios
