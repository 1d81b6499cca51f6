from __future__ import annotations

import math

import torch

from samix.networks.mixer_card import distance, probe, probe_masks


def test_the_pairs_are_three_and_always_the_same():
    pairs = probe()
    assert pairs.images.shape == (3, 3, 24, 36)
    assert torch.equal(pairs.partner, pairs.images[[2, 0, 1]])
    assert pairs.images.min() >= 0
    assert pairs.images.max() <= 1
    assert torch.equal(pairs.images, probe().images)
    # they are different, and something is on each of them
    assert (pairs.images[0] - pairs.images[1]).abs().mean() > 0.1
    assert pairs.images.flatten(1).std(1).min() > 0.1


def test_what_is_stored_are_the_means_of_ninths():
    def left_half(images, partner, lam):
        mask = torch.zeros(len(images), 1, *images.shape[2:])
        mask[..., : images.shape[3] // 2] = 1
        return mask * lam.view(-1, 1, 1, 1)

    found = probe_masks(left_half)
    assert found[0] == [0.25, 0.125, 0.0] * 3
    assert found[1] == [0.5, 0.25, 0.0] * 3


def test_distance_is_the_largest_difference_and_infinite_where_nothing_fits():
    assert distance([[0.1, 0.2]], [[0.1, 0.25]]) == torch.tensor(0.25).sub(0.2).item()
    assert distance([[0.1]], [[0.1]]) == 0
    for stored in (None, "x", [[0.1, 0.2]], [["a"]], {}, [[math.nan]]):
        assert distance([[0.1]], stored) == math.inf
