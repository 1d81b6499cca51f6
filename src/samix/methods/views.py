"""The images that a method is given: one batch, or two views of it."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from samix.policies.policy import check_batch

Views = tuple[Tensor, Tensor]
"""Two views of each image, (B,3,H,W) each."""


def check_images(images: Tensor, name: str = "images") -> None:
    """Raise unless images are a batch that a network can take.

    Args:
        images: What a loader gave.
        name: What they are called.

    Raises:
        ValueError: Not (B,C,H,W).
        TypeError: Not floating point.
    """
    check_batch(images, name)
    if not images.is_floating_point():
        raise TypeError(
            f"{name}: expected normalised images of floating point, got {images.dtype}; convert "
            "them, for instance with images.float() / 255"
        )


def check_views(views: Sequence[Tensor]) -> Views:
    """Return two views that fit each other.

    Args:
        views: What a loader gave.

    Raises:
        TypeError: Not a sequence of tensors, or not of floating point.
        ValueError: Not two, not (B,3,H,W) of one shape, or a batch of 1.
    """
    if isinstance(views, Tensor):
        raise TypeError(
            f"views: expected two views (view_1, view_2), got one tensor {tuple(views.shape)}"
        )
    if len(views) != 2:
        raise ValueError(f"views: expected two views of each image, got {len(views)}")
    first, second = views
    for view in views:
        check_images(view, "views")
    if first.shape != second.shape:
        raise ValueError(
            "views: expected two batches (B,3,H,W) of one shape, got "
            f"{tuple(first.shape)} and {tuple(second.shape)}"
        )
    if len(first) < 2:
        raise ValueError(
            "views: expected a batch of at least 2 images, since one has no partner, got 1; leave "
            "the incomplete last batch out (drop_last=True)"
        )
    return first, second
