"""Calls of a transform with photos of one colour each, and with the user's photos."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from samix.errors import InputError
from samix.mixing import MixPlan

from .provenance import flat_photos, source_colours, trace_sources
from .subject import Subject, fresh, mix

Made = TypeVar("Made")

_INSIDE = 0.8  # photos are squeezed to this share of their range, so that a shift stays inside
_TRACED = 1e-3  # a pixel this near to a mix of two colours is one
_ODD = 0.02  # share of pixels that may be further away
MOST_SECONDS = 2.0
"""Time of the processor after which no further call is made, where a few are enough."""


@dataclass(frozen=True)
class Photos:
    """Photos of the user, or photos of one colour each.

    Attributes:
        images: (B,C,H,W) floating point.
        target: (B,) classes, or (B,K) rows.
    """

    images: Tensor
    target: Tensor

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.images.shape[2], self.images.shape[3]


@dataclass(frozen=True)
class Trial:
    """What came of one call, and of which photos each pixel is made.

    Attributes:
        target: (B,) classes, or (B,K) rows.
        soft: (B,K) as it was returned.
        weights: (B,B,H,W) how much of each photo is in each pixel of each mix.
        distance: (B,H,W) of each pixel from the nearest mix of two photos.
        plan: The plan, where there is one to look at.
    """

    target: Tensor
    soft: Tensor
    weights: Tensor
    distance: Tensor
    plan: MixPlan | None = None

    @property
    def shares(self) -> Tensor:
        """(B,B) share of the pixels of each mix that each photo has."""
        return self.weights.mean((2, 3))


def enough(calls: Iterator[Made], fewest: int) -> Iterator[Made]:
    """Give what calls give, until they have taken long.

    Args:
        calls: Makes a call each time it is asked.
        fewest: How many are made however long they take.
    """
    begin = time.process_time()
    for number, made in enumerate(calls, start=1):
        yield made
        if number >= fewest and time.process_time() - begin > MOST_SECONDS:
            return


def flat_batch(target: Tensor, size: tuple[int, int], channels: int) -> Photos:
    """Return photos of one colour each.

    Args:
        target: (B,) classes.
        size: Height and width in pixels.
        channels: At least 3.
    """
    return Photos(flat_photos(source_colours(len(target), channels), size), target)


def flat_trials(subject: Subject, flat: Photos, rounds: int, seed: int) -> Iterator[Trial]:
    """Mix photos of one colour each.

    Args:
        subject: The transform.
        flat: From :func:`flat_batch`.
        rounds: Number of calls.
        seed: Of the first call.
    """
    colours = flat.images[:, :, 0, 0]
    for number in range(seed, seed + rounds):
        plan = None
        if subject.plan is not None:
            generator = torch.Generator().manual_seed(number)
            plan = subject.plan(flat.images, flat.target, generator)
        mixed, soft = mix(subject, flat.images.clone(), flat.target.clone(), number)
        if mixed.shape != flat.images.shape or soft.ndim != 2 or len(soft) != len(flat.target):
            raise InputError(
                f"{subject.name} gave images {tuple(mixed.shape)} and a target "
                f"{tuple(soft.shape)} in one call, and other shapes in the one before"
            )
        yield Trial(flat.target, soft, *trace_sources(mixed, colours), plan)


def photo_trial(subject: Subject, photos: Photos, seed: int) -> Trial | None:
    """Mix photos of the user, and find of which photos each pixel is made.

    The plan of a policy is applied to photos of one colour. Another transform is called twice with
    the same draws, the second time with a little of its colour added to each photo: the difference
    of both mixes is the mix of the colours.

    Returns:
        None where the draws cannot be repeated, or the added colour changed the mix.

    Raises:
        InputError: The photos are all of one grey.
    """
    colours = source_colours(len(photos.images))
    if subject.plan is not None:
        generator = torch.Generator().manual_seed(seed)
        plan = subject.plan(photos.images, photos.target, generator)
        shown = subject.apply(flat_photos(colours, photos.size), plan)
        _, soft = mix(subject, photos.images.clone(), photos.target.clone(), seed)
        return Trial(photos.target, soft, *trace_sources(shown, colours), plan)
    found = _difference(subject, photos, colours, seed)
    if found is None:
        return None
    trial = Trial(photos.target, found[1], *trace_sources(found[0], colours))
    return trial if bool((trial.distance < _TRACED).float().mean() >= 1 - _ODD) else None


def _difference(
    subject: Subject, photos: Photos, colours: Tensor, seed: int
) -> tuple[Tensor, Tensor] | None:
    """Return the mix (B,3,H,W) of the colours with the draws of a mix of photos, and its target."""
    low, high = photos.images.min(), photos.images.max()
    if not low < high:
        raise InputError("the photos are all of one grey; give photos with something on them")
    reach, middle = (1.0 - _INSIDE) * (high - low), (low + high) / 2
    base = middle + _INSIDE * (photos.images - middle)
    plain, soft = mix(fresh(subject), base.clone(), photos.target.clone(), seed)
    channels, columns = base.shape[1], []
    for first in range(0, colours.shape[1], channels):
        # photos of one or two channels take the colour in several calls
        taken = (torch.arange(channels) + first) % colours.shape[1]
        shift = (colours[:, taken, None, None] - 0.5) * reach
        moved, again = mix(fresh(subject), base + shift, photos.target.clone(), seed)
        if moved.shape != base.shape or not torch.equal(soft, again):
            return None
        columns.append((moved.float() - plain.float()) / reach + 0.5)
    return torch.cat(columns, dim=1)[:, : colours.shape[1]], soft


def many_calls(subject: Subject, flat: Photos, rounds: int, seed: int) -> tuple[Tensor, Tensor]:
    """Return what many calls did, without looking at pixels; fewer where they take long.

    Args:
        subject: The transform.
        flat: From :func:`flat_batch`.
        rounds: Number of calls R at most.
        seed: Of the first call.

    Returns:
        (R,B) which samples came out changed, and (R,B,K) soft targets.
    """
    flags, soft = [], []
    for number in enough(iter(range(seed, seed + rounds)), fewest=1):
        mixed, rows = mix(subject, flat.images.clone(), flat.target.clone(), number)
        flags.append((mixed.float() - flat.images).abs().flatten(1).amax(1) > 1e-6)
        soft.append(rows.float())
    return torch.stack(flags), torch.stack(soft)
