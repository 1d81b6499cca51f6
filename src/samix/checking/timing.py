"""How long policies take to mix a batch, as multiples of a copy of it."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from samix.policies import Policy

from .subject import stand_in_evidence, stand_in_features


@dataclass(frozen=True)
class MixTime:
    """How long it takes to mix a batch.

    Attributes:
        seconds: Median of the repetitions, plan and blend together.
        copies: The same as a multiple of a copy of the batch, which is the floor.
    """

    seconds: float
    copies: float


def mix_time(
    policy: Policy,
    images: Tensor,
    *,
    repeats: int = 7,
    most: float = 2.0,
    clock: Callable[[], float] = time.perf_counter,
) -> MixTime:
    """Measure how long a policy takes to plan and blend a batch on the CPU.

    What a network knows of the images is given by a stand-in, and its time is not counted. A policy
    that mixes inside the network mixes such features.

    Args:
        policy: The policy.
        images: (B,C,H,W).
        repeats: How often it is measured, after one call that is not.
        most: Seconds after which no further repetition begins.
        clock: Gives seconds; ``time.thread_time`` leaves out what else a machine does, for one
            thread.
    """
    if policy.traits.seam == "feature":
        images = stand_in_features(images)
    evidence = stand_in_evidence(images, policy.traits.needs)
    target = torch.arange(len(images))
    if policy.traits.sources == "history":
        policy.after(images, torch.eye(len(images)))

    def step() -> None:
        with torch.no_grad():
            generator = torch.Generator().manual_seed(0)
            plan = policy.plan(images, target=target, evidence=evidence, generator=generator)
            policy.mix(images, plan)

    taken = _median(step, repeats, most, clock)
    return MixTime(taken, taken / max(_median(images.clone, 5 * repeats, most, clock), 1e-9))


def _median(
    step: Callable[[], object], repeats: int, most: float, clock: Callable[[], float]
) -> float:
    step()
    begin, times = time.perf_counter(), []
    for _ in range(repeats):
        start = clock()
        step()
        times.append(clock() - start)
        if time.perf_counter() - begin > most:
            break
    return statistics.median(times)
