"""Self-supervised runs: two views of each photo and no label; the last weights are the result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from samix.data import (
    ImageSet,
    Loading,
    PhotoDataset,
    RecipeName,
    Splits,
    View,
    ViewBatch,
    ViewDataset,
    build_view_loader,
    two_views,
)
from samix.evaluation.embeddings import in_order
from samix.evaluation.knn import NEIGHBOURS, TEMPERATURE, knn_accuracy
from samix.methods import SelfSupervisedMethod, StepOutput
from samix.networks import Standardised, standardised
from samix.progress import Announce

from .config import PretrainConfig
from .run_folder import RunFolder, write_model
from .task import Batches, Picture, Place, Row, life_row, of_all_processes, share

VIEWS: dict[str, RecipeName] = {
    "moco": "moco", "simclr": "simclr", "byol": "byol", "mocov3": "byol",
}  # fmt: skip
"""The recipe of the views of each method."""
_RULE = "the last epoch; nothing is chosen by labels"
_HELD_OUT = 2048  # validation photos at most
_HELD_OUT_BATCH = 256  # photos that are told from each other; the loss depends on it
_BANK, _ASKED = 5000, 2000  # photos at most: with known classes, and to be classified
_FIXED_BATCH = 64  # photos on which the Mixer's signs of life are measured
_FIXED_SEED = 0  # of views that are the same at every call


@dataclass(frozen=True)
class SelfSupervisedTask:
    """An encoder that learns without labels; see :class:`samix.training.task.Task`."""

    config: PretrainConfig  # of the run
    images: ImageSet  # all photos
    method: SelfSupervisedMethod  # with its initial weights
    view: View  # how photos are evaluated
    batches: DataLoader[ViewBatch]  # training batches of this process
    held_out: ViewDataset  # two views of validation photos, the same at every call
    fixed: ViewDataset  # two views of training photos, the same at every call
    bank: Batches | None  # training photos whose classes are known; None where there are no classes
    asked: Batches | None  # validation photos that neighbours in the bank classify, or None
    notes: tuple[str, ...]  # what the loaders decided

    @property
    def about(self) -> str:
        """What becomes of test photos and labels."""
        return " (never looked at), no labels"

    @property
    def record(self) -> dict[str, Any]:
        """The method."""
        return {"method": self.config.method}

    @property
    def look_cost(self) -> float:
        """Judging a view takes about a quarter of learning from a photo."""
        seen = 2 * len(self.held_out)
        for loader in (self.bank, self.asked):
            seen += 0 if loader is None else len(loader.dataset)  # type: ignore[arg-type]
        return seen / (4 * len(self.batches.dataset))  # type: ignore[arg-type]

    def step(self, batch: ViewBatch) -> StepOutput:
        """Return the loss of one batch of two views."""
        output: StepOutput = self.method(self._shown(batch))
        return output

    def measure(self, place: Place) -> dict[str, float]:
        """Return held-out loss, kNN accuracy where there are classes, and signs of life."""
        found = {"held_out_loss": self._held_out_loss(place)}
        if self.bank is not None:
            found["knn_top1"] = self._knn(self.method.encoder, place)
        views = self._shown(self._fixed_views(place))
        return {**found, **life_row(self.method.signs_of_life(views))}

    def is_best(self, row: Row, before: Sequence[Row]) -> bool:
        """Nothing is chosen."""
        return False

    def result(self, run: RunFolder) -> Path:
        """Return the last checkpoint."""
        return run.last

    def conclude(
        self, run: RunFolder, rows: Sequence[Row], place: Place, announce: Announce
    ) -> dict[str, Any]:
        """Return how the loss went, the held-out loss and, where there are classes, kNN."""
        networks = {"encoder": self.method.encoder, "average": self.method.average_encoder()}
        knn = None
        if self.bank is not None and self.asked is not None:
            knn = {
                **{n: {"top1": self._knn(m, place)} for n, m in networks.items() if m is not None},
                "photos": len(self.asked.dataset),  # type: ignore[arg-type]
                "bank": len(self.bank.dataset),  # type: ignore[arg-type]
                "k": NEIGHBOURS,
                "temperature": TEMPERATURE,
            }
        count = len(self.held_out)
        return {
            "method": self.config.method,
            "policy": self.config.policy,
            "held_out": {
                "loss": rows[-1]["held_out_loss"],
                "photos": count,
                "batch": min(count, _HELD_OUT_BATCH),
            },
            "knn": knn,
            "checkpoint": {"epoch": int(rows[-1]["epoch"]), "chosen_by": _RULE},
            "train": {"first_loss": rows[0]["loss"], "loss": rows[-1]["loss"]},
        }

    def picture(self, place: Place, generator: torch.Generator, pairs: int) -> Picture:
        """Return pairs of views, with class names where there are any."""
        views = tuple(view[:pairs] for view in self._fixed_views(place))
        plan = self.method.plan(self._shown(views), generator=generator)
        shown = [self.view.denormalise(view) for view in views]
        crossed = self.method.options.cross_view
        targets = [self.images.targets[i] for i in self.fixed.store.indices[: len(views[0])]]
        labels = [self.images.classes[t] if t >= 0 else "" for t in targets]
        return Picture(shown[0], shown[1] if crossed else None, plan, labels)

    def write_model(self, run: RunFolder) -> None:
        """Write the embedding network."""
        config, view = self.config, self.view
        write_model(
            run.path,
            self.method,
            config,
            classes=None,
            mean=view.mean,
            std=view.std,
            name=config.method,
            standardise=config.standardise,
            depth=self.images.depth,
        )

    @torch.no_grad()
    def _held_out_loss(self, place: Place) -> float:
        """Return the unmixed loss on validation, the mean over full batches."""
        count = len(self.held_out)
        size = min(count, _HELD_OUT_BATCH)
        losses = []
        for number in range(place.rank, count // size, place.processes):
            pairs = [(0, i) for i in range(number * size, (number + 1) * size)]
            views = tuple(view.to(place.device) for view in self.held_out.__getitems__(pairs))
            with place.precision():
                losses.append(self.method.held_out_loss(self._shown(views)).float())
        own = torch.stack(losses) if losses else torch.empty(0)
        return float(of_all_processes(own).mean())

    def _knn(self, network: nn.Module, place: Place) -> float:
        if self.bank is None or self.asked is None:
            return float("nan")
        network = Standardised(network) if self.config.standardise else network
        bank, known = _embed(network, self.bank, place)
        asked, target = _embed(network, self.asked, place)
        accuracy, _ = knn_accuracy(
            asked, target, bank, known, classes=len(self.images.classes), k=NEIGHBOURS
        )
        return accuracy

    def _shown(self, views: Sequence[Tensor]) -> tuple[Tensor, ...]:
        return tuple(standardised(v) if self.config.standardise else v for v in views)

    def _fixed_views(self, place: Place) -> tuple[Tensor, Tensor]:
        """Return two views (B,3,H,W) of training photos, the same at every call."""
        pairs = [(0, index) for index in range(len(self.fixed))]
        first, second = self.fixed.__getitems__(pairs)
        return first.to(place.device), second.to(place.device)


def self_supervised_task(
    config: PretrainConfig,
    images: ImageSet,
    splits: Splits,
    method: SelfSupervisedMethod,
    view: View,
    *,
    loading: Loading,
    announce: Announce | None,
) -> SelfSupervisedTask:
    """Return the task of a resolved configuration whose batch size fits."""
    views = two_views(
        config.image_size if config.view_size is None else config.view_size,
        photo_size=config.image_size,
        recipe=config.views or VIEWS[config.method],
        mean=view.mean,
        std=view.std,
    )
    batches, notes = build_view_loader(
        ViewDataset(images, splits.train, views, seed=config.seed),
        (config.batch_size or 2) // config.processes,
        loading=loading,
        progress=None if announce is None else lambda a, b: announce("reading photos", a, b),
    )
    held_out = ViewDataset(images, _some(splits.val, _HELD_OUT), views, seed=_FIXED_SEED)
    fixed = ViewDataset(images, _some(splits.train, _FIXED_BATCH), views, seed=_FIXED_SEED)
    for dataset in (held_out, fixed):
        if dataset.store.need <= loading.cache_budget:
            dataset.store.keep()
    bank, asked = _labelled(images, splits, view, loading)
    return SelfSupervisedTask(
        config, images, method, view, batches, held_out, fixed, bank, asked, notes
    )


def _labelled(
    images: ImageSet, splits: Splits, view: View, loading: Loading
) -> tuple[Batches | None, Batches | None]:
    """Return the photos for kNN: this alone reads labels, and no training depends on it."""
    parts = [
        _some([i for i in part if images.targets[i] >= 0], most)
        for part, most in ((splits.train, _BANK), (splits.val, _ASKED))
    ]
    if len({images.targets[i] for i in parts[0]}) < 2:
        return None, None
    if min(len(part) for part in parts) < loading.world_size:  # each process takes some
        return None, None
    loaders = []
    for part in parts:
        dataset = PhotoDataset(images, part, view)
        if dataset.store.need <= loading.cache_budget:
            dataset.store.keep()
        loaders.append(in_order(dataset, _HELD_OUT_BATCH))
    return loaders[0], loaders[1]


def _some(indices: Sequence[int], most: int) -> tuple[int, ...]:
    """Return a random sample of some positions in random order, the same at every call."""
    order = np.random.default_rng(len(indices)).permutation(len(indices))[:most]
    return tuple(indices[i] for i in order.tolist())


@torch.no_grad()
def _embed(network: nn.Module, batches: Batches, place: Place) -> tuple[Tensor, Tensor]:
    """Return (N,D) embeddings and (N,) classes of all processes, on the CPU."""
    training = network.training
    network.eval()
    embeddings, classes = [], []
    for images, target in share(batches, place.rank, place.processes):
        with place.precision():
            embeddings.append(network(images.to(place.device)).float().cpu())
        classes.append(target)
    network.train(training)
    return of_all_processes(torch.cat(embeddings)), of_all_processes(torch.cat(classes))
