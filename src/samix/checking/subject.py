"""What is checked, behind one interface: a policy, a callable or a transform of another library.

Its draws can be repeated, and what a network would know of the images is made of their pixels.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from samix.errors import InputError
from samix.mixing import Evidence, MixPlan, blend, spectral_residual
from samix.policies import Policy

Source = Literal["torch", "numpy", "random"]
SOURCES: tuple[Source, ...] = ("torch", "numpy", "random")
"""Global random states that transforms draw from: of torch, of numpy, of Python."""
Call = Callable[[Tensor, Tensor, torch.Generator | None], tuple[Any, Any]]
"""From (images, target, generator) to (mixed images, soft target)."""


@dataclass(frozen=True)
class Subject:
    """A mixing transform that is checked."""

    name: str  # what it is called
    call: Call
    # share of samples, or of batches, that it says it mixes; None where it says nothing
    p: float | None = None
    policy: Policy | None = None  # the policy behind it, where its plans can be looked at
    # makes such a plan, from (images, target, generator); None where there is none
    plan: Callable[[Tensor, Tensor, torch.Generator], MixPlan] | None = None
    apply: Callable[[Tensor, MixPlan], Tensor] = blend  # mixes images as a plan says
    takes_generator: bool = False  # it takes a ``torch.Generator``
    # label smoothing that it says it adds; None where it says nothing
    smoothing: float | None = None
    # gives the call of an equal transform in the same state, for one that keeps a state
    twin: Callable[[], Call] | None = None
    paired: bool = False  # it mixes photos only where a partner of the right class is there
    # what a reader should know about how it was called, a sentence each
    notes: tuple[str, ...] = ()


def fresh(subject: Subject) -> Subject:
    """Return the subject with a transform of its own, in the state that it is in now."""
    return subject if subject.twin is None else replace(subject, call=subject.twin())


def mix(
    subject: Subject, images: Tensor, target: Tensor, seed: int, sources: Sequence[Source] = SOURCES
) -> tuple[Tensor, Tensor]:
    """Call a transform with a batch; what it draws follows from the seed, where that can be.

    The transform may change images (B,C,H,W) and target, classes (B,) or rows (B,K). InputError
    where it raised an error, or gave back no two tensors.
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
    """Seed the global random states that transforms draw from, and put the old ones back."""
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


def copied(transform: Any) -> Any:
    """Return a copy with the same state; the transform itself where it cannot be copied."""
    try:
        return copy.deepcopy(transform)
    except (TypeError, RuntimeError, NotImplementedError, AttributeError):
        return transform


def name_of(transform: Any) -> str:
    """Return the library of a transform and its own name."""
    named: Any = getattr(transform, "func", transform)  # a function with options
    named = named if hasattr(named, "__qualname__") else type(named)
    module = (named.__module__ or "").partition(".")[0]  # a function of exec has none
    return f"{module} {named.__qualname__}".lstrip()


CHANNELS = 16
"""Channels of the features."""
_SPOTS = 5  # a side
_SIDE = 8  # places along a side of features and maps


def stand_in_features(images: Tensor) -> Tensor:
    """Return (B,16,8,8) responses of fixed random filters, for images (B,C,H,W)."""
    generator = torch.Generator().manual_seed(0)
    filters = torch.randn(CHANNELS, images.shape[1], 3, 3, generator=generator)
    return F.adaptive_avg_pool2d(F.conv2d(images.float(), filters, padding=1).relu(), _SIDE)


def stand_in_evidence(images: Tensor, needs: Sequence[str]) -> Evidence | None:
    """Return evidence that looks like that of a network, the same for the same images.

    Args:
        images: (B,C,H,W).
        needs: Fields of :class:`samix.Evidence`.

    Raises:
        InputError: A need has no stand-in.
    """
    if not needs:
        return None
    for need in needs:
        if need not in _MAKERS:
            raise InputError(
                f"a policy that needs '{need}' can only be checked inside a training step: there "
                "is no stand-in for it"
            )
    with torch.no_grad():
        seen = _with_content(images)
        return Evidence(**{need: _MAKERS[need](seen) for need in needs})


def _with_content(images: Tensor) -> Tensor:
    """Return images of which those of one colour have soft spots, always the same ones.

    A policy that mixes by content would otherwise find none to go by.
    """
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(len(images), 1, _SPOTS, _SPOTS, generator=generator).pow(4)
    spots = F.interpolate(coarse, images.shape[2:], mode="bilinear").expand_as(images)
    flat = (images == images[:, :, :1, :1]).flatten(1).all(1).view(-1, 1, 1, 1)
    return torch.where(flat, spots.to(images), images)


def _shares(images: Tensor) -> Tensor:
    """Return (B,1,h,w) shares of the content, each map with sum 1."""
    saliency = F.adaptive_avg_pool2d(spectral_residual(images), _SIDE)
    return saliency / saliency.sum((2, 3), keepdim=True)


def _gradient(images: Tensor) -> Tensor:
    """Return (B,1,H,W) that is large where content lies, as the gradient of a loss is."""
    return F.interpolate(spectral_residual(images), images.shape[2:], mode="bilinear")


_MAKERS = {
    "features": stand_in_features,
    "saliency": spectral_residual,
    "gradient": _gradient,
    "activation": _shares,
    "attention": _shares,
}
