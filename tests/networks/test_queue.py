from __future__ import annotations

import pytest
import torch
from torch import Tensor

from samix.networks import Clusters, KeyQueue, spherical_k_means, unit


def keys(count: int, seed: int = 0) -> Tensor:
    return unit(torch.randn(count, 4, generator=torch.Generator().manual_seed(seed)))


def test_the_queue_is_a_ring_also_where_its_size_is_no_multiple_of_the_batch() -> None:
    queue, everything = KeyQueue(5, 4), keys(9)
    for part in everything.split(3):
        queue.enqueue(part)
    assert queue.pointer == 4
    # the last five, at the places where they were written
    for number in range(4, 9):
        assert torch.equal(queue.keys[number % 5], everything[number])


def test_the_queue_starts_with_unit_directions_and_says_when_they_are_gone() -> None:
    queue = KeyQueue(4, 4)
    assert torch.allclose(queue.keys.norm(dim=1), torch.ones(4))
    queue.enqueue(keys(3))
    assert not queue.full
    queue.enqueue(keys(3))
    assert queue.full


def test_keys_and_pointer_are_in_the_state_dict() -> None:
    queue = KeyQueue(5, 4, seed=1)
    queue.enqueue(keys(3))
    again = KeyQueue(5, 4, seed=2)
    again.load_state_dict(queue.state_dict())
    assert (again.pointer, again.seen) == (3, 3)
    for one in (queue, again):
        one.enqueue(keys(4, seed=5))
    assert torch.equal(queue.keys, again.keys)


def test_more_keys_than_fit_are_refused_and_nothing_is_lost() -> None:
    queue = KeyQueue(3, 4)
    before = queue.keys.clone()
    with pytest.raises(ValueError, match="queue_size: expected at least the 4 keys"):
        queue.enqueue(keys(4))
    assert torch.equal(queue.keys, before)
    assert queue.pointer == 0
    with pytest.raises(ValueError, match="queue_size: expected at least 1, got 0"):
        KeyQueue(0, 4)


def test_clusters_find_what_lies_together_and_follow_the_schedule() -> None:
    centres = torch.eye(4)[:3]
    near = unit(centres.repeat(20, 1) + 0.05 * keys(60))
    clusters = Clusters(3, 4, every=10)
    assert not clusters.ready
    clusters.refresh(near, step=7)
    assert clusters.ready
    assigned = clusters.assign(near)
    for centre in range(3):
        assert len(set(assigned[centre::3].tolist())) == 1
    assert len(set(assigned[:3].tolist())) == 3
    before = clusters.centroids.clone()
    clusters.refresh(keys(60, seed=3), step=11)
    assert torch.equal(clusters.centroids, before)
    clusters.refresh(keys(60, seed=3), step=20)
    assert not torch.equal(clusters.centroids, before)
    again = Clusters(3, 4, every=10)
    again.load_state_dict(clusters.state_dict())
    assert again.ready
    assert again.searches == 2


def test_bad_numbers_of_clusters() -> None:
    with pytest.raises(ValueError, match="clusters: expected at least 2, got 1"):
        Clusters(1, 4, every=10)
    with pytest.raises(ValueError, match="cluster_every: expected at least 1, got 0"):
        Clusters(2, 4, every=0)
    with pytest.raises(ValueError, match="at most the 3 keys"):
        spherical_k_means(keys(3), 4, seed=0)
