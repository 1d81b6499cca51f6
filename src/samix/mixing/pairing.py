"""Partners by class: the same, another, or a rare one as often as a common one."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from .draws import draw_index, draw_uniform

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
        ValueError: Unknown pairing, or a target that is no class numbers.
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
    """Return a random order of a batch in which classes stay together.

    Args:
        target: (B,).
        order: (B,), random.
    """
    classes = target[order]
    first = (classes.unsqueeze(1) == classes).int().argmax(1)
    return order[first.argsort(stable=True)]


def _balanced(target: Tensor, drawn: Tensor) -> Tensor:
    """Return (B,) partners of classes that are drawn with equal chances.

    Args:
        target: (B,).
        drawn: (B,1) uniform in [0, 1).
    """
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
