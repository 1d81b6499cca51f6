"""What one kind of run does differently from another; everything else is shared."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from samix.data import View
from samix.evaluation.classification import precision
from samix.methods import SelfSupervisedMethod, StepOutput, SupervisedMethod
from samix.mixing import MixPlan

from .runs import RunFolder

Method = SupervisedMethod | SelfSupervisedMethod
Announce = Callable[[str, int, int], None]
"""Called with (what is done, done, total) during long work."""
Row = Mapping[str, float]


@dataclass(frozen=True)
class Place:
    """Where a network is measured.

    Attributes:
        device: Where the weights are.
        autocast: Precision of the forward pass; None is that of the weights.
        rank: Number of this process.
        processes: Number of processes that share the work.
    """

    device: torch.device | str
    autocast: torch.dtype | None = None
    rank: int = 0
    processes: int = 1

    def precision(self) -> AbstractContextManager[Any]:
        """Return the context of a forward pass."""
        return precision(self.device, self.autocast)


class Picture(NamedTuple):
    """What mixes.png shows: images and partners (B,3,H,W) in [0, 1], plan, and a label each."""

    images: Tensor
    partner_images: Tensor | None
    plan: MixPlan
    labels: Sequence[str]


class Task(Protocol):
    """One kind of run: what a step is, what is measured, which weights are kept, how it ends."""

    @property
    def method(self) -> Method:
        """What is trained."""

    @property
    def view(self) -> View:
        """How photos are evaluated; it can undo the normalisation."""

    @property
    def batches(self) -> DataLoader[Any]:
        """Training batches; call ``sampler.set_epoch(epoch)`` before each epoch."""

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences for the user."""

    @property
    def about(self) -> str:
        """What the opening sentence says after the numbers of photos."""

    @property
    def record(self) -> dict[str, Any]:
        """Plain values by which a checkpoint is told from those of other models."""

    @property
    def look_cost(self) -> float:
        """Time of one look at validation as a share of that of an epoch, about."""

    def step(self, batch: Any) -> StepOutput:
        """Return the loss of one training batch."""

    def measure(self, place: Place) -> dict[str, float]:
        """Return what one look finds, as columns of the history."""

    def is_best(self, row: Row, before: Sequence[Row]) -> bool:
        """Say whether this look gives the best weights so far, to be kept as best.ckpt."""

    def result(self, run: RunFolder) -> Path:
        """Return the checkpoint that is the result of the run."""

    def conclude(
        self, run: RunFolder, rows: Sequence[Row], place: Place, announce: Announce
    ) -> dict[str, Any]:
        """Judge the result, whose weights are in the method, for metrics.json."""

    def picture(self, place: Place, generator: torch.Generator, pairs: int) -> Picture:
        """Return pairs of training photos as the policy of the run mixes them."""

    def write_model(self, run: RunFolder) -> None:
        """Write the network as others can use it."""
