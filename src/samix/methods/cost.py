"""How much work a learned policy may cause in a step: the paper's way, or a cheaper one."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from samix.policies import nearest

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
DEFAULT_COST = "fast"
"""What is taken unless something else is asked for: cheaper, and not worse where measured."""


def find_cost(cost: str | Cost) -> Cost:
    """Return a cost by its name; a :class:`Cost` is returned as it is.

    Raises:
        ValueError: Unknown name.
    """
    if isinstance(cost, Cost):
        return cost
    if cost not in COSTS:
        raise ValueError(
            f"cost: expected one of {', '.join(COSTS)} or a samix.methods.Cost, got {cost!r}; the "
            f"nearest is {nearest(str(cost), COSTS)!r}"
        )
    return COSTS[cost]


def scaled(images: Tensor, scale: float) -> Tensor:
    """Return images with their sides multiplied by a scale, as they are for a scale of 1.

    Args:
        images: (B,C,H,W) floating point.
        scale: In (0, 1].
    """
    if scale == 1.0:
        return images
    size = [max(round(side * scale), 1) for side in images.shape[2:]]
    return F.interpolate(images, size, mode="area")
