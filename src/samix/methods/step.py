"""What a training step returns, and the step's own source of randomness."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
import torch.distributed as dist
from torch import Tensor, nn

from samix.mixing import MixPlan, step_generator


@dataclass(frozen=True)
class StepOutput:
    """What one step of a method gives.

    Attributes:
        loss: Scalar to call ``backward`` on.
        terms: Detached scalars by name, the parts of the loss and cheap signs of life.
        logits: (B,K) of the mixed images, detached.
        plan: How the encoder's images were mixed, detached.
    """

    loss: Tensor
    terms: dict[str, Tensor] = field(default_factory=dict)
    logits: Tensor | None = None
    plan: MixPlan | None = None


class StepCounter(nn.Module):
    """Counts steps and gives the generator of each: a function of (seed, step, rank).

    The counts are part of the state dict, so that a resumed run draws what it would have drawn.

    Args:
        seed: Seed of the run.
    """

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.seed = seed
        self.steps = 0
        self.updates = 0

    def next_generator(self) -> torch.Generator:
        """Return the generator of this step and count it."""
        rank = dist.get_rank() if dist.is_available() and dist.is_initialized() else 0
        generator = step_generator(self.seed, self.steps, rank)
        self.steps += 1
        return generator

    def mixes(self, last: int | None) -> bool:
        """Say whether the batch that comes is one of the first ``last``, which are mixed."""
        return last is None or self.steps < last

    def get_extra_state(self) -> Tensor:
        """Return seed, steps and updates for the state dict."""
        return torch.tensor([self.seed, self.steps, self.updates])

    def set_extra_state(self, state: Tensor) -> None:
        """Take up seed, steps and updates from a state dict."""
        self.seed, self.steps, self.updates = (int(value) for value in state)


def check_mix_batches(mix_batches: int | None) -> None:
    """Raise a ValueError unless the number of batches that are mixed is at least 0, or all are."""
    if mix_batches is not None and mix_batches < 0:
        raise ValueError(f"mix_batches: expected at least 0, or None for all, got {mix_batches}")


def check_steps(steps: int | None) -> None:
    """Raise a ValueError unless the planned number of steps is at least 1, or unknown."""
    if steps is not None and steps < 1:
        raise ValueError(f"steps: expected a number of at least 1, got {steps}")
