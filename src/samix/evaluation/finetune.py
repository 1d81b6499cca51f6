"""Fine-tuning: the whole network learns from few labels."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from samix.data import Loading, PhotoDataset, train_view
from samix.data.loaders import keep_photos
from samix.data.views import Augmentation
from samix.methods.step import parameter_groups
from samix.options import Options, option
from samix.progress import Display, Said

from .embeddings import Machine, PhotoParts, in_order
from .encoder import Encoder
from .metrics import ClassificationResult, evaluate_classifiers

_WARMUP = 0.05  # share of the steps with rising rate
_HEAD_SCALE = 0.01  # standard deviation of the head's first weights
_HEAD_RATE = 10.0  # of the body's: the head begins from nothing
_MOMENTUM = 0.9
_DECAY = {"sgd": 5e-4, "adamw": 0.05}
_RATE = {"sgd": 0.02, "adamw": 2e-4}


@dataclass(frozen=True, kw_only=True)
class FinetuneOptions(Options):
    """How a network is fine-tuned; the last weights are judged, nothing is chosen.

    Attributes:
        epochs: Passes over the labelled photos.
        least_steps: Steps at least, so that a small budget learns too.
        batch_size: Photos in a step; all of them where there are fewer.
        lr: Largest learning rate of the body; None is 0.02 with SGD, for networks with batch norm,
            and 0.0002 with AdamW, for others.
        head_lr: The same of the head; None is ten times that of the body.
        augmentation: As in :func:`samix.data.train_view`.
    """

    epochs: int = option(30, least=1)
    least_steps: int = option(300, least=1)
    batch_size: int = option(64, least=2)
    lr: float | None = option(None, above=0)
    head_lr: float | None = option(None, above=0)
    augmentation: Augmentation | None = None

    def steps(self, photos: int) -> int:
        """Return the steps for so many labelled photos: ``least_steps``, or more by ``epochs``."""
        return max(self.least_steps, self.epochs * math.ceil(photos / self.batch_size))


@dataclass(frozen=True)
class FinetuneRecipe:
    """The resolved optimisation of a network."""

    optimizer: str  # "sgd" (Nesterov momentum 0.9) or "adamw"
    lr: float  # largest of the body; it rises over 5 % of the steps and falls as a cosine
    head_lr: float  # the same of the head
    weight_decay: float  # of weights of two or more dimensions


def recipe_for(network: nn.Module, options: FinetuneOptions) -> FinetuneRecipe:
    """Return the optimisation for a network: SGD where it has batch norm, else AdamW."""
    has_norm = any(isinstance(module, _BatchNorm) for module in network.modules())
    name = "sgd" if has_norm else "adamw"
    lr = _RATE[name] if options.lr is None else options.lr
    head_lr = _HEAD_RATE * lr if options.head_lr is None else options.head_lr
    return FinetuneRecipe(name, lr, head_lr, _DECAY[name])


@dataclass
class Finetuner:
    """Fine-tunes copies of an encoder on subsets of the train part."""

    encoder: Encoder
    photos: PhotoParts
    options: FinetuneOptions
    machine: Machine
    progress: Display

    def __post_init__(self) -> None:
        self.recipe = recipe_for(self.encoder.network, self.options)
        self.dataset, self.workers = _training_photos(self.photos, self.encoder, self.options)

    def run(self, chosen: Sequence[int], seed: int, what: Said) -> ClassificationResult:
        """Fine-tune on two or more positions within the train part, and judge on test."""
        device = torch.device(self.machine.device)
        devices = [device] if device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(seed)
            classes = len(self.photos.images.classes)
            head = nn.Linear(self.encoder.dimension, classes)  # begins from nearly nothing
            nn.init.trunc_normal_(head.weight, std=_HEAD_SCALE)
            nn.init.zeros_(head.bias)
            body = copy.deepcopy(self.encoder.network).requires_grad_(True)
            network = nn.Sequential(body, head).to(device)
            self._train(network, chosen, seed, what)
        return evaluate_classifiers(
            {"network": network},
            self.photos.batches("test"),
            self.photos.images.classes,
            device=device,
            autocast=self.machine.autocast,
        )["network"]

    def _train(self, network: nn.Sequential, chosen: Sequence[int], seed: int, what: Said) -> None:
        steps = self.options.steps(len(chosen))
        optimizer = _optimizer(network, self.recipe)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: lr_factor(step, steps, rise=math.ceil(_WARMUP * steps))
        )
        kind = torch.device(self.machine.device).type
        scaler = torch.amp.GradScaler(kind, enabled=self.machine.autocast is torch.float16)
        network.train()
        for number, (images, target) in enumerate(self._batches(chosen, seed, steps)):
            with self.machine.precision():
                logits = network(images.to(self.machine.device))
                loss = F.cross_entropy(logits.float(), target.to(self.machine.device))
            optimizer.zero_grad()
            scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
            scaler.step(optimizer)
            scaler.update()
            schedule.step()
            self.progress.work(what, number + 1, steps)
        network.eval()

    def _batches(
        self, chosen: Sequence[int], seed: int, steps: int
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield as many batches as there are steps, in a new order each epoch.

        A batch of one photo has no batch statistics; such a rest is left out.
        """
        dataset = copy.copy(self.dataset)
        dataset.seed = seed
        size = min(self.options.batch_size, len(chosen))
        single_rest = len(chosen) > size and len(chosen) % size == 1
        done = epoch = 0
        while done < steps:
            order = np.random.default_rng([seed, epoch]).permutation(np.asarray(chosen)).tolist()
            for batch in in_order(
                dataset, size, order, epoch=epoch, drop_last=single_rest, num_workers=self.workers
            ):
                if done < steps:
                    yield batch
                done += 1
            epoch += 1


def lr_factor(step: int, steps: int, *, rise: int, final: float = 0.0) -> float:
    """Return the share of the largest learning rate at a step: linear warm-up, then a cosine.

    Args:
        step: Steps done before, 0 or more.
        steps: Planned steps, 1 or more.
        rise: Steps in which it rises linearly.
        final: Share that is left at the end, in [0, 1].

    Returns:
        A number in (0, 1] during warm-up, in [final, 1] after it.
    """
    if step < rise:
        return (step + 1) / (rise + 1)
    done = min((step - rise) / max(steps - rise, 1), 1.0)
    return final + (1.0 - final) * 0.5 * (1.0 + math.cos(math.pi * done))


def _training_photos(
    photos: PhotoParts, encoder: Encoder, options: FinetuneOptions
) -> tuple[PhotoDataset, int]:
    """Return the whole train part under augmentation, and the number of loading processes."""
    view = train_view(
        encoder.image_size, augmentation=options.augmentation, mean=encoder.mean, std=encoder.std
    )
    dataset = PhotoDataset(photos.images, photos.splits.train, view)
    if view.load_size == encoder.image_size:
        dataset.store = photos.parts["train"].store  # the same photos of the same size
        return dataset, photos.workers
    workers, _ = keep_photos([dataset.store], Loading(), None)
    return dataset, workers


def _optimizer(network: nn.Sequential, recipe: FinetuneRecipe) -> torch.optim.Optimizer:
    groups = [
        group
        for part, lr in zip(network, (recipe.lr, recipe.head_lr), strict=True)
        for group in parameter_groups(part, None, lr=lr, weight_decay=recipe.weight_decay)
    ]
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(groups, momentum=_MOMENTUM, nesterov=True)
    return torch.optim.AdamW(groups)
