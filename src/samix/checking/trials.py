"""Calls of a transform with photos of one colour each, and with the user's photos.

The colours tell of which photos each pixel of a mix is made.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import TypeVar

import torch
from torch import Tensor

from samix.errors import InputError
from samix.mixing import MixPlan

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
    """What came of one call, and of which photos each pixel is made."""

    target: Tensor  # (B,) classes, or (B,K) rows
    soft: Tensor  # (B,K) as it was returned
    weights: Tensor  # (B,B,H,W) how much of each photo is in each pixel of each mix
    distance: Tensor  # (B,H,W) of each pixel from the nearest mix of two photos
    plan: MixPlan | None = None  # the plan, where there is one to look at

    @property
    def shares(self) -> Tensor:
        """(B,B) share of the pixels of each mix that each photo has."""
        return self.weights.mean((2, 3))


def enough(calls: Iterator[Made], fewest: int) -> Iterator[Made]:
    """Give what calls give, until they have taken long."""
    begin = time.process_time()
    for number, made in enumerate(calls, start=1):
        yield made
        if number >= fewest and time.process_time() - begin > MOST_SECONDS:
            return


def flat_batch(target: Tensor, size: tuple[int, int], channels: int) -> Photos:
    """Return photos of one colour each."""
    return Photos(flat_photos(source_colours(len(target), channels), size), target)


def flat_trials(subject: Subject, flat: Photos, rounds: int, seed: int) -> Iterator[Trial]:
    """Mix photos of one colour each."""
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
    of both mixes is the mix of the colours. None where the draws cannot be repeated, or the added
    colour changed the mix.
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
    """Return (R,B) changed samples and (R,B,K) soft targets of calls; fewer if they take long."""
    flags, soft = [], []
    for number in enough(iter(range(seed, seed + rounds)), fewest=1):
        mixed, rows = mix(subject, flat.images.clone(), flat.target.clone(), number)
        flags.append((mixed.float() - flat.images).abs().flatten(1).amax(1) > 1e-6)
        soft.append(rows.float())
    return torch.stack(flags), torch.stack(soft)


_CORNERS = (
    (50, 0, 38), (45, 49, 49), (0, 1, 21), (36, 2, 5),
    (50, 36, 2), (14, 11, 50), (7, 44, 0), (5, 43, 45),
)  # fmt: skip
_PURE = 1e-5  # a pixel this near to a colour is that photo alone
MOST_PHOTOS = len(_CORNERS)
"""Photos that have a colour of their own."""


def source_colours(count: int, columns: int = 3) -> Tensor:
    """Return a colour (B,C) in [0, 1] for each photo, so that a mix of two tells which they were.

    The lines between any two colours stay at least 0.12 apart from those between two others, so
    that a point on a line is on no other one. There are at most 8, of at least 3 channels; further
    channels repeat the first three.
    """
    if not 1 <= count <= MOST_PHOTOS:
        raise ValueError(f"count: expected 1 to {MOST_PHOTOS} photos, got {count}")
    if columns < 3:
        raise ValueError(f"columns: expected at least 3 channels, got {columns}")
    corners = torch.tensor(_CORNERS[:count], dtype=torch.float32) / 50
    return corners[:, torch.arange(columns) % 3]


def flat_photos(colours: Tensor, size: tuple[int, int]) -> Tensor:
    """Return photos (B,C,H,W) of one colour each, from colours (B,C)."""
    return colours[:, :, None, None].expand(-1, -1, *size).contiguous()


def trace_sources(mixed: Tensor, colours: Tensor) -> tuple[Tensor, Tensor]:
    """Return how much of each photo is in each pixel, where photos are of one colour each.

    Each pixel is the nearest point on a line between two colours.

    Args:
        mixed: (N,C,H,W), mixes of photos of one colour each.
        colours: (B,C) of these photos.

    Returns:
        (N,B,H,W) weights that sum to 1 in each pixel, and (N,H,W) the distance between the pixel
        and the nearest mix of two photos: near 0 unless something else was done to it.
    """
    count, _, height, width = mixed.shape
    alike = (mixed == mixed[:, :, :1, :1]).all()
    # mixup: one pixel of each mix says all
    seen = mixed[:, :, :1, :1] if alike else mixed
    pixels = seen.double().permute(0, 2, 3, 1).reshape(-1, mixed.shape[1])
    weights, distance = _nearest(pixels, colours.double())
    shape = (count, *seen.shape[2:])
    weights = weights.view(*shape, len(colours)).permute(0, 3, 1, 2).float()
    return (
        weights.expand(-1, -1, height, width),
        distance.view(shape).float().expand(-1, height, width),
    )


def _nearest(pixels: Tensor, colours: Tensor) -> tuple[Tensor, Tensor]:
    """Return (P,B) weights and (P,) distances of pixels (P,C)."""
    apart = torch.cdist(pixels, colours)
    distance, first = apart.min(dim=1)
    weights = torch.zeros_like(apart).scatter_(1, first[:, None], 1.0)
    # most pixels of a cut mix are one photo alone; what is no number cannot be traced
    blended = (distance > _PURE).nonzero().squeeze(1)
    if not len(blended) or len(colours) < 2:
        return weights, distance
    chosen = pixels[blended]
    best, pair, share = distance[blended], first[blended].repeat(2, 1), torch.ones(len(blended))
    share = share.to(best)
    for a, b in combinations(range(len(colours)), 2):
        line = colours[a] - colours[b]
        along = ((chosen - colours[b]) @ line / line.square().sum()).clamp(0.0, 1.0)
        length = (chosen - colours[b] - along[:, None] * line).norm(dim=1)
        nearer = length < best
        best = torch.where(nearer, length, best)
        share = torch.where(nearer, along, share)
        pair[0] = torch.where(nearer, a, pair[0])
        pair[1] = torch.where(nearer, b, pair[1])
    rows = torch.zeros_like(weights[blended])
    rows.scatter_add_(1, pair[:1].T, share[:, None])
    rows.scatter_add_(1, pair[1:].T, 1.0 - share[:, None])
    weights[blended], distance[blended] = rows, best
    return weights, distance


_BATCHES = 4
_MAP = 8  # px; the transport of AlignMixup is between all places


def demo_photos() -> list[Photos]:
    """Return batches of built-in photos (8,3,64,64) with values in [0, 1], of all six classes."""
    from samix.data import DEMO_CLASSES, DemoOptions, demo_photo  # noqa: PLC0415 - only here

    options = DemoOptions(photos_per_class=6, views=1)
    whole = range(options.photos_per_class * len(DEMO_CLASSES))
    # neighbours in a batch are of different classes
    order = sorted(whole, key=lambda place: (place % options.photos_per_class, place))
    drawn = [demo_photo(place, options) for place in order[: MOST_PHOTOS * _BATCHES]]
    images = torch.stack([torch.from_numpy(photo.image) for photo in drawn])
    return cut_batches(
        images.permute(0, 3, 1, 2).float() / 255, torch.tensor([photo.target for photo in drawn])
    )


def take_photos(loader: Iterable[object]) -> list[Photos]:
    """Return the first photos of a loader in batches of at most eight.

    It gives (images, target): (B,C,H,W) floating point, and (B,) classes or (B,K) rows; or images
    alone. InputError where it gives something else, or fewer than two photos.
    """
    images, targets, count = [], [], 0
    for batch in loader:
        photos = _pair(batch)
        images.append(photos.images)
        targets.append(photos.target)
        count += len(photos.images)
        if count >= MOST_PHOTOS * _BATCHES:
            break
    if count < 2:
        raise InputError(f"the loader gave {count} photos; a pair needs two")
    sizes = {tuple(batch.shape[1:]) for batch in images}
    forms = {(batch.ndim, tuple(batch.shape[1:])) for batch in targets}
    if len(sizes) > 1 or len(forms) > 1:
        raise InputError(
            f"the loader gives batches of several forms, images {sorted(sizes)}; resize the photos "
            "to one size"
        )
    return cut_batches(torch.cat(images), torch.cat(targets))


def cut_batches(images: Tensor, target: Tensor) -> list[Photos]:
    """Return photos in batches of eight, or one of all where there are fewer, even in number.

    Args:
        images: (N,C,H,W), at least 2.
        target: (N,) classes, or (N,K) rows; -1 where there is no label.
    """
    if target.ndim == 1 and bool((target < 0).any()):
        target = torch.arange(len(images)) % MOST_PHOTOS
    size = min(MOST_PHOTOS, len(images) // 2 * 2)
    full = range(0, len(images) - size + 1, size)
    batches = [Photos(images[i : i + size], target[i : i + size]) for i in full]
    return batches[:_BATCHES]


def small_maps(photos: Photos) -> Photos:
    """Return photos of at most 8 px a side, which stand for feature maps."""
    height, width = (min(length, _MAP) for length in photos.size)
    return Photos(
        torch.nn.functional.adaptive_avg_pool2d(photos.images, (height, width)), photos.target
    )


def classes_of(batches: Iterable[Photos]) -> int:
    """Return how many classes the targets of batches need."""
    targets = [photos.target for photos in batches]
    if targets[0].ndim == 2:
        return targets[0].shape[1]
    return max(int(target.max()) for target in targets) + 1


def flat_target(num_classes: int, *, rows: bool, paired: bool = False) -> Tensor:
    """Return targets, classes or rows, for eight photos of one colour each.

    Each has a class of its own as far as there are; ``paired`` gives each class to two photos.
    """
    target = torch.arange(MOST_PHOTOS) // (2 if paired else 1) % num_classes
    return torch.nn.functional.one_hot(target, num_classes).float() if rows else target


def _pair(batch: object) -> Photos:
    """Return one batch of a loader as photos."""
    images, target = batch, None
    if isinstance(batch, tuple | list) and len(batch) == 2:
        images, target = batch
    if not isinstance(images, Tensor) or images.ndim != 4:
        raise InputError(
            "the loader should give (images, target) with images (B,C,H,W), got "
            f"{type(batch).__name__}"
        )
    if not images.is_floating_point():
        raise InputError(
            f"the loader should give images of floating point, got {images.dtype}; convert them, "
            "for instance with images.float() / 255"
        )
    if target is None:
        target = torch.full((len(images),), -1)
    if not isinstance(target, Tensor) or target.ndim not in (1, 2) or len(target) != len(images):
        raise InputError(
            f"the loader should give a target (B,) of classes or (B,K) of rows for {len(images)} "
            f"images, got {tuple(target.shape) if isinstance(target, Tensor) else target!r}"
        )
    if target.ndim == 1 and target.is_floating_point():
        raise InputError(f"the loader should give classes as integers, got {target.dtype}")
    return Photos(images.detach().cpu(), target.detach().cpu())
