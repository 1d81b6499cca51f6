from __future__ import annotations

import numpy as np
import pytest

from samix.data import EpochSampler, random_keys
from samix.data.sampling import class_weights, in_turn, uniforms


def epoch_of(sampler: EpochSampler, epoch: int) -> list[tuple[int, int]]:
    sampler.set_epoch(epoch)
    return list(sampler)


def test_every_photo_once_with_its_epoch() -> None:
    pairs = epoch_of(EpochSampler(50, seed=1), 7)
    assert {epoch for epoch, _ in pairs} == {7}
    assert sorted(index for _, index in pairs) == list(range(50))


def test_order_is_a_function_of_seed_and_epoch() -> None:
    first, second = EpochSampler(50, seed=1), EpochSampler(50, seed=1)
    epoch_of(first, 0)
    assert epoch_of(first, 3) == epoch_of(second, 3)
    orders = {
        tuple(i for _, i in epoch_of(EpochSampler(50, seed=s), e)) for s in (0, 1) for e in (0, 1)
    }
    assert len(orders) == 4


def test_without_shuffling_photos_come_in_order() -> None:
    assert [i for _, i in EpochSampler(5, shuffle=False)] == [0, 1, 2, 3, 4]


def test_batches_of_ranks_together_are_those_of_one_process() -> None:
    whole = [i for _, i in epoch_of(EpochSampler(48, seed=2), 1)]
    ranks = [
        [i for _, i in epoch_of(EpochSampler(48, seed=2, rank=r, world_size=2), 1)] for r in (0, 1)
    ]
    for start in range(0, 24, 6):
        together = ranks[0][start : start + 6] + ranks[1][start : start + 6]
        assert sorted(together) == sorted(whole[2 * start : 2 * start + 12])


@pytest.mark.parametrize(("length", "world"), [(7, 2), (3, 4), (10, 3)])
def test_every_rank_has_equally_many(length: int, world: int) -> None:
    ranks = [EpochSampler(length, seed=0, rank=r, world_size=world) for r in range(world)]
    drawn = [list(sampler) for sampler in ranks]
    assert {len(pairs) for pairs in drawn} == {len(ranks[0])} == {-(-length // world)}
    assert {i for pairs in drawn for _, i in pairs} == set(range(length))


@pytest.mark.parametrize("bad", [{"length": 0}, {"rank": 2, "world_size": 2}, {"rank": -1}])
def test_impossible_samplers(bad: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="got"):
        EpochSampler(**{"length": 4, **bad})  # type: ignore[arg-type]


def test_keys_depend_on_each_input_and_on_nothing_else() -> None:
    index = np.arange(1000)
    keys = random_keys(3, 5, index)
    assert np.array_equal(keys[[10, 3]], random_keys(3, 5, np.array([10, 3])))
    others = [random_keys(4, 5, index), random_keys(3, 6, index), random_keys(5, 3, index)]
    everything = np.concatenate([keys, *others])
    assert len(np.unique(everything)) == 4000


def test_uniforms_are_uniform_and_independent() -> None:
    draws = np.concatenate([uniforms(random_keys(0, e, np.arange(5000)), 3) for e in range(4)])
    assert draws.min() >= 0
    assert draws.max() < 1
    for column in draws.T:
        heights = np.histogram(column, bins=20, range=(0, 1))[0]
        assert np.abs(heights - 1000).max() < 150  # 4.9 standard deviations
    between = np.corrcoef(draws.T) - np.eye(3)
    assert np.abs(between).max() < 0.035
    assert abs(np.corrcoef(draws[:-1, 0], draws[1:, 0])[0, 1]) < 0.035


def test_a_draw_does_not_depend_on_how_many_there_are() -> None:
    keys = random_keys(0, 0, np.arange(4))
    assert np.array_equal(uniforms(keys, 2), uniforms(keys, 5)[:, :2])


def test_classes_are_drawn_as_evenly_as_asked_for():
    targets = np.array([0] * 900 + [1] * 100)
    for balance, share in ((0.5, 0.25), (1.0, 0.5)):  # sqrt(100) / (sqrt(900) + sqrt(100))
        sampler = EpochSampler(1000, seed=3, weights=class_weights(targets.tolist(), balance))
        drawn = [i for epoch in range(20) for _, i in epoch_of(sampler, epoch)]
        assert len(drawn) == 20_000
        assert targets[drawn].mean() == pytest.approx(share, abs=0.015)
        assert epoch_of(sampler, 4) == epoch_of(sampler, 4) != epoch_of(sampler, 5)
    assert class_weights(targets.tolist(), 0.0) is None
    with pytest.raises(ValueError, match="weights must be 4 numbers above 0"):
        EpochSampler(4, weights=np.array([1.0, 0.0, 1.0, 1.0]))


def test_ranks_share_a_balanced_draw():
    weights = class_weights([0] * 30 + [1] * 18, 1.0)
    whole = [i for _, i in epoch_of(EpochSampler(48, seed=2, weights=weights), 1)]
    ranks = [
        epoch_of(EpochSampler(48, seed=2, rank=r, world_size=2, weights=weights), 1) for r in (0, 1)
    ]
    assert whole == [rank[k][1] for k in range(24) for rank in ranks]


def test_groups_take_turns_and_the_longest_goes_on_alone() -> None:
    assert in_turn([[1, 2, 3], [4], [5, 6]], 5) == [1, 4, 5, 2, 6]
    assert in_turn([[1, 2, 3], [4]], 9) == [1, 4, 2, 3]
    assert in_turn([], 3) == []
