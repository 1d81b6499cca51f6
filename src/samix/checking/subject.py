"""What is checked: a mixing transform behind one interface, whose draws can be repeated."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from samix.errors import InputError
from samix.mixing import MixPlan, blend
from samix.policies import Policy

Source = Literal["torch", "numpy", "random"]
SOURCES: tuple[Source, ...] = ("torch", "numpy", "random")
"""Global random states that transforms draw from: of torch, of numpy, of Python."""
Call = Callable[[Tensor, Tensor, torch.Generator | None], tuple[Any, Any]]
"""From (images, target, generator) to (mixed images, soft target)."""


@dataclass(frozen=True)
class Subject:
    """A mixing transform that is checked.

    Attributes:
        name: What it is called.
        call: Calls it.
        p: Share of samples, or of batches, that it says it mixes; None where it says nothing.
        policy: The policy behind it, where its plans can be looked at.
        plan: Makes such a plan, from (images, target, generator); None where there is none.
        apply: Mixes images as a plan says.
        takes_generator: It takes a ``torch.Generator``.
        smoothing: Label smoothing that it says it adds; None where it says nothing.
        twin: Gives the call of an equal transform in the same state, for one that keeps a state.
        paired: It mixes photos only where a partner of the right class is there.
        notes: What a reader should know about how it was called, a sentence each.
    """

    name: str
    call: Call
    p: float | None = None
    policy: Policy | None = None
    plan: Callable[[Tensor, Tensor, torch.Generator], MixPlan] | None = None
    apply: Callable[[Tensor, MixPlan], Tensor] = blend
    takes_generator: bool = False
    smoothing: float | None = None
    twin: Callable[[], Call] | None = None
    paired: bool = False
    notes: tuple[str, ...] = ()


def fresh(subject: Subject) -> Subject:
    """Return the subject with a transform of its own, in the state that it is in now."""
    return subject if subject.twin is None else replace(subject, call=subject.twin())


def mix(
    subject: Subject,
    images: Tensor,
    target: Tensor,
    seed: int,
    sources: Sequence[Source] = SOURCES,
) -> tuple[Tensor, Tensor]:
    """Call a transform with a batch; what it draws follows from the seed, where that can be.

    Args:
        subject: The transform.
        images: (B,C,H,W); the transform may change them.
        target: (B,) classes, or (B,K) rows; the transform may change it.
        seed: Of the generator that it takes, or else of the global random states.
        sources: Which of these follow the seed.

    Returns:
        Mixed images and target as they came back.

    Raises:
        InputError: It raised an error, or gave back no two tensors.
    """
    generator = torch.Generator().manual_seed(seed) if subject.takes_generator else None
    try:
        if generator is None:
            with seeded(seed, sources):
                mixed, soft = subject.call(images, target, None)
        else:
            mixed, soft = subject.call(images, target, generator)
    except InputError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split()) or "no reason was given"
        raise InputError(
            f"{subject.name} failed on images {tuple(images.shape)} {images.dtype} and a target "
            f"{tuple(target.shape)} {target.dtype}: {type(error).__name__}: {reason}"
        ) from error
    if not isinstance(mixed, Tensor) or not isinstance(soft, Tensor):
        raise InputError(
            f"{subject.name} should return two tensors (images, soft target), got "
            f"{type(mixed).__name__} and {type(soft).__name__}"
        )
    return mixed, soft


@contextmanager
def seeded(seed: int, sources: Sequence[Source] = SOURCES) -> Iterator[None]:
    """Seed the global random states that transforms draw from, and put the old ones back.

    Args:
        seed: Seed.
        sources: Which states get it; others get a fixed one.
    """
    states = torch.get_rng_state(), np.random.get_state(), random.getstate()  # noqa: NPY002
    value = {source: seed if source in sources else 0 for source in SOURCES}
    torch.default_generator.manual_seed(value["torch"])
    np.random.seed(value["numpy"] % 2**32)  # noqa: NPY002 - what other libraries draw from
    random.seed(value["random"])
    try:
        yield
    finally:
        torch.set_rng_state(states[0])
        np.random.set_state(states[1])  # noqa: NPY002
        random.setstate(states[2])
