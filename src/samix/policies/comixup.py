"""Co-Mixup: each mix is a mosaic of many images, chosen for the whole batch at once."""

from __future__ import annotations

import math
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from samix.mixing import (
    Evidence,
    MixPlan,
    Mosaic,
    area_of,
    as_shares,
    cell_mask,
    draw_gammas,
    lowest_energy,
    other_shares,
    unordered_places,
)

from .policy import Policy, PolicyCard, Traits, check_alpha, check_number, register
from .static import check_cells

_PART = 20  # images that are mixed among themselves
_SMOOTH = 0.32  # beta, what it costs that two neighbours show different images
_DIVERSE = 1.0  # gamma, what it costs that an image is shown in many mixes
_PRIOR = 0.05  # eta, weight of the Dirichlet prior
_ROUNDS = 3  # over the mixes of a part
_TINY = 1e-8
_NOT_PAIRS = (
    "the paper makes every mix of many images of the batch at once; there are no pairs to be local"
)


def comixup_plan(
    images: Tensor,
    index: Tensor,
    generator: torch.Generator,
    *,
    evidence: Evidence,
    alpha: float,
    cells: int,
    threshold: float,
) -> MixPlan:
    """Plan of Co-Mixup: mosaics that show what is salient, smooth each, and unlike each other.

    The images of the batch are put into parts of at most 20, and as many mosaics are made of each
    part. Mosaic after mosaic, the cells z minimise ``sum -s_z - eta / n log a_z + beta / n [z_i !=
    z_j]`` over neighbours, plus ``2 gamma / n c_z`` for images that the other mosaics show in c
    cells, where c is above ``threshold`` n; three rounds. s is the saliency of the n cells, by the
    length of the loss's gradient, and a is drawn from a Dirichlet distribution. The label uses the
    area.
    """
    device, batch = images.device, len(images)
    grid = min(cells, images.shape[2]), min(cells, images.shape[3])
    gradient = evidence.known("gradient").float()
    saliency = as_shares(F.adaptive_avg_pool2d(gradient, grid)).squeeze(1)
    mosaic = torch.empty(batch, *grid, dtype=torch.int64, device=device)
    for members in _parts(torch.randperm(batch, generator=generator)):
        parts, size = members.shape
        start = torch.randint(size, (parts, size, *grid), generator=generator).to(device)
        gammas = draw_gammas(parts, size, alpha=alpha, generator=generator)
        prior = (gammas / gammas.sum(1, keepdim=True)).float().to(device)
        own = members.to(device)
        found = co_mosaics(saliency[own], start, prior, threshold)
        # from places in a part to places in the batch
        shown = own.gather(1, found.flatten(1)).view_as(found)
        mosaic[own.flatten()] = shown.flatten(0, 1)
    places = torch.arange(batch, device=device)
    rest = other_shares(mosaic, (images.shape[2], images.shape[3]))
    other = torch.where(rest.amax(1) > 0, rest.argmax(1), (places + 1) % batch)
    kept = (mosaic == places.view(-1, 1, 1)).float().unsqueeze(1)
    mask = cell_mask(kept, (images.shape[2], images.shape[3]))
    area = area_of(mask)
    return MixPlan(area, other, mask, area, Mosaic(mosaic))


def co_mosaics(saliency: Tensor, start: Tensor, prior: Tensor, threshold: float) -> Tensor:
    """Return mosaics of the images of each part; see :func:`comixup_plan`.

    Args:
        saliency: (P,M,R,C) of the M images of each of P parts, each map with sum 1.
        start: (P,M,R,C) int64 in [0, M), which image each cell of each mosaic shows at first.
        prior: (P,M) chance of each image, rows sum to 1.
        threshold: Share of a whole image from which on what others show counts.

    Returns:
        (P,M,R,C) int64 in [0, M), of which the m-th shows much of the m-th image.
    """
    parts, size, rows, columns = saliency.shape
    cells = rows * columns
    base = -saliency - _PRIOR / cells * (prior + _TINY).log().view(parts, size, 1, 1)
    down = base.new_full((parts, rows - 1, columns), _SMOOTH / cells)
    across = base.new_full((parts, rows, columns - 1), _SMOOTH / cells)
    places = unordered_places(size, base)
    mosaics, counts = start.clone(), _counts(start, size)
    for _ in range(_ROUNDS):
        for turn in range(size):
            others = counts.sum(1) - counts[:, turn]
            crowded = others * (others > threshold * cells)
            penalty = (2.0 * _DIVERSE / cells * crowded).view(parts, size, 1, 1)
            mosaics[:, turn] = lowest_energy(base + penalty, down, across, places)
            counts[:, turn] = _counts(mosaics[:, [turn]], size)[:, 0]
    owner = _owners(counts).view(parts, size, 1, 1)
    return mosaics.gather(1, owner.expand_as(mosaics))


def _counts(mosaics: Tensor, size: int) -> Tensor:
    """Return (P,J,M) how many cells of each mosaic (P,J,R,C) show which of M images."""
    images = torch.arange(size, device=mosaics.device)
    return (mosaics.flatten(2).unsqueeze(3) == images).sum(2).float()


def _owners(counts: Tensor) -> Tensor:
    """Return (P,M) which mosaic each image is given: again and again the largest count left."""
    parts, size = counts.shape[:2]
    left, places = counts.clone(), torch.arange(size, device=counts.device)
    owner = torch.zeros(parts, size, dtype=torch.int64, device=counts.device)
    for _ in range(size):
        best = left.flatten(1).argmax(1, keepdim=True)
        mosaic, image = best // size, best % size
        owner = torch.where(places == image, mosaic, owner)
        taken = (places == mosaic).unsqueeze(2) | (places == image).unsqueeze(1)
        left = left.masked_fill(taken, -1.0)
    return owner


def _parts(order: Tensor) -> list[Tensor]:
    """Return a batch (B,) as one or two (P,M): parts of at most 20, of nearly equal sizes."""
    count = math.ceil(len(order) / _PART)
    size, larger = divmod(len(order), count)
    cut = larger * (size + 1)
    parts = [order[:cut].view(larger, size + 1), order[cut:].view(count - larger, size)]
    return [part for part in parts if part.numel()]


@register(
    "co-mixup",
    PolicyCard(
        "Co-Mixup: mosaics of many images that show what is salient and are unlike each other.",
        source=(
            "Co-Mixup, arXiv 2102.03065, by its public code; of the paper's text only the abstract "
            "was at hand"
        ),
        notes=(
            "Deviations: energy by mean field and descent (samix.mixing.lowest_energy), where the "
            "code has graph cuts of a C library; a cell shows one image, where the code may show "
            "the mean of two; the code's penalty by likeness of inputs (its omega is 0.001) and "
            "its repair of equal mosaics are left out; three rounds over the mosaics where the "
            "code has four; the gradient is that of the momentum encoder; each mosaic is given to "
            "the image that it shows most of those that are left. The code also trains on the "
            "clean images, which here is a choice of the method (clean_branch), off by default, "
            "and names an alpha below 2 for doing without."
        ),
        options={
            "alpha": "Parameters of the Dirichlet distribution, above 0.",
            "cells": "Cells of a mosaic along a side.",
            "threshold": (
                "Share of a whole image, above 0, from which on it costs to show an image that "
                "other mosaics show; the larger, the more of the same is shown."
            ),
        },
    ),
)
def comixup(alpha: float = 2.0, cells: int = 4, threshold: float = 0.83, p: float = 1.0) -> Policy:
    check_alpha(alpha)
    check_cells(cells)
    check_number(threshold, "threshold")
    if not threshold > 0:
        raise ValueError(f"threshold: expected a number above 0, got {threshold}")
    rule = partial(comixup_plan, alpha=alpha, cells=cells, threshold=threshold)
    traits = Traits(
        needs=("gradient",),
        sources="many",
        pairwise=False,
        relabel=False,
        excused={"test_the_partners_are_a_permutation": _NOT_PAIRS},
    )
    return Policy("co-mixup", rule, traits, p=p)
