"""Logistic regression on frozen embeddings, and the linear probe."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from samix.errors import InputError

from .knn import class_recall

STRENGTHS = (10.0, 3.0, 1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001, 0.0001)
"""L2 strengths that validation chooses from, the strongest first."""

_ITERATIONS = 200  # of each fit; each begins where the one before it ended
_ABSENT = -30.0  # logit of a class that there was no photo of


@dataclass(frozen=True)
class Labelled:
    """Embeddings with their classes."""

    embedding: Tensor  # (N,D) floating point
    target: Tensor  # (N,) int64


@dataclass(frozen=True)
class LinearResult:
    """What a linear probe reached on the photos it was judged on; accuracies are fractions."""

    accuracy: float  # share of photos whose most probable class is the right one
    balanced_accuracy: float  # mean recall of the classes that occur
    recall: tuple[float | None, ...]  # recall of each class; None for a class that does not occur
    strength: float  # L2 strength that validation chose
    val_balanced_accuracy: float  # that of the chosen strength on validation


@dataclass(frozen=True)
class LinearHead:
    """A linear head on embeddings, with their standardisation folded into it."""

    weight: Tensor  # (K,D) floating point
    bias: Tensor  # (K,) of the same dtype
    strength: float  # L2 strength

    def logits(self, embedding: Tensor) -> Tensor:
        """Return (N,K) logits of (N,D) embeddings, in the dtype of the weights."""
        return F.linear(embedding.to(self.weight.dtype), self.weight, self.bias)


def regressions(
    train: Labelled, classes: int, strengths: Sequence[float], *, balanced: bool = False
) -> Iterator[LinearHead]:
    """Fit a logistic regression on standardised embeddings for each strength, in float64.

    ``loss = mean_n CE(W z_n + b, y_n) + strength / 2 * ||W||^2``, where z has mean 0 and deviation
    1 on train; with two classes W is one row, the difference of both.

    Args:
        train: What is learned from.
        classes: Number of classes K; one without photos is never predicted.
        strengths: L2 strengths, each above 0.
        balanced: Whether classes are weighted, rare ones more.

    Raises:
        InputError: Train has fewer than two classes.
    """
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415 - an extra

    if (there := len(torch.unique(train.target))) < 2:
        raise InputError(f"train: expected photos of at least 2 classes, got {there}")
    wide = train.embedding.double().numpy()
    mean, deviation = wide.mean(0), wide.std(0)
    deviation[deviation < 1e-8] = 1.0
    standard = (wide - mean) / deviation
    # of few photos only the directions that they span matter: the same heads, in fewer dimensions
    basis: NDArray[np.float64] | None = None
    if len(standard) < standard.shape[1]:
        basis = np.linalg.qr(standard.T)[0]
        standard = standard @ basis
    model = LogisticRegression(
        class_weight="balanced" if balanced else None, warm_start=True, max_iter=_ITERATIONS
    )
    for strength in strengths:
        model.set_params(C=1 / (strength * len(standard)))
        with warnings.catch_warnings():  # a fit that is not quite at its end is one more choice
            warnings.simplefilter("ignore")
            model.fit(standard, train.target.numpy())
        rows, bias = model.coef_, model.intercept_
        if len(rows) == 1:  # two classes: one row, of the second
            rows, bias = np.concatenate([-rows, rows]) / 2, np.concatenate([-bias, bias]) / 2
        rows = (rows if basis is None else rows @ basis.T) / deviation
        weight = torch.zeros(classes, len(mean), dtype=torch.float64)
        offset = torch.full((classes,), _ABSENT, dtype=torch.float64)
        weight[model.classes_] = torch.from_numpy(rows)
        offset[model.classes_] = torch.from_numpy(bias - rows @ mean)
        yield LinearHead(weight, offset, strength)


def fit_probe(
    train: Labelled, val: Labelled, classes: int, *, strengths: Sequence[float] = STRENGTHS
) -> tuple[LinearHead, float]:
    """Fit on train and choose the strength on val: that with the highest balanced accuracy there.

    Where two are equal, the one with the lower cross-entropy is taken.

    Returns:
        The head, and its balanced accuracy on val.
    """

    def rank(head: LinearHead) -> tuple[float, float]:
        logits = head.logits(val.embedding)
        balanced = _balanced(class_recall(logits.argmax(1), val.target, classes))
        return balanced, -float(F.cross_entropy(logits, val.target))

    ranked = [(rank(head), head) for head in regressions(train, classes, strengths)]
    (balanced, _), head = max(ranked, key=lambda one: one[0])
    return head, balanced


def linear_probe(
    train: Labelled,
    val: Labelled,
    test: Labelled,
    classes: int,
    *,
    strengths: Sequence[float] = STRENGTHS,
) -> LinearResult:
    """Fit on train, choose the strength on val, judge once on test; see :func:`fit_probe`."""
    head, balanced = fit_probe(train, val, classes, strengths=strengths)
    predicted = head.logits(test.embedding).argmax(1)
    recall = class_recall(predicted, test.target, classes)
    return LinearResult(
        accuracy=float((predicted == test.target).double().mean()),
        balanced_accuracy=_balanced(recall),
        recall=tuple(None if math.isnan(value) else value for value in recall.tolist()),
        strength=head.strength,
        val_balanced_accuracy=balanced,
    )


def _balanced(recall: Tensor) -> float:
    return float(recall[~recall.isnan()].mean())


def described(result: LinearResult, names: tuple[str, ...]) -> dict[str, Any]:
    """Return a result as plain values for a file, with the classes by name."""
    return asdict(result) | {"recall": dict(zip(names, result.recall, strict=True))}
