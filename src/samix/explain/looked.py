"""Embeddings and probabilities of the photos that are explained, computed once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from samix.evaluation.embeddings import Progress

from .photos import RunPhotos
from .subject import Subject


@dataclass(frozen=True)
class Looked:
    """What the network says of some photos.

    Attributes:
        positions: Of the photos in the image set.
        embedding: (N,D) of unit norm.
        probability: (N,K); None for a network without classes.
        target: (N,) classes; -1 without.
    """

    positions: tuple[int, ...]
    embedding: Tensor
    probability: Tensor | None
    target: Tensor

    def row(self, position: int) -> int:
        """Return the row of a photo."""
        return self.positions.index(position)


def look_at(
    subject: Subject, photos: RunPhotos, positions: Sequence[int], progress: Progress, what: str
) -> Looked:
    """Show photos to the network.

    Args:
        subject: The network.
        photos: The photos.
        positions: Which of them, one or more.
        progress: Where to show it.
        what: What is shown there.
    """
    embeddings, probabilities, done = [], [], 0
    for batch in photos.batches(positions):
        embedding, probability = subject.ask(subject.look(batch))
        embeddings.append(embedding.cpu())
        if probability is not None:
            probabilities.append(probability.cpu())
        done += len(batch)
        progress.work(what, done, len(positions))
    return Looked(
        tuple(positions),
        torch.cat(embeddings),
        torch.cat(probabilities) if probabilities else None,
        photos.target(positions),
    )
