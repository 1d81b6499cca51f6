"""The frozen rival: a linear head on the features of an encoder that is not trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from samix.errors import InputError
from samix.networks import classifier_of

from .linear import Labelled, LinearHead, regressions

STRENGTHS = (3.0, 1.0, 0.3, 0.1, 0.03, 0.01)
"""L2 strengths of the head that validation chooses from, the strongest first."""

_UNEVEN = 1.5  # times as many photos of one class as of another: classes are weighted
_TOLERANCE = 1e-3  # of logits, relative to the largest


@dataclass(frozen=True)
class FrozenHead(LinearHead):
    """The head that validation chose, in float32."""

    flips: bool  # whether mirrored photos were learned from too
    balanced: bool  # whether classes were weighted, rare ones more
    tried: tuple[dict[str, Any], ...]  # strength, flips and loss on validation of each head

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
    there = [count for count in torch.bincount(train.target).tolist() if count]
    balanced = max(there, default=0) > _UNEVEN * min(there, default=0)
    shown = [(False, train)]
    if flipped is not None:
        twice = torch.cat([train.target, train.target])
        shown.append((True, Labelled(torch.cat([train.embedding, flipped]), twice)))
    best: tuple[float, FrozenHead] | None = None
    tried: list[dict[str, Any]] = []
    for flips, photos in shown:
        for one in regressions(photos, classes, strengths, balanced=balanced):
            weight, bias = one.weight.float(), one.bias.float()
            head = FrozenHead(weight, bias, one.strength, flips, balanced, ())
            loss = _balanced_loss(head.logits(val.embedding), val.target)
            tried.append({"strength": one.strength, "flips": flips, "val_balanced_nll": loss})
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


def _balanced_loss(logits: Tensor, target: Tensor) -> float:
    """Return the mean cross-entropy of each class that occurs, averaged over classes."""
    each = nn.functional.cross_entropy(logits.double(), target, reduction="none")
    return float(torch.stack([each[target == c].mean() for c in torch.unique(target)]).mean())
