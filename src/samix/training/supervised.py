"""Supervised runs: labels, a choice by validation, and the test at the end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from samix.data import ImageSet, Loaders, Loading, PhotoDataset, Splits, View, build_loaders
from samix.data import train_view as augmented_view
from samix.evaluation import evaluate_classifiers
from samix.evaluation.embeddings import in_order
from samix.evaluation.metrics import areas_under_curve
from samix.methods import StepOutput, SupervisedMethod
from samix.progress import Announce

from .config import TrainConfig
from .run_folder import PREDICTIONS, RunFolder, write_model, write_predictions
from .task import Batches, Picture, Place, Row, life_row, share

CHOSEN_BY = "val_balanced_accuracy"
_RULE = "highest balanced accuracy of the encoder on val; the later epoch where two are equal"
_SAMPLE = 512  # training photos on which accuracy without augmentation is measured
_FIXED_BATCH = 64  # photos on which the Mixer's signs of life are measured


@dataclass(frozen=True)
class SupervisedTask:
    """A classifier that learns from labels; see :class:`samix.training.task.Task`."""

    config: TrainConfig  # of the run
    images: ImageSet  # all photos
    splits: Splits  # train (the labels that may be used), val and test
    method: SupervisedMethod  # with its initial weights
    view: View  # how photos are evaluated
    loaders: Loaders  # batches of this process
    sample: Batches  # training photos without augmentation, the same at every call

    @property
    def batches(self) -> DataLoader[Any]:
        """Augmented training photos and their classes."""
        return self.loaders.train

    @property
    def notes(self) -> tuple[str, ...]:
        """What the loaders decided."""
        return self.loaders.notes

    @property
    def about(self) -> str:
        """How many classes."""
        return f", {len(self.images.classes)} classes"

    @property
    def record(self) -> dict[str, Any]:
        """The classes."""
        return {"classes": list(self.images.classes)}

    @property
    def look_cost(self) -> float:
        """Judging a photo takes about a third of learning from it."""
        return len(self.splits.val) / (3 * len(self.splits.train))

    def step(self, batch: tuple[Tensor, Tensor]) -> StepOutput:
        """Return the loss of one batch of photos and classes."""
        images, target = batch
        output: StepOutput = self.method(images, target)
        return output

    def measure(self, place: Place) -> dict[str, float]:
        """Return the metrics on validation and on clean training photos, and the signs of life."""
        found: dict[str, float] = {}
        for part, loader in (("train", self.sample), ("val", self.loaders.val)):
            judged = evaluate_classifiers(
                self._networks() if part == "val" else {"encoder": self.method.encoder},
                share(loader, place.rank, place.processes),
                self.images.classes,
                device=place.device,
                autocast=place.autocast,
            )
            for name, result in judged.items():
                prefix = f"{part}_" if name == "encoder" else f"{name}_{part}_"
                found[f"{prefix}top1"] = result.top1
                if part == "val":
                    found[f"{prefix}balanced_accuracy"] = result.balanced_accuracy
                    found[f"{prefix}nll"] = result.nll
                    found[f"{prefix}ece"] = result.ece
        images, target = (part.to(place.device) for part in self._fixed_batch())
        return {**found, **life_row(self.method.signs_of_life(images, target))}

    def is_best(self, row: Row, before: Sequence[Row]) -> bool:
        """Validation chooses; of two equal looks the later one."""
        return row[CHOSEN_BY] >= max(
            (old[CHOSEN_BY] for old in before if CHOSEN_BY in old), default=-1.0
        )

    def result(self, run: RunFolder) -> Path:
        """Return the checkpoint that validation chose."""
        return run.best

    def conclude(
        self, run: RunFolder, rows: Sequence[Row], place: Place, announce: Announce
    ) -> dict[str, Any]:
        """Judge the chosen weights on test and on val, and write what they said of each photo."""
        looks = [row for row in rows if CHOSEN_BY in row]
        chosen = max(looks, key=lambda row: (row[CHOSEN_BY], row["epoch"]))
        judged: dict[str, Any] = {"test": None}
        said = {}
        for part, loader in (("test", self.loaders.test), ("val", self.loaders.val)):
            if loader is not None:
                judged[part], said[part] = self._judge(loader, place, announce, f"judging {part}")
        write_predictions(run.path / PREDICTIONS, self.images, self.splits, said)
        return {
            **judged,
            "checkpoint": {"epoch": int(chosen["epoch"]), "chosen_by": _RULE},
            "train": {
                "top1_without_augmentation": rows[-1]["train_top1"],
                "loss": rows[-1]["loss"],
            },
        }

    def picture(self, place: Place, generator: torch.Generator, pairs: int) -> Picture:
        """Return pairs of clean training photos with their classes."""
        images, target = (part[:pairs] for part in self._fixed_batch())
        at = images.to(place.device), target.to(place.device)
        # a mix of features cannot be shown: the picture is that of mixup with the same lam; nor an
        # earlier batch: these photos stand for it
        plan = self.method.plan(*at, generator=generator)
        plan = replace(plan, source=plan.source.of_this_batch())
        labels = [self.images.classes[int(number)] for number in target]
        return Picture(self.view.denormalise(images), None, plan, labels)

    def write_model(self, run: RunFolder) -> None:
        """Write the classifier."""
        view, classes = self.view, self.images.classes
        write_model(
            run.path,
            self.method,
            self.config,
            classes=classes,
            mean=view.mean,
            std=view.std,
            depth=self.images.depth,
        )

    def _networks(self) -> dict[str, torch.nn.Module]:
        networks: dict[str, torch.nn.Module] = {"encoder": self.method.encoder}
        if self.method.average is not None and self.config.teacher == "average":
            networks["average"] = self.method.average
        return networks

    def _judge(
        self, loader: Batches, place: Place, announce: Announce, what: str
    ) -> tuple[dict[str, Any], Tensor]:
        """Return metrics of encoder and average on one part, and the encoder's probabilities."""
        logits: list[Tensor] = []
        targets: list[Tensor] = []

        def counted() -> Any:
            for number, batch in enumerate(loader):
                targets.append(batch[1])
                yield batch
                announce(what, number + 1, len(loader))

        with self.method.encoder.register_forward_hook(
            lambda _module, _inputs, output: logits.append(output.float().cpu())
        ):
            results = evaluate_classifiers(
                self._networks(),
                counted(),
                self.images.classes,
                device=place.device,
                autocast=place.autocast,
            )
        metrics = {name: result.to_dict() for name, result in results.items()}
        said, target = torch.cat(logits).softmax(1), torch.cat(targets)
        metrics["encoder"]["auc"] = areas_under_curve(said, target, self.images.classes)
        return metrics, said

    def _fixed_batch(self) -> tuple[Tensor, Tensor]:
        """Return (B,3,H,W) photos and (B,) classes, the same at every call."""
        dataset: Any = self.sample.dataset
        pairs = [(0, index) for index in range(min(_FIXED_BATCH, len(dataset)))]
        images, target = dataset.__getitems__(pairs)
        return images, target


def supervised_task(
    config: TrainConfig,
    images: ImageSet,
    splits: Splits,
    method: SupervisedMethod,
    view: View,
    *,
    loading: Loading,
    announce: Announce | None,
) -> SupervisedTask:
    """Return the task of a resolved configuration whose batch size fits."""
    training = augmented_view(
        config.image_size, augmentation=config.augmentation, mean=view.mean, std=view.std
    )
    loaders = build_loaders(
        images,
        splits,
        train=training,
        evaluation=view,
        batch_size=(config.batch_size or 1) // config.processes,
        loading=loading,
        progress=None if announce is None else lambda a, b: announce("reading photos", a, b),
    )
    sample = _sample(images, splits, view, loaders.batch_size, config.seed)
    return SupervisedTask(config, images, splits, method, view, loaders, sample)


def _sample(images: ImageSet, splits: Splits, view: View, batch_size: int, seed: int) -> Batches:
    order = np.random.default_rng([seed, len(splits.train)]).permutation(len(splits.train))
    chosen = [splits.train[i] for i in order[:_SAMPLE]]
    dataset = PhotoDataset(images, chosen, view)
    dataset.store.keep()
    return in_order(dataset, batch_size)
