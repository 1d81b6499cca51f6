"""The photos and targets that a transform is called with."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from samix.errors import InputError

from .provenance import MOST_PHOTOS
from .trials import Photos

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

    Args:
        loader: Gives (images, target): (B,C,H,W) floating point, and (B,) classes or (B,K) rows; or
            images alone.

    Raises:
        InputError: It gives something else, or fewer than two photos.
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
    """Return targets for eight photos of one colour each: a class each, as far as there are.

    Args:
        num_classes: Number of classes K.
        rows: Give rows (8,K) instead of classes (8,).
        paired: Give each class to two photos, one after the other.
    """
    target = torch.arange(MOST_PHOTOS) // (2 if paired else 1) % num_classes
    return torch.nn.functional.one_hot(target, num_classes).float() if rows else target


def _pair(batch: object) -> Photos:
    """Return one batch of a loader as photos.

    Raises:
        InputError: It is something else.
    """
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
