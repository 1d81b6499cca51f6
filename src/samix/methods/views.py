"""Two views of a batch."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

Views = tuple[Tensor, Tensor]
"""Two views of each image, (B,3,H,W) each."""


def check_views(views: Sequence[Tensor]) -> Views:
    """Return two views that fit each other.

    Args:
        views: What a loader gave.

    Raises:
        TypeError: Not a sequence of tensors.
        ValueError: Not two, not (B,3,H,W) of one shape, or a batch of 1.
    """
    if isinstance(views, Tensor):
        raise TypeError(
            f"views: expected two views (view_1, view_2), got one tensor {tuple(views.shape)}"
        )
    if len(views) != 2:
        raise ValueError(f"views: expected two views of each image, got {len(views)}")
    first, second = views
    if first.ndim != 4 or first.shape != second.shape:
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
