"""The momentum encoder: an averaged copy of a network, and how fast it forgets."""

from __future__ import annotations

import copy
import math

import torch
from torch import Tensor, nn

from .backbone import Tap, tap_features
from .memory_format import in_format, settle_format

_WINDOW_SHARE = 0.015  # of the run
_LEAST_WINDOW = 20  # steps
_LARGEST_SHARE = 0.1  # of the run; keeps the initial weights under 1 % in short runs


def momentum_decay(step: int, steps: int | None) -> float:
    """Return the weight of the old value in one update of the average.

    With planned steps T: ``decay = 1 - (1 + cos(pi t / T)) / (2 window)`` where the window is 1.5 %
    of T, at least 20 steps and at most a tenth of T. Averaging starts over about one window and
    freezes at the end; after T updates less than 1 % of the initial weights is left.
    Without a plan the window grows with the steps done: ``max(min(t + 1, 20), 0.015 t)``.

    Deviation from SAMix (arXiv 2111.15454), which takes 0.999 rising to 0.999999: made for 200,000
    steps, this leaves a third of the random initial weights in the average of a run of 2,000.

    Args:
        step: Number of updates done before, 0 or more.
        steps: Planned number of updates of the run, or None.

    Returns:
        A number in [0, 1].

    Raises:
        ValueError: ``steps`` is given and below 1.
    """
    if steps is None:
        window = max(min(step + 1.0, _LEAST_WINDOW), _WINDOW_SHARE * step)
        return 1.0 - 1.0 / window
    if steps < 1:
        raise ValueError(f"steps: expected a number of at least 1, got {steps}")
    window = min(max(_LEAST_WINDOW, _WINDOW_SHARE * steps), _LARGEST_SHARE * steps)
    rate = 0.5 * (1.0 + math.cos(math.pi * min(step / steps, 1.0)))
    return 1.0 - rate / max(window, 1.0)


@torch.no_grad()
def update_average(average: nn.Module, network: nn.Module, decay: float) -> None:
    """Move an average towards a network in place.

    ``average = decay * average + (1 - decay) * new``.

    Parameters and floating-point buffers (the statistics of a batch norm) are averaged, integer
    buffers are copied.

    Args:
        average: The module to change; of the same make as the network.
        network: The module to average.
        decay: Weight of the old value in [0, 1]: 1 freezes, 0 copies.
    """
    pairs = list(zip(_tensors(average), _tensors(network), strict=True))
    moved = [pair for pair in pairs if pair[0].is_floating_point()]
    copied = [pair for pair in pairs if not pair[0].is_floating_point()]
    torch._foreach_lerp_([old for old, _ in moved], [new for _, new in moved], 1.0 - decay)
    if copied:
        torch._foreach_copy_([old for old, _ in copied], [new for _, new in copied])


def _tensors(module: nn.Module) -> list[Tensor]:
    return [*module.parameters(), *module.buffers()]


class MomentumEncoder(nn.Module):
    """An averaged copy of an encoder: no gradient reaches its parameters, always in eval mode.

    Args:
        encoder: The network to copy.
    """

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.module = copy.deepcopy(encoder).requires_grad_(False).eval()
        self.memory_format = settle_format(self.module)

    def train(self, mode: bool = True) -> MomentumEncoder:
        """Stay in eval mode: the average uses averaged batch statistics, never those of a batch."""
        return super().train(False)

    def forward(self, images: Tensor) -> Tensor:
        """Return what the encoder would, with averaged weights."""
        output: Tensor = self.module(in_format(images, self.memory_format))
        return output

    @torch.no_grad()
    def features(self, images: Tensor, tap: Tap) -> Tensor:
        """Return the (B,C,h,w) feature map at a tap, without gradient."""
        return tap_features(self.module, in_format(images, self.memory_format), tap)

    def update(self, encoder: nn.Module, decay: float) -> None:
        """Move the average towards the encoder; see :func:`update_average`."""
        update_average(self.module, encoder, decay)
