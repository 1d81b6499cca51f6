"""Provenance: colours that tell of which photos each pixel of a mix is made, as plain functions."""

from __future__ import annotations

from itertools import combinations

import torch
from torch import Tensor

_CORNERS = (
    (50, 0, 38), (45, 49, 49), (0, 1, 21), (36, 2, 5),
    (50, 36, 2), (14, 11, 50), (7, 44, 0), (5, 43, 45),
)  # fmt: skip
_PURE = 1e-5  # a pixel this near to a colour is that photo alone
MOST_PHOTOS = len(_CORNERS)
"""Photos that have a colour of their own."""


def source_colours(count: int, columns: int = 3) -> Tensor:
    """Return a colour for each photo, such that a mix of two tells which two they were.

    The lines between any two colours stay at least 0.12 apart from those between two others, so
    that a point on a line is on no other one.

    Args:
        count: Number of photos B, 1 to 8.
        columns: Channels C, at least 3; further ones repeat the first three.

    Returns:
        (B,C) float32 in [0, 1].

    Raises:
        ValueError: Too many photos, or too few channels.
    """
    if not 1 <= count <= MOST_PHOTOS:
        raise ValueError(f"count: expected 1 to {MOST_PHOTOS} photos, got {count}")
    if columns < 3:
        raise ValueError(f"columns: expected at least 3 channels, got {columns}")
    corners = torch.tensor(_CORNERS[:count], dtype=torch.float32) / 50
    return corners[:, torch.arange(columns) % 3]


def flat_photos(colours: Tensor, size: tuple[int, int]) -> Tensor:
    """Return photos (B,C,H,W) of one colour each.

    Args:
        colours: (B,C).
        size: Height and width in pixels.
    """
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
