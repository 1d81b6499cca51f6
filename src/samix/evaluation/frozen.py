"""The frozen rival: a linear head on the features of an encoder that is not trained."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from samix.errors import InputError
from samix.networks import classifier_of

from .linear import Labelled

STRENGTHS = (3.0, 1.0, 0.3, 0.1, 0.03, 0.01)
"""L2 strengths of the head that validation chooses from, the strongest first."""

_UNEVEN = 1.5  # times as many photos of one class as of another: classes are weighted
_ITERATIONS = 200
_ABSENT = -30.0  # logit of a class that there was no photo of
_TOLERANCE = 1e-3  # of logits, relative to the largest


@dataclass(frozen=True)
class FrozenHead:
    """A linear head on frozen features, with their standardisation folded into it."""

    weight: Tensor  # (K,D) float32
    bias: Tensor  # (K,) float32
    strength: float  # L2 strength that validation chose
    flips: bool  # whether mirrored photos were learned from too
    balanced: bool  # whether classes were weighted, rare ones more
    tried: tuple[dict[str, Any], ...]  # strength, flips and loss on validation of each head

    def logits(self, features: Tensor) -> Tensor:
        """Return (N,K) float32 logits of (N,D) features."""
        return features @ self.weight.T + self.bias

    def record(self) -> dict[str, Any]:
        """Return the choice and what it was chosen from, as plain values for a file."""
        names = ("strength", "flips", "balanced")
        return {**{name: getattr(self, name) for name in names}, "tried": list(self.tried)}


def fit_frozen(
    train: Labelled,
    val: Labelled,
    classes: int,
    *,
    flipped: Tensor | None = None,
    strengths: Sequence[float] = STRENGTHS,
) -> FrozenHead:
    """Fit linear heads on train, and return the one with the lowest loss on validation.

    Each is a logistic regression on standardised features. The loss is the cross-entropy of each
    class, averaged over classes, so that rare ones count as much as common ones. It is smoother
    than balanced accuracy, which a few photos of a rare class decide.

    Raises:
        InputError: Train has fewer than two classes.
    """
    counts = torch.bincount(train.target, minlength=classes)
    there = counts[counts > 0]
    if len(there) < 2:
        raise InputError(f"train: expected photos of at least 2 classes, got {len(there)}")
    balanced = bool(there.max() > _UNEVEN * there.min())
    best: tuple[float, FrozenHead] | None = None
    tried: list[dict[str, Any]] = []
    for flips in (False,) if flipped is None else (False, True):
        features, target = train.embedding, train.target
        if flips and flipped is not None:
            features, target = torch.cat([features, flipped]), torch.cat([target, target])
        heads = _regressions(features, target, classes, strengths, balanced)
        for strength, weight, bias in heads:
            head = FrozenHead(weight, bias, strength, flips, balanced, ())
            loss = _balanced_loss(head.logits(val.embedding), val.target)
            tried.append({"strength": strength, "flips": flips, "val_balanced_nll": loss})
            if best is None or loss < best[0]:
                best = loss, head
    if best is None:
        raise ValueError("strengths: expected at least one, got none")
    return replace(best[1], tried=tuple(tried))


def put_head(network: nn.Module, head: FrozenHead) -> None:
    """Make a head the linear classifier of a timm model, in place; another is refused."""
    layer = classifier_of(network)
    if layer.bias is None or layer.weight.shape != head.weight.shape:
        raise InputError(
            "backbone: expected a network that ends in a linear layer with a bias on its features, "
            f"got {layer} in {type(network).__name__}; choose another backbone"
        )
    with torch.no_grad():
        layer.weight.copy_(head.weight)
        layer.bias.copy_(head.bias)


def check_head(logits: Tensor, expected: Tensor) -> None:
    """Refuse a network whose logits are not those of the head on its features."""
    if not torch.allclose(logits, expected, atol=_TOLERANCE * float(expected.abs().max() + 1)):
        raise InputError(
            "backbone: expected a network whose last layer is linear in its features, got another; "
            "choose another backbone"
        )


def _regressions(
    features: Tensor, target: Tensor, classes: int, strengths: Sequence[float], balanced: bool
) -> list[tuple[float, Tensor, Tensor]]:
    """Return strength, (K,D) weight and (K,) bias of a logistic regression for each strength."""
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415 - an extra

    wide = features.double().numpy()
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
    found = []
    for strength in strengths:
        model.set_params(C=1 / (strength * len(standard)))
        with warnings.catch_warnings():  # a fit that is not quite at its end is one more choice
            warnings.simplefilter("ignore")
            model.fit(standard, target.numpy())
        rows, bias = model.coef_, model.intercept_
        if len(rows) == 1:  # two classes: one row, of the second
            rows, bias = np.concatenate([-rows, rows]) / 2, np.concatenate([-bias, bias]) / 2
        rows = (rows if basis is None else rows @ basis.T) / deviation
        weight = torch.zeros(classes, len(mean), dtype=torch.float64)
        offset = torch.full((classes,), _ABSENT, dtype=torch.float64)
        weight[model.classes_] = torch.from_numpy(rows)
        offset[model.classes_] = torch.from_numpy(bias - rows @ mean)
        found.append((strength, weight.float(), offset.float()))
    return found


def _balanced_loss(logits: Tensor, target: Tensor) -> float:
    """Return the mean cross-entropy of each class that occurs, averaged over classes."""
    each = nn.functional.cross_entropy(logits.double(), target, reduction="none")
    return float(torch.stack([each[target == c].mean() for c in torch.unique(target)]).mean())
