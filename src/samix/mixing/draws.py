"""Random draws of a mix: lam, partners, boxes, and which samples are left alone.

Every draw takes an explicit ``torch.Generator`` on the CPU and is moved to the device afterwards,
so that a seed gives the same mixes on every device. Global random state is never touched.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

Numbers = np.ndarray[Any, np.dtype[np.float32]]
_MASK_64 = (1 << 64) - 1
_GIVEN: ContextVar[float | None] = ContextVar("lam", default=None)
Draw = Callable[[torch.Generator | None], tuple[Tensor, ...]]


class FixedDraws:
    """The draws of a step in tensors that stay where they are, so that the step can be replayed.

    The first step inside of :meth:`given` draws as ever; others there get the same tensors, in the
    same order, without drawing. :meth:`renew` fills them as another generator would.
    """

    def __init__(self) -> None:
        self._kept: list[tuple[Draw, tuple[Tensor, ...]]] = []
        self._next = 0

    @contextmanager
    def given(self) -> Iterator[None]:
        """Let the draws of a step in this thread be those that are kept."""
        self._next = 0
        token = _FIXED.set(self)
        try:
            yield
        finally:
            _FIXED.reset(token)

    def renew(self, generator: torch.Generator) -> None:
        """Draw all of them anew, from the generator of another step."""
        for draw, kept in self._kept:
            for old, new in zip(kept, draw(generator), strict=True):
                old.copy_(new, non_blocking=True)

    def take(
        self, draw: Draw, generator: torch.Generator | None, device: torch.device | str
    ) -> tuple[Tensor, ...]:
        """Return the draw whose turn it is."""
        if self._next == len(self._kept):
            self._kept.append((draw, tuple(part.to(device) for part in draw(generator))))
        self._next += 1
        return self._kept[self._next - 1][1]


_FIXED: ContextVar[FixedDraws | None] = ContextVar("draws", default=None)


def _drawn(
    draw: Draw, generator: torch.Generator | None, device: torch.device | str
) -> tuple[Tensor, ...]:
    """Return a draw on a device; inside of :class:`FixedDraws` the one that is kept."""
    fixed = _FIXED.get()
    if fixed is not None:
        return fixed.take(draw, generator, device)
    return tuple(part.to(device, non_blocking=True) for part in draw(generator))


def step_generator(seed: int, step: int, rank: int = 0) -> torch.Generator:
    """Return the generator of one training step: a pure function of (seed, step, rank).

    A run that is resumed at a step therefore draws what the undisturbed run would have drawn, and
    two ranks never draw the same.

    Args:
        seed: Seed of the run, any integer.
        step: Number of the step, 0 or more.
        rank: Rank of the process, 0 or more.
    """
    state = _split_mix(seed & _MASK_64)
    for part in (step, rank):
        state = _split_mix(state ^ (part & _MASK_64))
    # torch takes seeds below 2**63
    return torch.Generator().manual_seed(state >> 1)


def _split_mix(state: int) -> int:
    """One round of SplitMix64 (Steele, Lea and Flood 2014), which spreads neighbouring integers."""
    state = (state + 0x9E3779B97F4A7C15) & _MASK_64
    state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK_64
    state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & _MASK_64
    return state ^ (state >> 31)


def check_generator(generator: torch.Generator | None) -> torch.Generator:
    """Return the generator, or a new one with a seed of the operating system where there is none.

    Raises:
        ValueError: The generator does not live on the CPU.
    """
    if generator is None:
        generator = torch.Generator()
        generator.seed()
        return generator
    if generator.device.type != "cpu":
        raise ValueError(
            f"generator: expected one on the CPU, got one on {generator.device}; draws are made on "
            "the CPU and then moved, so that a seed gives the same mixes on every device"
        )
    return generator


def draw_lam(
    batch: int,
    alpha: float,
    *,
    generator: torch.Generator | None = None,
    device: torch.device | str = "cpu",
) -> Tensor:
    """Draw one lam per sample from Beta(alpha, alpha).

    ``lam = g1 / (g1 + g2)`` with two standard gamma draws of shape alpha, in float64 so that a
    small alpha does not give 0 / 0.

    Args:
        batch: Number of samples B, at least 1.
        alpha: Parameter of the Beta distribution, above 0.
        generator: Source of randomness, on the CPU; None takes fresh entropy.
        device: Where the result goes.

    Returns:
        (B,) float32 in [0, 1].

    Raises:
        ValueError: alpha is not above 0.
    """
    _check_alpha(alpha)
    (lam,) = _drawn(
        lambda given: (torch.from_numpy(_beta(batch, alpha, given)),), generator, device
    )
    return lam


def _check_alpha(alpha: float) -> None:
    if not 0 < alpha < math.inf:
        raise ValueError(f"alpha: expected a number above 0, got {alpha}; use p=0 to mix nothing")


def _beta(batch: int, alpha: float, generator: torch.Generator | None) -> Numbers:
    first, second = draw_gammas(2, batch, alpha=alpha, generator=generator).numpy()
    lam: Numbers = (first / (first + second)).astype(np.float32)
    given = _GIVEN.get()
    return lam if given is None else np.full_like(lam, given)


def draw_cut(
    batch: int,
    alpha: float,
    size: tuple[int, int],
    *,
    generator: torch.Generator | None = None,
    device: torch.device | str = "cpu",
) -> tuple[Tensor, Tensor, Tensor]:
    """Draw lam as :func:`draw_lam` does and a box of CutMix for each sample.

    The box is that of :func:`samix.mixing.cut_box` around a centre that is uniform in the image. It
    is found where it is drawn, on the CPU: some twenty calls less for a device, or for torch.

    Args:
        batch: Number of samples B, at least 1.
        alpha: Parameter of the Beta distribution, above 0.
        size: Height and width in pixels.
        generator: Source of randomness, on the CPU; None takes fresh entropy.
        device: Where the results go.

    Returns:
        (B,) float32 lam; (B,4) int64 top, left, bottom, right; (B,) float32 share outside the box.

    Raises:
        ValueError: alpha is not above 0.
    """
    _check_alpha(alpha)

    def draw(generator: torch.Generator | None) -> tuple[Tensor, ...]:
        lam, sides = _beta(batch, alpha, generator), np.array(size, np.float32)
        centre = torch.rand(batch, 2, generator=generator, dtype=torch.float32).numpy()
        half = (np.sqrt(1.0 - lam)[:, None] * (sides / 2.0)).astype(np.int64)
        middle = (centre * sides).astype(np.int64)
        box = np.empty((batch, 4), np.int64)
        np.maximum(middle - half, 0, out=box[:, :2])
        np.minimum(middle + half, size, out=box[:, 2:])
        covered = (box[:, 2] - box[:, 0]) * (box[:, 3] - box[:, 1])
        area = 1.0 - covered.astype(np.float32) / np.float32(size[0] * size[1])
        return torch.from_numpy(lam), torch.from_numpy(box), torch.from_numpy(area)

    lam, box, area = _drawn(draw, generator, device)
    return lam, box, area


_UNDERFLOWS = 0.1  # alpha from which on a draw of 64 bits is 0 less often than once in 1e30
_TINY = torch.finfo(torch.float64).tiny


def draw_gammas(*size: int, alpha: float, generator: torch.Generator | None = None) -> Tensor:
    """Draw float64 numbers of the given size, above 0, from Gamma(alpha, 1)."""
    shape = torch.full(size, float(alpha), dtype=torch.float64)
    gammas = torch._standard_gamma(shape, generator=check_generator(generator))
    if alpha >= _UNDERFLOWS:
        return gammas
    lost = (gammas <= _TINY).all(0)  # their sum is all but that of any one of them
    if lost.any():
        chosen = torch.randint(size[0], (1, *size[1:]), generator=generator)
        gammas.scatter_(0, chosen, torch.where(lost, 1.0, gammas.gather(0, chosen)))
    return gammas.clamp_min_(_TINY)


@contextmanager
def given_lam(lam: float) -> Iterator[None]:
    """Inside this context :func:`draw_lam` gives one lam in [0, 1] to all, in this thread alone.

    For a person who moves lam by hand and looks. The generator moves on as ever, so that whatever
    else a policy draws, such as the place of a box, stays the same for one seed.
    """
    if not 0.0 <= lam <= 1.0:
        raise ValueError(f"lam: expected a number in [0, 1], got {lam}")
    token = _GIVEN.set(lam)
    try:
        yield
    finally:
        _GIVEN.reset(token)


def draw_index(
    batch: int, *, generator: torch.Generator | None = None, device: torch.device | str = "cpu"
) -> Tensor:
    """Draw a partner for each sample: one random cycle through the batch, hence no fixed point.

    Args:
        batch: Number of samples B, at least 1; for B = 1 the sample is its own partner.
        generator: Source of randomness, on the CPU; None takes fresh entropy.
        device: Where the result goes.

    Returns:
        (B,) int64, a permutation without a fixed point (unless B = 1).
    """

    def draw(generator: torch.Generator | None) -> tuple[Tensor]:
        order = torch.randperm(batch, generator=check_generator(generator)).numpy()
        index = np.empty_like(order)
        index[order[1:]], index[order[:1]] = order[:-1], order[-1:]
        return (torch.from_numpy(index),)

    (index,) = _drawn(draw, generator, device)
    return index


def draw_uniform(
    *size: int, generator: torch.Generator | None = None, device: torch.device | str = "cpu"
) -> Tensor:
    """Draw float32 numbers of the given size, uniform in [0, 1)."""
    (drawn,) = _drawn(
        lambda given: (torch.rand(*size, generator=check_generator(given), dtype=torch.float32),),
        generator,
        device,
    )
    return drawn


Pairing = Literal["any", "same", "different", "balanced"]
PAIRINGS: tuple[Pairing, ...] = ("any", "same", "different", "balanced")
"""The ways to pair; see :func:`draw_partners`."""


def check_pairing(pairing: str) -> None:
    """Raise a ValueError unless a way to pair is known."""
    if pairing not in PAIRINGS:
        raise ValueError(f"pairing: expected one of {', '.join(PAIRINGS)}, got {pairing!r}")


def draw_partners(
    target: Tensor, pairing: Pairing, *, generator: torch.Generator | None = None
) -> tuple[Tensor, Tensor]:
    """Draw a partner for each sample of a batch by class, without waiting for the device.

    "any": one random cycle through the batch. "same": a random cycle through each class.
    "different": the batch in a random order of classes, shifted by the size of the largest one.
    "balanced": a class at random, then one of its samples, so that each class is mixed in as often
    as any other; one sample may be the partner of several.

    Args:
        target: (B,) int64 classes.
        pairing: How to pair.
        generator: Source of randomness, on the CPU; None takes fresh entropy.

    Returns:
        (B,) int64 index of the partners, and (B,) bool whether there was one: a sample without (the
        only one of its class, or of a class that is more than half of the batch) is to be left
        clean, see :func:`samix.mixing.keep_clean`. Never a sample itself, unless B = 1.

    Raises:
        ValueError: The pairing is unknown, or the target holds no class numbers.
    """
    check_pairing(pairing)
    if target.ndim != 1 or target.is_floating_point():
        raise ValueError(
            f"target: pairing {pairing!r} expected (B,) class numbers, got {tuple(target.shape)} "
            f"{target.dtype}; use pairing 'any'"
        )
    batch, device = len(target), target.device
    some = torch.ones(batch, dtype=torch.bool, device=device)
    if pairing == "any":
        return draw_index(batch, generator=generator, device=device), some & (batch > 1)
    if pairing == "balanced":
        drawn = draw_uniform(batch, 1, generator=generator, device=device)
        return _balanced(target, drawn), some & (batch > 1)
    order = _by_class(target, torch.randperm(batch, generator=generator).to(device))
    place = torch.arange(batch, device=device)
    classes = target[order]
    alike = classes.unsqueeze(1) == classes
    size = alike.sum(1)
    if pairing == "different":
        found = (place + size.amax()) % batch
        paired = classes != classes[found]
    else:
        first = alike.int().argmax(1)
        found = first + (place - first + 1) % size
        paired = size > 1
    found = torch.where(paired, found, (place + 1) % batch)
    index, whether = torch.empty_like(order), torch.empty_like(some)
    index[order], whether[order] = order[found], paired
    return index, whether


def _by_class(target: Tensor, order: Tensor) -> Tensor:
    """Return a random order (B,) of a batch changed so that classes stay together."""
    classes = target[order]
    first = (classes.unsqueeze(1) == classes).int().argmax(1)
    return order[first.argsort(stable=True)]


def _balanced(target: Tensor, drawn: Tensor) -> Tensor:
    """Return (B,) partners of classes with equal chances, by (B,1) draws uniform in [0, 1)."""
    alike = target.unsqueeze(1) == target
    others = ~torch.eye(len(target), dtype=torch.bool, device=target.device)
    # what each class has to offer to each sample: all but the sample itself
    offered = alike.sum(0) - alike.int()
    chance = others / offered.clamp_min(1)
    reach = chance.cumsum(1)
    wanted = drawn * reach[:, -1:]
    found = torch.searchsorted(reach, wanted, right=True).squeeze(1)
    # rounding may lead past the last one that is offered
    last = len(target) - 1 - others.flip(1).int().argmax(1)
    return torch.minimum(found, last)
