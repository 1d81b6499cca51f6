"""Metrics of a classifier: top-1, balanced accuracy, recall and AUC of each class, NLL and ECE."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn
from torchmetrics import MeanMetric
from torchmetrics.classification import MulticlassCalibrationError, MulticlassConfusionMatrix
from torchmetrics.functional.classification import binary_auroc

_BINS = 15  # of the calibration error, as in Guo et al. 2017


@dataclass(frozen=True)
class ClassificationResult:
    """Metrics on one part of the data; every accuracy is a fraction in [0, 1].

    Attributes:
        photos: Number of photos that were judged.
        top1: Share of photos whose most probable class is the right one.
        balanced_accuracy: Mean recall of the classes that occur.
        recall: Recall by class name; None for a class that does not occur.
        nll: Mean negative log-likelihood of the right class, in nats.
        ece: Expected calibration error with 15 bins, in [0, 1].
    """

    photos: int
    top1: float
    balanced_accuracy: float
    recall: dict[str, float | None]
    nll: float
    ece: float

    def to_dict(self) -> dict[str, Any]:
        """Return the metrics as plain numbers for a file."""
        return asdict(self)


class _Meters(nn.Module):
    """The torchmetrics behind one result; they sum over processes by themselves."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.confusion = MulticlassConfusionMatrix(classes, validate_args=False)
        self.calibration = MulticlassCalibrationError(classes, n_bins=_BINS, validate_args=False)
        self.nll = MeanMetric(nan_strategy="disable")

    def update(self, logits: Tensor, target: Tensor) -> None:
        """Add a batch of (B,K) logits of any floating-point dtype and (B,) classes."""
        logits = logits.float()
        self.confusion.update(logits.argmax(1), target)
        # probabilities, since torchmetrics takes logits that lie in [0, 1] for probabilities
        self.calibration.update(logits.softmax(1), target)
        self.nll.update(F.cross_entropy(logits, target, reduction="none"))

    def result(self, classes: Sequence[str]) -> ClassificationResult:
        confusion: Tensor = self.confusion.compute().cpu().double()
        correct, total = confusion.diagonal(), confusion.sum(1)
        recall = (correct / total).tolist()
        there = (total > 0).tolist()
        named = zip(classes, recall, there, strict=True)
        return ClassificationResult(
            photos=int(total.sum()),
            top1=float(correct.sum() / total.sum()),
            balanced_accuracy=float((correct / total)[total > 0].mean()),
            recall={name: value if present else None for name, value, present in named},
            nll=float(self.nll.compute()),
            ece=float(self.calibration.compute()),
        )


@torch.no_grad()
def evaluate_classifiers(
    networks: Mapping[str, nn.Module],
    batches: Iterable[tuple[Tensor, Tensor]],
    classes: Sequence[str],
    *,
    device: torch.device | str = "cpu",
    autocast: torch.dtype | None = None,
) -> dict[str, ClassificationResult]:
    """Judge several classifiers on the same batches in one pass.

    Where processes work together each gives its own share of the batches, and all of them get the
    result over all shares. The networks are put into eval mode and back.

    Args:
        networks: Classifiers by name, from (B,3,H,W) to (B,K) logits.
        batches: Pairs of (B,3,H,W) images, normalised, and (B,) int64 targets.
        classes: The K class names, in the order of the logits.
        device: Where the networks are.
        autocast: Precision of the forward pass; None is that of the weights.

    Returns:
        The metrics of each network.

    Raises:
        ValueError: The loader gives no photo to evaluate on.
    """
    device = torch.device(device)
    meters = {name: _Meters(len(classes)).to(device) for name in networks}
    modes = {name: network.training for name, network in networks.items()}
    for network in networks.values():
        network.eval()
    seen = 0
    for images, target in batches:
        at = images.to(device, non_blocking=True), target.to(device, non_blocking=True)
        seen += len(target)
        for name, network in networks.items():
            with precision(device, autocast):
                logits = network(at[0])
            meters[name].update(logits, at[1])
    for name, network in networks.items():
        network.train(modes[name])
    together = dist.is_available() and dist.is_initialized()
    if seen == 0 and not together:
        raise ValueError("batches: expected at least one photo to judge, got none")
    return {name: meter.result(classes) for name, meter in meters.items()}


def areas_under_curve(
    probabilities: Tensor, target: Tensor, classes: Sequence[str]
) -> dict[str, float | None]:
    """Return how well each class is told from all others, over all thresholds.

    That of the class of good photos is the AUC of an inspection: 1 tells all apart, 0.5 is chance.

    Args:
        probabilities: (N,K), or anything that rises with them.
        target: (N,) int64.
        classes: The K class names.

    Returns:
        Area under the ROC curve by class name, in [0, 1]; None for a class without photos, or
        without photos of others.
    """
    areas: dict[str, float | None] = {}
    for number, name in enumerate(classes):
        own = (target == number).long()
        known = 0 < int(own.sum()) < len(own)
        areas[name] = float(binary_auroc(probabilities[:, number], own)) if known else None
    return areas


def precision(device: torch.device | str, dtype: torch.dtype | None) -> AbstractContextManager[Any]:
    """Return the context of a forward pass."""
    if dtype is None:
        return nullcontext()
    return torch.autocast(torch.device(device).type, dtype=dtype)
