"""The optimiser of a run and its learning rate over the steps."""

from __future__ import annotations

import math
from typing import Any

from torch.optim import SGD, AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from .settings import RunConfig

_MOMENTUM = 0.9


def create_optimizer(groups: list[dict[str, Any]], config: RunConfig) -> Optimizer:
    """Return the optimiser of a resolved configuration.

    Args:
        groups: Parameter groups with their learning rate and weight decay.
        config: Names the optimiser.
    """
    if config.optimizer == "sgd":
        return SGD(groups, momentum=_MOMENTUM, nesterov=True)
    return AdamW(groups)


def create_schedule(optimizer: Optimizer, config: RunConfig, steps: int) -> LambdaLR:
    """Return the schedule that multiplies every group's learning rate, one call a step.

    Args:
        optimizer: What is scheduled.
        config: Warm-up and final learning rate.
        steps: Planned optimiser steps of the run.
    """
    return LambdaLR(
        optimizer,
        lambda step: lr_factor(step, steps, warmup=config.warmup, final=config.final_lr),
    )


def lr_factor(step: int, steps: int, *, warmup: float, final: float) -> float:
    """Return the share of the largest learning rate at a step: linear warm-up, then a cosine.

    Args:
        step: Steps done before, 0 or more.
        steps: Planned steps, 1 or more.
        warmup: Share of the steps that rise linearly, in [0, 1).
        final: Share that is left at the end, in [0, 1].

    Returns:
        A number in (0, 1] during warm-up, in [final, 1] after it.
    """
    rise = round(warmup * steps)
    if step < rise:
        return (step + 1) / (rise + 1)
    done = min((step - rise) / max(steps - rise, 1), 1.0)
    return final + (1.0 - final) * 0.5 * (1.0 + math.cos(math.pi * done))
