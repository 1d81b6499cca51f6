"""The linear probe: logistic regression on frozen embeddings."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from .knn import class_recall

STRENGTHS = (10.0, 3.0, 1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001, 0.0001)
"""L2 strengths that validation chooses from, the strongest first."""

_ITERATIONS = 200  # of each fit; each begins where the one before it ended
_TOLERANCE = 1e-5  # largest entry of the gradient of a fit that has converged


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


def fit_linear(
    embedding: Tensor, target: Tensor, strength: float, weight: Tensor
) -> tuple[Tensor, float]:
    """Fit a logistic regression by L-BFGS.

    ``loss = mean_n CE(W [x_n; 1], y_n) + strength / 2 * ||W without the bias||^2``, strictly convex
    but for a constant added to all biases.

    Args:
        embedding: (N,D), standardised.
        target: (N,) int64.
        strength: L2 strength, above 0.
        weight: (K,D+1) where to begin; the last column is the bias.

    Returns:
        (K,D+1) the fitted weights, and the largest entry of the gradient there.
    """
    weight = weight.detach().clone().requires_grad_(True)
    optimizer = torch.optim.LBFGS(
        [weight],
        max_iter=_ITERATIONS,
        history_size=20,
        tolerance_grad=_TOLERANCE,
        tolerance_change=0.0,
        line_search_fn="strong_wolfe",
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        fit = F.cross_entropy(linear_logits(embedding, weight), target)
        loss = fit + strength / 2 * weight[:, :-1].square().sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    closure()
    gradient = weight.new_zeros(()) if weight.grad is None else weight.grad
    return weight.detach(), float(gradient.abs().max())


def linear_logits(embedding: Tensor, weight: Tensor) -> Tensor:
    """Return (N,K) logits of (N,D) embeddings under (K,D+1) weights with the bias last."""
    return F.linear(embedding, weight[:, :-1], weight[:, -1])


@dataclass(frozen=True)
class LinearProbe:
    """A fitted linear probe."""

    weight: Tensor  # (K,D+1) float64, the bias last
    mean: Tensor  # (D,) of the embeddings that it was fitted on
    deviation: Tensor  # (D,) the same; 1 where they do not vary
    strength: float  # L2 strength that validation chose
    val_balanced_accuracy: float  # that of the chosen strength on validation

    def logits(self, embedding: Tensor) -> Tensor:
        """Return (N,K) float64 logits of (N,D) embeddings."""
        return linear_logits((embedding.double() - self.mean) / self.deviation, self.weight)


def fit_probe(
    train: Labelled, val: Labelled, classes: int, *, strengths: Sequence[float] = STRENGTHS
) -> LinearProbe:
    """Fit on train and choose the strength on val.

    Embeddings are standardised by the statistics of train. The strength is the one with the highest
    balanced accuracy on val; where two are equal, the one with the lower cross-entropy there.
    """
    wide = train.embedding.double()
    mean, deviation = wide.mean(dim=0), wide.std(dim=0, correction=0)
    deviation = torch.where(deviation > 1e-8, deviation, 1.0)  # where it does not vary
    fit_on = (wide - mean) / deviation
    weight = fit_on.new_zeros(classes, fit_on.shape[1] + 1)
    best: tuple[tuple[float, float], LinearProbe] | None = None
    for strength in strengths:
        weight, _ = fit_linear(fit_on, train.target, strength, weight)
        probe = LinearProbe(weight, mean, deviation, strength, 0.0)
        logits = probe.logits(val.embedding)
        balanced = _balanced(class_recall(logits.argmax(1), val.target, classes))
        rank = (balanced, -float(F.cross_entropy(logits, val.target)))
        if best is None or rank > best[0]:
            best = (rank, replace(probe, val_balanced_accuracy=balanced))
    if best is None:
        raise ValueError("strengths: expected at least one, got none")
    return best[1]


def linear_probe(
    train: Labelled,
    val: Labelled,
    test: Labelled,
    classes: int,
    *,
    strengths: Sequence[float] = STRENGTHS,
) -> LinearResult:
    """Fit on train, choose the strength on val, judge once on test; see :func:`fit_probe`."""
    probe = fit_probe(train, val, classes, strengths=strengths)
    predicted = probe.logits(test.embedding).argmax(1)
    recall = class_recall(predicted, test.target, classes)
    return LinearResult(
        accuracy=float((predicted == test.target).double().mean()),
        balanced_accuracy=_balanced(recall),
        recall=tuple(None if math.isnan(value) else value for value in recall.tolist()),
        strength=probe.strength,
        val_balanced_accuracy=probe.val_balanced_accuracy,
    )


def _balanced(recall: Tensor) -> float:
    return float(recall[~recall.isnan()].mean())


def described(result: LinearResult, names: tuple[str, ...]) -> dict[str, Any]:
    """Return a result as plain values for a file, with the classes by name."""
    return asdict(result) | {"recall": dict(zip(names, result.recall, strict=True))}
