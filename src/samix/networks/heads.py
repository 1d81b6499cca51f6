"""The last layer of a classifier, and what goes into it."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

from torch import Tensor, nn

from .backbone import FeatureClassifier


def classifier_of(model: nn.Module) -> nn.Linear:
    """Return the last layer of a classifier.

    Args:
        model: From :func:`samix.networks.create_backbone`.

    Raises:
        ValueError: The last layer is not linear.
    """
    own = isinstance(model, FeatureClassifier)
    last = model.head if own else cast(Any, model).get_classifier()
    if not isinstance(last, nn.Linear):
        raise ValueError(
            f"backbone: expected a linear classifier, got {type(last).__name__}; choose another "
            "backbone or num_classes of at least 1"
        )
    return last


@contextmanager
def watched_embedding(model: nn.Module) -> Iterator[list[Tensor]]:
    """Collect the (B,D) embeddings that go into the last layer while the context is open."""
    seen: list[Tensor] = []

    def hook(module: nn.Module, inputs: Any) -> None:
        seen.append(inputs[0])

    handle = classifier_of(model).register_forward_pre_hook(hook)
    try:
        yield seen
    finally:
        handle.remove()


def second_head(model: nn.Module) -> nn.Linear:
    """Return a copy of the last layer of a classifier, with the same weights to begin with."""
    return copy.deepcopy(classifier_of(model))
