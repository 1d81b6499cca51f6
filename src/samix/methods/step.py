"""What every training step has: its input, its output, its draws, its cost and its parameters."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from samix.guard import GuardRecord
from samix.mixing import MixPlan, step_generator
from samix.policies import nearest


@dataclass(frozen=True)
class StepOutput:
    """What one step of a method gives.

    Attributes:
        loss: Scalar to call ``backward`` on.
        terms: Detached scalars by name, the parts of the loss and cheap signs of life.
        logits: (B,K) of the mixed images, detached.
        plan: How the encoder's images were mixed, detached.
        guard: What a guard did to each of these mixes; None without a guard.
    """

    loss: Tensor
    terms: dict[str, Tensor] = field(default_factory=dict)
    logits: Tensor | None = None
    plan: MixPlan | None = None
    guard: GuardRecord | None = None


_FORGOTTEN = 200  # steps; nobody accumulates so many batches


class StepCounter(nn.Module):
    """Counts steps and gives the generator of each: a function of (seed, step, rank).

    The counts are part of the state dict, so that a resumed run draws what it would have drawn.

    Args:
        seed: Seed of the run.
        planned: Planned number of optimiser steps, from which the decay of the momentum average is
            derived; None if unknown.
        mix_batches: Batches after the first so many are not mixed, nor does a Mixer go on
            learning; None mixes all.
    """

    def __init__(
        self, seed: int = 0, *, planned: int | None = None, mix_batches: int | None = None
    ) -> None:
        super().__init__()
        self.seed = seed
        self.plan(planned, mix_batches)
        self.steps = 0
        self.updates = 0
        self._told = self._told_of_judging = False

    def plan(self, steps: int | None, mix_batches: int | None) -> None:
        """Take up how many optimiser steps are planned, and how many batches are mixed."""
        if steps is not None and steps < 1:
            raise ValueError(f"steps: expected a number of at least 1, got {steps}")
        if mix_batches is not None and mix_batches < 0:
            raise ValueError(
                f"mix_batches: expected at least 0, or None for all, got {mix_batches}"
            )
        self.planned, self.mix_batches = steps, mix_batches

    def generator(self) -> torch.Generator:
        """Return the generator of the step that comes."""
        rank = dist.get_rank() if dist.is_available() and dist.is_initialized() else 0
        return step_generator(self.seed, self.steps, rank)

    def next_generator(self) -> torch.Generator:
        """Return the generator of this step and count it."""
        generator = self.generator()
        self.steps += 1
        return generator

    def warn_forgotten(self) -> None:
        """Say once where many steps were made and the momentum encoder was never moved."""
        if self.updates or self._told or self.steps < _FORGOTTEN:
            return
        self._told = True
        warnings.warn(
            f"update_momentum() was not called in {self.steps} steps, so that the momentum encoder "
            "still has its first weights; call method.update_momentum() after each optimiser step",
            stacklevel=4,
        )

    def warn_judging(self, training: bool) -> None:
        """Say once where a step looks like the judging of a network, which it is not.

        Args:
            training: Mode of the method.
        """
        if training or torch.is_grad_enabled() or self._told_of_judging:
            return
        self._told_of_judging = True
        warnings.warn(
            "a method was called after eval() and without gradients, as one judges a network; the "
            "call is a training step all the same: its loss is that of the mix, and it counts. "
            "Judge method.encoder or method.export()",
            stacklevel=5,
        )

    def mixes(self) -> bool:
        """Say whether the batch that comes is one of those that are mixed."""
        return self.mix_batches is None or self.steps < self.mix_batches

    def get_extra_state(self) -> Tensor:
        """Return seed, steps and updates for the state dict."""
        return torch.tensor([self.seed, self.steps, self.updates])

    def set_extra_state(self, state: Tensor) -> None:
        """Take up seed, steps and updates from a state dict."""
        self.seed, self.steps, self.updates = (int(value) for value in state)


def parameter_groups(
    encoder: nn.Module,
    mixer: nn.Module | None,
    *,
    lr: float,
    weight_decay: float | None = None,
    mixer_lr: float | None = None,
    mixer_weight_decay: float = 0.0,
    scales: Mapping[nn.Parameter, float] | None = None,
) -> list[dict[str, Any]]:
    """Return the groups of an encoder and a Mixer; groups without parameters are left out.

    Biases and norms (fewer than two dimensions) have no weight decay.

    Args:
        encoder: The trained network.
        mixer: The Mixer or its policy, or None.
        lr: Learning rate of the encoder.
        weight_decay: For weights of two or more dimensions; None leaves it to the optimiser.
        mixer_lr: Learning rate of the Mixer; None takes ``lr``.
        mixer_weight_decay: For the Mixer's weights of two or more dimensions, 0 or more.
        scales: Share of ``lr`` by parameter of the encoder; None is 1 for all. Parameters of one
            share are one group.
    """
    if not mixer_weight_decay >= 0:
        raise ValueError(f"mixer_weight_decay: expected at least 0, got {mixer_weight_decay}")
    trained = [parameter for parameter in encoder.parameters() if parameter.requires_grad]
    mixing = [p for p in (mixer.parameters() if mixer is not None else ()) if p.requires_grad]
    groups: list[dict[str, Any]] = []
    for scale in sorted({1.0 if scales is None else scales.get(p, 1.0) for p in trained}):
        some = [p for p in trained if scales is None or scales.get(p, 1.0) == scale]
        word = "" if scale == 1.0 else f" at {scale:.3g}"
        wide_ones, flat_ones = [p for p in some if p.ndim >= 2], [p for p in some if p.ndim < 2]
        rates = {"lr": lr * scale}
        decay = {} if weight_decay is None else {"weight_decay": weight_decay}
        groups += [
            {"name": f"weights{word}", "params": wide_ones, **rates, **decay},
            {"name": f"biases{word}", "params": flat_ones, **rates, "weight_decay": 0.0},
        ]
    rate = lr if mixer_lr is None else mixer_lr
    # one group where nothing decays, so that most runs have one row for the Mixer in their logs
    wide = [p for p in mixing if p.ndim >= 2] if mixer_weight_decay else []
    flat = [p for p in mixing if not mixer_weight_decay or p.ndim < 2]
    groups += [
        {"name": "mixer", "params": wide, "lr": rate, "weight_decay": mixer_weight_decay},
        {"name": f"mixer{' biases' * bool(wide)}", "params": flat, "lr": rate, "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


_LEAST_PART = 16  # samples that a Mixer learns from in a step, where the batch has as many


@dataclass(frozen=True)
class Cost:
    """What a step of a learned policy costs beyond training the encoder.

    Every image of the batch is mixed by the Mixer in any case. ``mixer_share`` and ``mixer_every``
    leave the encoder's loss and gradient as they are; ``look_scale`` changes the features, and so
    the masks.

    Attributes:
        mixer_share: Share of the batch that the Mixer learns from in each step, in (0, 1]: the
            first samples, so batches must be shuffled. Never fewer than 16 samples, or than the
            whole batch where that is smaller.
        look_scale: Side of the images in which the momentum encoder looks for features, as a share
            of their side, in (0, 1]. It does not change how the momentum encoder judges a mix.
        mixer_every: The Mixer learns in the first of so many steps, at least 1; in the others its
            gradient is 0, and an optimiser with momentum goes on moving it.
    """

    mixer_share: float = 1.0
    look_scale: float = 1.0
    mixer_every: int = 1

    def __post_init__(self) -> None:
        for name in ("mixer_share", "look_scale"):
            value = getattr(self, name)
            if not 0.0 < value <= 1.0:
                raise ValueError(f"cost.{name}: expected a number in (0, 1], got {value}")
        every = self.mixer_every
        if not isinstance(every, int) or every < 1:
            raise ValueError(f"cost.mixer_every: expected a whole number from 1 on, got {every!r}")

    def mixer_part(self, batch: int) -> int:
        """Return how many of the samples of a batch the Mixer learns from."""
        return min(batch, max(_LEAST_PART, math.ceil(self.mixer_share * batch)))

    def mixer_turn(self, step: int) -> int | None:
        """Return how often the Mixer learned before, or None where it does not learn in a step.

        Args:
            step: Number of the step, from 0.
        """
        turn, rest = divmod(step, self.mixer_every)
        return None if rest else turn


COSTS: Mapping[str, Cost] = {
    "full": Cost(),
    "fast": Cost(mixer_share=0.25),
    "seldom": Cost(mixer_every=4),
}
"""The costs that have a name: "full" is the paper's way."""


def find_cost(cost: str | Cost) -> Cost:
    """Return a cost by its name, unless that is unknown; a :class:`Cost` is returned as it is."""
    if isinstance(cost, Cost):
        return cost
    if cost not in COSTS:
        raise ValueError(
            f"cost: expected one of {', '.join(COSTS)} or a samix.methods.Cost, got {cost!r}; the "
            f"nearest is {nearest(str(cost), COSTS)!r}"
        )
    return COSTS[cost]
