from __future__ import annotations

import math

import pytest
import torch

from samix.evaluation import knn
from samix.evaluation.knn import class_recall, knn_accuracy, weighted_knn


def slow_votes(query, reference, target, classes, k, temperature):
    votes = []
    for q in query.tolist():
        similar = []
        for r, y in zip(reference.tolist(), target.tolist(), strict=True):
            dot = sum(a * b for a, b in zip(q, r, strict=True))
            similar.append((dot / math.hypot(*q) / math.hypot(*r), y))
        similar.sort(reverse=True)
        row = [0.0] * classes
        for cosine, y in similar[:k]:
            row[y] += math.exp(cosine / temperature)
        votes.append([value / math.exp(1 / temperature) for value in row])
    return torch.tensor(votes)


@pytest.mark.parametrize("k", [1, 5, 30, 99])
@pytest.mark.parametrize("chunk", [1, 100, 10**6])
def test_votes_equal_slow_loops_whatever_the_chunk(monkeypatch, k, chunk):
    monkeypatch.setattr(knn, "_CHUNK", chunk)
    query, reference = torch.randn(17, 6), torch.randn(30, 6) * 3
    target = torch.randint(4, (30,))
    found = weighted_knn(query, reference, target, classes=4, k=k, temperature=0.2)
    wanted = slow_votes(query, reference, target, 4, k, 0.2)
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-6)


def test_a_near_neighbour_outweighs_two_far_ones():
    reference = torch.tensor([[1.0, 0.0], [0.6, 0.8], [0.6, -0.8]])
    target = torch.tensor([0, 1, 1])
    query = torch.tensor([[1.0, 0.0]])
    assert weighted_knn(query, reference, target, classes=2, k=3).argmax() == 0
    assert weighted_knn(query, reference, target, classes=2, k=3, temperature=9.0).argmax() == 1


def test_length_of_embeddings_does_not_count():
    query, reference, target = torch.randn(5, 3), torch.randn(9, 3), torch.arange(9) % 2
    one = weighted_knn(query, reference, target, classes=2)
    other = weighted_knn(query * 100, reference * torch.rand(9, 1), target, classes=2)
    torch.testing.assert_close(one, other)


def test_accuracies_are_fractions_and_balanced_ones_count_classes():
    reference, known = torch.eye(3), torch.tensor([0, 1, 2])
    query = torch.eye(3)[[0, 0, 0, 0]]
    target = torch.tensor([0, 0, 0, 1])
    found = knn_accuracy(query, target, reference, known, classes=3, k=1)
    assert found == (0.75, 0.5)
    recall = class_recall(torch.tensor([0, 0]), torch.tensor([0, 1]), 3)
    assert recall[:2].tolist() == [1.0, 0.0]
    assert recall[2].isnan()


@pytest.mark.parametrize(("photos", "k", "temperature"), [(0, 1, 1), (3, 0, 1), (3, 1, 0)])
def test_numbers_out_of_range_are_refused(photos, k, temperature):
    with pytest.raises(ValueError, match="reference, k, temperature"):
        weighted_knn(
            torch.ones(1, 2), torch.ones(photos, 2), torch.zeros(photos).long(), classes=1, k=k,
            temperature=temperature,
        )  # fmt: skip
