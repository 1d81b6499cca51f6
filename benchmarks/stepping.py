"""What the benchmarks have in common."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import date
from pathlib import Path
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


def learn(
    method: samix.SupervisedMethod,
    optimizer: Any,
    schedule: Any,
    *batch: Tensor,
    bfloat16: bool = True,
) -> Tensor:
    """Take one optimiser step on images and classes, in mixed precision; return the loss."""
    with torch.autocast(batch[0].device.type, torch.bfloat16, enabled=bfloat16):
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


def write_result(path: Path | None, **document: Any) -> None:
    """Write what was measured, with its date and torch's version, as JSON; None writes nothing."""
    if path is not None:
        dated = {"date": date.today().isoformat(), "torch": torch.__version__, **document}
        path.write_text(json.dumps(dated, indent=1) + "\n")
