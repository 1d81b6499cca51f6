"""What is measured of one encoder: kNN beside its baselines, linear probe, fine-tuning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import torch

from .baselines import (
    CALIBRATION_PHOTOS,
    PIXEL_SIZE,
    RANDOM_ENCODERS,
    pixel_embeddings,
    random_embeddings,
)
from .budgets import Budget, Draw, spread_of
from .classification import ClassificationResult
from .embeddings import Embeddings, Machine, Photos
from .finetune import Finetuner
from .knn import TEMPERATURE, knn_accuracy
from .linear import STRENGTHS, Labelled, described, linear_probe
from .options import EvaluateOptions
from .progress import Progress
from .source import Encoder

Draws = Mapping[Budget, tuple[Draw, ...]]


class Bench:
    """What all protocols of one evaluation share.

    Args:
        encoder: On the machine's device.
        photos: Train, val and test.
        options: What is measured and how.
        machine: Device and precision.
        progress: Where to show it.
    """

    def __init__(
        self,
        encoder: Encoder,
        photos: Photos,
        options: EvaluateOptions,
        machine: Machine,
        progress: Progress,
    ) -> None:
        self.encoder = encoder
        self.photos = photos
        self.options = options
        self.machine = machine
        self.progress = progress
        self.classes = photos.images.classes
        self.embeddings = Embeddings(encoder.network, photos, machine, progress, "encoder")

    def labelled(self, part: str, chosen: Sequence[int] | None = None) -> Labelled:
        """Return embeddings and classes of a part, or of some positions of it."""
        embedding, target = self.embeddings.of(part), self.photos.target(part)
        if chosen is None:
            return Labelled(embedding, target)
        at = torch.tensor(chosen)
        return Labelled(embedding[at], target[at])


def measure_knn(bench: Bench) -> dict[str, Any]:
    """Return kNN accuracy of the encoder, of random encoders and of pixels."""
    photos, part, seed = bench.photos, bench.options.part, bench.options.seed
    k = min(bench.options.neighbours, len(photos.target("train")))

    def accuracy(embeddings: Embeddings) -> tuple[float, float]:
        found = knn_accuracy(
            embeddings.of(part),
            photos.target(part),
            embeddings.of("train"),
            photos.target("train"),
            classes=len(bench.classes),
            k=k,
        )
        bench.progress.say(f"kNN of {embeddings.name}: {found[0]:.1%}")
        return found

    rest = (photos, bench.machine, bench.progress)
    own, balanced = accuracy(bench.embeddings)
    seeds = [seed + number for number in range(RANDOM_ENCODERS)]
    random = [
        accuracy(random_embeddings(bench.encoder, photos, s, bench.machine, bench.progress))[0]
        for s in seeds
    ]
    return {
        "accuracy": own,
        "balanced_accuracy": balanced,
        "random_encoder_accuracy": max(random),
        "random_encoder_accuracies": random,
        "random_encoder_seeds": seeds,
        "pixel_accuracy": accuracy(pixel_embeddings(*rest))[0],
        "pixel_size": min(PIXEL_SIZE, bench.encoder.image_size),
        "k": k,
        "temperature": TEMPERATURE,
        "part": part,
        "photos": {
            "reference": len(photos.target("train")),
            "judged": len(photos.target(part)),
            "calibration": min(CALIBRATION_PHOTOS, len(photos.target("train"))),
        },
    }


def measure_linear(bench: Bench, draws: Draws) -> dict[str, Any]:
    """Return the linear probe with all labels, and at each budget and draw."""
    classes, test = len(bench.classes), bench.labelled("test")
    whole = linear_probe(bench.labelled("train"), bench.labelled("val"), test, classes)
    bench.progress.say(f"linear probe, all labels: {whole.accuracy:.1%}")
    budgets = []
    for budget, drawn in draws.items():
        results = [
            linear_probe(
                bench.labelled("train", draw.train), bench.labelled("val", draw.val), test, classes
            )
            for draw in drawn
        ]
        budgets.append(
            {
                **_budget(budget, drawn),
                "accuracy": spread_of([result.accuracy for result in results]),
                "balanced_accuracy": spread_of([result.balanced_accuracy for result in results]),
                "strengths": [result.strength for result in results],
            }
        )
    return {
        **described(whole, bench.classes),
        "strengths": list(STRENGTHS),
        "chosen_by": "highest balanced accuracy on val, cut to the budget's share of the labels",
        "photos": {part: len(bench.photos.target(part)) for part in ("train", "val", "test")},
        "budgets": budgets,
    }


def measure_finetune(bench: Bench, draws: Draws) -> dict[str, Any]:
    """Return fine-tuning at each budget and draw."""
    options = bench.options
    tuner = Finetuner(bench.encoder, bench.photos, options.finetune, bench.machine, bench.progress)
    known: dict[tuple[tuple[int, ...], int], ClassificationResult] = {}
    budgets = []
    for budget, drawn in draws.items():
        results = []
        for number, draw in enumerate(drawn):
            what = f"fine-tuning, labels {budget.text}, draw {number + 1}/{len(drawn)}"
            key = (draw.train, number)
            if key not in known:  # small budgets can be the same photos
                known[key] = tuner.run(draw.train, options.seed + number, what)
            results.append(known[key])
            bench.progress.say(f"{what}: {results[-1].top1:.1%}")
        budgets.append(
            {
                **_budget(budget, drawn),
                "steps": [options.finetune.steps(len(draw.train)) for draw in drawn],
                "accuracy": spread_of([result.top1 for result in results]),
                "balanced_accuracy": spread_of([result.balanced_accuracy for result in results]),
            }
        )
    return {
        "recipe": {**asdict(options.finetune), **asdict(tuner.recipe)},
        "chosen_by": "nothing is chosen: the last weights are judged",
        "photos": {"test": len(bench.photos.target("test"))},
        "budgets": budgets,
    }


def _budget(budget: Budget, drawn: Sequence[Draw]) -> dict[str, Any]:
    return {
        "labels": budget.text,
        "photos": [len(draw.train) for draw in drawn],
        "val_photos": [len(draw.val) for draw in drawn],
    }
