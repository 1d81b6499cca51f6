"""Order and random keys of an epoch as pure functions of (seed, epoch, index)."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Sampler

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def _scramble(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Spread 64-bit integers evenly (the finaliser of splitmix64, Steele et al. 2014)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def random_keys(seed: int, epoch: int, index: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Return one random key a photo, the same for the same (seed, epoch, index).

    Args:
        seed: Seed of the run, >= 0.
        epoch: Epoch, >= 0.
        index: (B,) positions of the photos, >= 0.

    Returns:
        (B,) keys over the whole range of 64 bits.
    """
    start = np.array([seed], dtype=np.uint64)
    state = _scramble(_scramble(start + _GOLDEN) + np.uint64(epoch) + _GOLDEN)
    return _scramble(state + (index.astype(np.uint64) + np.uint64(1)) * _GOLDEN)


def in_turn(groups: Iterable[Sequence[int]], most: int) -> list[int]:
    """Return the first of each group, then the second of each, and so on, up to so many."""
    turns = itertools.zip_longest(*groups)
    return [one for turn in turns for one in turn if one is not None][:most]


def uniforms(keys: NDArray[np.uint64], count: int) -> NDArray[np.float64]:
    """Draw independent numbers in [0, 1) from random keys.

    Args:
        keys: (B,) keys from `random_keys`.
        count: Numbers for each key.

    Returns:
        (B, count) numbers; a column does not depend on how many others are drawn.
    """
    steps = np.arange(1, count + 1, dtype=np.uint64) * _GOLDEN
    bits = _scramble(keys[:, None] + steps[None, :])
    return np.asarray((bits >> np.uint64(11)) * 2.0**-53, dtype=np.float64)


class EpochSampler(Sampler[tuple[int, int]]):
    """Yields (epoch, index) pairs, so that workers know the epoch that they work for.

    The order is a pure function of (seed, epoch). Ranks take turns: the batches of all ranks
    together are the batches of one process with the batch size times the number of ranks. Each
    rank has equally many; where the photos do not divide, the first ones of the order are used
    twice.

    Args:
        length: Number of photos, >= 1.
        seed: Seed of the order, >= 0.
        shuffle: Whether the order is random.
        rank: Number of this process, in [0, world_size).
        world_size: Number of processes, >= 1.
        weights: (length,) above 0: photos are drawn in proportion to them, with replacement, as
            many as there are; None takes each photo once.
    """

    def __init__(
        self,
        length: int,
        *,
        seed: int = 0,
        shuffle: bool = True,
        rank: int = 0,
        world_size: int = 1,
        weights: NDArray[np.float64] | None = None,
    ) -> None:
        if weights is not None and (weights.shape != (length,) or not (weights > 0).all()):
            msg = f"weights must be {length} numbers above 0, got shape {weights.shape}"
            raise ValueError(msg)
        if length < 1:
            msg = f"EpochSampler needs a length of at least 1, got {length}; check the split"
            raise ValueError(msg)
        if not 0 <= rank < world_size:
            msg = f"rank must lie in [0, {world_size}), got {rank}"
            raise ValueError(msg)
        self.length = length
        self.seed = seed
        self.shuffle = shuffle
        self.rank = rank
        self.world_size = world_size
        self.weights = weights
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order comes next."""
        self.epoch = epoch

    def __len__(self) -> int:
        return math.ceil(self.length / self.world_size)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        order = np.arange(self.length)
        if self.shuffle and self.weights is not None:
            share = self.weights / self.weights.sum()
            rng = np.random.default_rng([self.seed, self.epoch])
            order = rng.choice(self.length, self.length, p=share)
        elif self.shuffle:
            np.random.default_rng([self.seed, self.epoch]).shuffle(order)
        order = np.resize(order, len(self) * self.world_size)[self.rank :: self.world_size]
        epoch = self.epoch
        return iter([(epoch, int(index)) for index in order])


def class_weights(targets: Sequence[int], balance: float) -> NDArray[np.float64] | None:
    """Return how often each photo is drawn: ``count of its class ** -balance``.

    Args:
        targets: (N,) classes of the photos.
        balance: In [0, 1]: 0 draws photos evenly, 1 classes, 0.5 classes by the square root of
            their counts (Mahajan et al. 2018, arXiv 1805.00932).

    Returns:
        (N,) weights; None where photos are drawn evenly.
    """
    if balance == 0:
        return None
    classes = np.asarray(targets)
    counts = np.bincount(classes)[classes]
    return np.asarray(counts.astype(np.float64) ** -balance)
