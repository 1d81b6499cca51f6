"""The momentum encoder: an averaged copy of a network, and how fast it forgets."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from .backbone import Tap, in_format, settle_format, tap_features

_WINDOW_SHARE = 0.015  # of the run
_LEAST_WINDOW = 20  # steps
_FIT = 0.01  # of fresh statistics may be left in an average that judges
Statistics = Literal["auto", "averaged", "batch"]
"""What batch norms of a momentum encoder may use; see :class:`MomentumEncoder`."""
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


def check_statistics(statistics: str) -> None:
    """Raise a ValueError unless batch norms of a momentum encoder can use such statistics."""
    allowed = get_args(Statistics)
    if statistics not in allowed:
        raise ValueError(
            f"teacher_statistics: expected one of {', '.join(allowed)}, got {statistics!r}"
        )


class MomentumEncoder(nn.Module):
    """An averaged copy of an encoder: no gradient reaches its parameters, always in eval mode.

    A batch norm in it uses averaged statistics. Where those of the encoder are fresh (mean 0 and
    variance 1, as before any training), they fit no image yet, and a deep network may give values
    out of all proportion; until less than 1 % of them is left in the average, the statistics of
    the batch at hand are used instead, as the encoder itself does in training.

    Args:
        encoder: The network to copy.
        statistics: "auto" as above, "averaged" or "batch" from the first step to the last. The
            public implementation of SAMix has "batch".
    """

    def __init__(self, encoder: nn.Module, *, statistics: Statistics = "auto") -> None:
        super().__init__()
        check_statistics(statistics)
        self.module = copy.deepcopy(encoder).requires_grad_(False).eval()
        self.channels_last = settle_format(self.module)
        self.statistics = statistics
        self._left = self._fresh()  # share of fresh statistics

    @property
    def uses_batch(self) -> bool:
        """Whether the statistics of the batch are used instead of averaged ones."""
        return self.statistics == "batch" or self._left > _FIT

    def train(self, mode: bool = True) -> MomentumEncoder:
        """Stay in eval mode."""
        return super().train(False)

    def forward(self, images: Tensor) -> Tensor:
        """Return what the encoder would, with averaged weights."""
        with self._batch_statistics(len(images)):
            output: Tensor = self.module(in_format(images, self.channels_last))
        return output

    @torch.no_grad()
    def features(self, images: Tensor, tap: Tap) -> Tensor:
        """Return the (B,C,h,w) feature map at a tap, without gradient."""
        with self._batch_statistics(len(images)):
            return tap_features(self.module, in_format(images, self.channels_last), tap)

    def update(self, encoder: nn.Module, decay: float) -> None:
        """Move the average towards the encoder; see :func:`update_average`."""
        update_average(self.module, encoder, decay)
        if self._left > _FIT:
            own = _fresh_share(encoder)
            self._left = decay * self._left + (1.0 - decay) * own

    def begin_as(self, encoder: nn.Module) -> None:
        """Become a copy of the encoder again, whose weights have come from elsewhere."""
        update_average(self.module, encoder, 0.0)
        self._left = self._fresh()

    def _fresh(self) -> float:
        """Return 1 where statistics are fresh and the batch at hand may stand for them."""
        fresh = any(_is_fresh(norm) for norm in _norms(self.module))
        return 1.0 if fresh and self.statistics == "auto" else 0.0

    def get_extra_state(self) -> Tensor:
        """Return for the state dict how much of fresh statistics is left."""
        return torch.tensor(self._left, dtype=torch.float64)

    def set_extra_state(self, state: Tensor) -> None:
        """Take up from a state dict how much of fresh statistics is left."""
        self._left = float(state)

    @contextmanager
    def _batch_statistics(self, batch: int) -> Iterator[None]:
        """Let batch norms use the batch while the context is open, where the average does not fit.

        Their own statistics are not touched. A single image has no statistics of a batch.
        """
        if not self.uses_batch or batch < 2:
            yield
            return
        norms = [norm for norm in _norms(self.module) if norm.track_running_stats]
        for norm in norms:
            norm.training, norm.track_running_stats = True, False
        try:
            yield
        finally:
            for norm in norms:
                norm.training, norm.track_running_stats = False, True


def _is_fresh(norm: _BatchNorm) -> bool:
    """Say whether a batch norm has not seen an image yet."""
    if norm.running_mean is None or norm.running_var is None:
        return False
    return not bool(norm.running_mean.any()) and bool((norm.running_var == 1.0).all())


def _fresh_share(encoder: nn.Module) -> float:
    """Return how much of its fresh statistics a batch norm has still, at most, in [0, 1]."""
    norms = _norms(encoder)
    counts = [norm.num_batches_tracked for norm in norms if norm.num_batches_tracked is not None]
    known = iter(torch.stack(counts).tolist() if counts else ())  # the device is waited for once
    left = []
    for norm in norms:
        seen = 0 if norm.num_batches_tracked is None else next(known)
        rate = norm.momentum  # None is an average of all batches
        left.append(float(not seen) if rate is None else (1.0 - float(rate)) ** seen)
    return max(left, default=0.0)


def _norms(module: nn.Module) -> list[_BatchNorm]:
    return [part for part in module.modules() if isinstance(part, _BatchNorm)]
