"""What one kind of run does differently from another; everything else is shared.

Beside the protocol: the batches that one process of several measures, and the signs of life of a
Mixer.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import torch
import torch.distributed as dist
from torch import Tensor
from torch.utils.data import DataLoader

from samix.data import View
from samix.evaluation.embeddings import in_order
from samix.evaluation.metrics import precision
from samix.methods import SelfSupervisedMethod, StepOutput, SupervisedMethod
from samix.mixing import MixPlan
from samix.progress import Announce

from .config import RunConfig, TrainConfig
from .machine import AUTOCAST
from .run_folder import RunFolder

Method = SupervisedMethod | SelfSupervisedMethod
Row = Mapping[str, float]
Batches = DataLoader[tuple[Tensor, Tensor]]
LEAST_DEVIATION = 0.1  # standard deviation within a mask, of which a constant mask has none
LEAST_CORRELATION = 0.9  # of area and lam
LEAST_EXCHANGE = 0.9  # correlation of a mask with that of the exchanged pair
LEAST_CHANGE = 0.1  # of a mask by another partner
NEEDED = {
    "mask_deviation": LEAST_DEVIATION,
    "area_lam_correlation": LEAST_CORRELATION,
    "exchange_correlation": LEAST_EXCHANGE,
    "partner_change": LEAST_CHANGE,
}
"""What a Mixer that is alive has at least; see :func:`samix.methods.mixer_step.signs_of_life`."""
FIRST_LOOK = 0.1  # share of the steps after which a Mixer should be alive
_PREFIX = "mixer_"


@dataclass(frozen=True)
class Place:
    """Where a network is measured."""

    device: torch.device | str  # where the weights are
    autocast: torch.dtype | None = None  # precision of the forward pass; None is the weights'
    rank: int = 0  # number of this process
    processes: int = 1  # number of processes that share the work

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


def step_seconds(method: Method, config: RunConfig, batch: int) -> float:
    """Return the seconds of a step of a method on noise; its gradients and statistics change.

    Args:
        method: Ready to train.
        config: Resolved.
        batch: Photos of the step.
    """
    method = method.to(config.device).train()
    size = getattr(config, "view_size", None) or config.image_size or 32
    generator = torch.Generator().manual_seed(0)
    photos = torch.randn(batch, 3, size, size, generator=generator).to(config.device)
    classes = getattr(method, "num_classes", None) or 1
    target = (torch.arange(batch) % classes).to(config.device)
    shown = (photos, target) if isinstance(config, TrainConfig) else ([photos, photos],)
    place, took = Place(config.device, AUTOCAST[config.precision]), []
    for _ in range(2):  # the first warms up
        begin = time.monotonic()
        with torch.random.fork_rng(devices=[]), place.precision():
            loss = method(*shown).loss
        loss.backward()
        float(loss.detach())  # waits for the device
        took.append(time.monotonic() - begin)
    return min(took)


def share(loader: Batches, rank: int, processes: int) -> Batches:
    """Return the part of a loader for evaluation that one process looks at."""
    if processes == 1:
        return loader
    dataset: Any = loader.dataset
    return in_order(dataset, loader.batch_size, range(rank, len(dataset), processes))


def of_all_processes(values: Tensor) -> Tensor:
    """Return the (N, ...) values of all processes, each with an N of its own, on the CPU."""
    values = values.detach().cpu()
    if not (dist.is_available() and dist.is_initialized()):
        return values
    parts: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(parts, values)
    return torch.cat(parts)


def is_alive(row: Mapping[str, float]) -> bool:
    """Say whether masks have structure, follow the content of both images, and areas follow lam."""
    return all(row[f"{_PREFIX}{name}"] >= least for name, least in NEEDED.items())


def life_row(signs: Mapping[str, Any]) -> dict[str, float]:
    """Return the signs of life as columns of the history."""
    return {f"{_PREFIX}{name}": float(value) for name, value in signs.items()}


def has_mixer(rows: Sequence[Mapping[str, float]]) -> bool:
    """Say whether the run has a Mixer at all."""
    return any(_measured(row) for row in rows)


def first_look(rows: Sequence[Mapping[str, float]], steps: int) -> Mapping[str, float] | None:
    """Return the first look at the Mixer from 10 % of the planned steps on, None before it."""
    late = (row for row in rows if row["step"] >= FIRST_LOOK * steps)
    return next((row for row in late if _measured(row)), None)


def life_summary(rows: Sequence[Mapping[str, float]], steps: int) -> dict[str, Any]:
    """Return what metrics.json says about the Mixer."""
    rows = [row for row in rows if _measured(row)]
    early = first_look(rows, steps)
    alive = [int(row["epoch"]) for row in rows if is_alive(row)]
    dead = [int(row["epoch"]) for row in rows if not is_alive(row)]
    unbroken = [epoch for epoch in alive if epoch > max(dead, default=-1)]
    last = {k.removeprefix(_PREFIX): v for k, v in rows[-1].items() if k.startswith(_PREFIX)}
    return {
        "came_alive": bool(alive),
        "first_alive_epoch": alive[0] if alive else None,
        "alive_since_epoch": unbroken[0] if unbroken else None,
        "alive_at_10_percent": None if early is None else is_alive(early),
        "alive_at_end": is_alive(rows[-1]),
        "at_10_percent": None if early is None else _signs(early),
        "at_end": last,
        "needed": dict(NEEDED),
    }


def life_sentence(row: Mapping[str, float]) -> str:
    """Return one sentence on whether the Mixer is alive in an epoch."""
    signs = _signs(row)
    numbers = (
        f"masks vary by {signs['mask_deviation']:.2f} (needed {LEAST_DEVIATION:g}), areas follow "
        f"lam by {signs['area_lam_correlation']:.2f} (needed {LEAST_CORRELATION:g}), exchanged "
        f"images exchange the mask by {signs['exchange_correlation']:.2f} (needed "
        f"{LEAST_EXCHANGE:g}), another partner changes it by {signs['partner_change']:.2f} (needed "
        f"{LEAST_CHANGE:g})"
    )
    if is_alive(row):
        return f"The Mixer is alive: {numbers}."
    return f"The Mixer is NOT alive yet: {numbers}; until then its mixes are costly mixup."


def _measured(row: Mapping[str, float]) -> bool:
    return f"{_PREFIX}mask_deviation" in row


def _signs(row: Mapping[str, float]) -> dict[str, float]:
    return {name: row[f"{_PREFIX}{name}"] for name in NEEDED}
