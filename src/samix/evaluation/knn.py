"""Weighted k-nearest-neighbour classification of embeddings."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

NEIGHBOURS = 20
TEMPERATURE = 0.07
_CHUNK = 2**24  # similarities that are held at once


def weighted_knn(
    query: Tensor,
    reference: Tensor,
    target: Tensor,
    *,
    classes: int,
    k: int = NEIGHBOURS,
    temperature: float = TEMPERATURE,
) -> Tensor:
    """Return the votes of the k nearest reference embeddings of each query.

    ``vote[m, c] = sum over the k nearest n of m with y_n = c: exp(cos(q_m, r_n) / temperature)``

    Source: Wu et al. 2018, arXiv 1805.01978, section 3.4, which has k = 200 for ImageNet. All votes
    of a query are divided by the largest possible one, exp(1 / temperature), which changes no
    order and cannot overflow.

    Args:
        query: (M,D) embeddings.
        reference: (N,D) embeddings, labelled.
        target: (N,) int64 classes of the reference.
        classes: Number of classes K.
        k: Neighbours; all N where there are fewer.
        temperature: Above 0; a lower one gives nearer neighbours more weight.

    Returns:
        (M,K) float32; the largest is the prediction.

    Raises:
        ValueError: No reference, or k or temperature out of range.
    """
    if len(reference) == 0 or k < 1 or not temperature > 0:
        raise ValueError(
            "reference, k, temperature: expected at least one embedding, k of at least 1 and a "
            f"temperature above 0, got {len(reference)}, {k} and {temperature}"
        )
    k = min(k, len(reference))
    known = F.normalize(reference, dim=1)
    votes = torch.zeros(len(query), classes, device=query.device)
    rows = max(1, _CHUNK // len(reference))
    for start in range(0, len(query), rows):
        similarity = F.normalize(query[start : start + rows], dim=1) @ known.T
        nearest, index = similarity.topk(k, dim=1)
        weight = ((nearest - 1.0) / temperature).exp()
        votes[start : start + rows].scatter_add_(1, target[index], weight)
    return votes


def knn_accuracy(
    query: Tensor, target: Tensor, reference: Tensor, known: Tensor, *, classes: int, k: int
) -> tuple[float, float]:
    """Return accuracy and balanced accuracy of :func:`weighted_knn`, as fractions."""
    predicted = weighted_knn(query, reference, known, classes=classes, k=k).argmax(1)
    recall = class_recall(predicted, target, classes)
    balanced = recall[~recall.isnan()].mean()
    return float((predicted == target).double().mean()), float(balanced)


def class_recall(predicted: Tensor, target: Tensor, classes: int) -> Tensor:
    """Return the recall of each class.

    Returns:
        (K,) float64 in [0, 1]; NaN for a class that does not occur.
    """
    total = torch.bincount(target, minlength=classes).double()
    correct = torch.bincount(target[predicted == target], minlength=classes).double()
    return correct / total
