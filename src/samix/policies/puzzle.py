"""Puzzle Mix: the mask with least energy, and salient cells that are moved to where they show."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from samix.mixing import (
    IN_PLACE,
    CellMoves,
    Evidence,
    MixPlan,
    area_of,
    as_shares,
    cell_mask,
    draw_lam,
    lowest_energy,
    transport_cells,
)

from .policy import Policy, PolicyCard, Traits, check_alpha, check_number, register

_LARGEST = 4  # the mask has 2 to 2^4 cells along a side
_CELLS_MOVED = 8  # along a side, or those of the mask where these are more
_TINY = 1e-8  # of a probability, as in the paper's code


@dataclass(frozen=True)
class PuzzleEnergy:
    """Weights of the parts of the energy; the defaults are those of the paper's code for CIFAR-100.

    Attributes:
        smooth: beta, what it costs that two neighbours show different images, 0 or more.
        border: gamma, how much of that depends on how well the images fit there, 0 or more.
        prior: eta, weight of the binomial prior with mean lam, 0 or more.
        levels: Values that a cell of the mask can take, from 0 to 1, at least 2.
    """

    smooth: float = 1.2
    border: float = 0.5
    prior: float = 0.2
    levels: int = 3

    def __post_init__(self) -> None:
        for name in ("smooth", "border", "prior"):
            value = getattr(self, name)
            check_number(value, f"energy.{name}")
            if not value >= 0:
                raise ValueError(f"energy.{name}: expected a number of at least 0, got {value}")
        if not isinstance(self.levels, int) or not 2 <= self.levels <= 8:
            raise ValueError(f"energy.levels: expected 2 to 8, got {self.levels!r}")


def puzzlemix_plan(
    images: Tensor,
    index: Tensor,
    generator: torch.Generator,
    *,
    evidence: Evidence,
    alpha: float,
    energy: PuzzleEnergy,
    transport: float | None,
) -> MixPlan:
    """Plan of Puzzle Mix: of both images what is salient is shown, in few and fitting pieces.

    The mask z minimises ``sum_i (1 - z_i) s_i + z_i t_i - eta / n log p(z_i) + sum_ij (beta + gamma
    d_ij) (z_i - z_j)^2`` with the saliencies s of the original and t of the partner, the binomial p
    with mean lam, and d from how the pixels fit at the border of two cells; then both images are
    cut into cells, and salient ones are moved to where the image is shown. The label uses the area.
    """
    size = images.shape[2], images.shape[3]
    lam = draw_lam(len(images), alpha, generator=generator, device=images.device)
    cells = 2 ** int(torch.randint(1, _LARGEST + 1, (), generator=generator))
    grid = min(cells, size[0]), min(cells, size[1])
    own = _cell_shares(evidence, grid)
    others = images if evidence.partner_images is None else evidence.partner_images
    keep = _best_mask(images, others[index], own, own[index], lam, energy)
    mask = cell_mask(keep.unsqueeze(1), size)
    area = area_of(mask)
    moves = None if transport is None else _moves(evidence, index, keep, size, transport)
    return MixPlan(lam, index, mask, area, IN_PLACE if moves is None else CellMoves(moves))


def _best_mask(
    images: Tensor, partner: Tensor, own: Tensor, other: Tensor, lam: Tensor, energy: PuzzleEnergy
) -> Tensor:
    """Return the (B,R,C) share of the original in each cell, of least energy.

    The saliencies ``own`` and ``other`` of originals and partners are (B,R,C) with sum 1.
    """
    grid, levels = own.shape[1:], energy.levels
    smooth = energy.smooth / max(grid) / 16
    down, across = (
        border_costs(images.float(), partner.float(), (grid[0], grid[1]), vertical=vertical)
        * (smooth * energy.border)
        for vertical in (True, False)
    )
    hidden_own, hidden_other = own.clone(), other.clone()
    for cost, first, second in (
        (down, (slice(None), slice(None, -1)), (slice(None), slice(1, None))),
        (across, (..., slice(None, -1)), (..., slice(1, None))),
    ):
        # what a cell that shows the partner (the original) pays for its neighbours on average
        hidden_own[first] += (cost[:, 0, 1] + cost[:, 0, 0]) / 2
        hidden_own[second] += (cost[:, 1, 0] + cost[:, 0, 0]) / 2
        hidden_other[first] += (cost[:, 1, 0] + cost[:, 1, 1]) / 2
        hidden_other[second] += (cost[:, 0, 1] + cost[:, 1, 1]) / 2
    share = torch.arange(levels, device=own.device, dtype=own.dtype) / (levels - 1)
    share = share.view(1, -1, 1, 1)
    prior = _log_binomial(lam, levels).view(-1, levels, 1, 1) * (energy.prior / own[0].numel())
    unary = (1.0 - share) * hidden_own.unsqueeze(1) + share * hidden_other.unsqueeze(1) - prior
    weights = [
        smooth + (cost[:, 1, 0] + cost[:, 0, 1] - cost[:, 1, 1] - cost[:, 0, 0]) / 2
        for cost in (down, across)
    ]
    return lowest_energy(unary, *weights).to(own.dtype) / (levels - 1)


def border_costs(
    images: Tensor, partner: Tensor, grid: tuple[int, int], *, vertical: bool
) -> Tensor:
    """Return how far pixels lie apart where two cells meet, for each choice of what both show.

    The mean absolute difference over channels and along the border, of pixels that are averaged in
    up to 4 x 4, in units of the range of both images.

    Args:
        images: (B,C,H,W) of the originals.
        partner: (B,C,H,W) of the partners.
        grid: Rows R and columns C of cells.
        vertical: Of a cell and the one below it; otherwise of a cell and the one to its right.

    Returns:
        (B,2,2,R-1,C) or (B,2,2,R,C-1): first cell shows partner (0) or original (1), so the second.
    """
    rows, columns = grid
    # small squares within each cell, of up to 4 px
    down, across = (
        max(n // (cells * 4), 1) for n, cells in zip(images.shape[2:], grid, strict=True)
    )
    fine = (rows * down, columns * across)
    both = [F.adaptive_avg_pool2d(part, fine) for part in (partner, images)]
    high = torch.maximum(*(part.amax((1, 2, 3)) for part in both))
    low = torch.minimum(*(part.amin((1, 2, 3)) for part in both))
    scale = (high - low).clamp_min(_TINY).view(-1, 1, 1, 1, 1)
    costs = []
    for first in both:
        for second in both:
            if vertical:
                apart = first[:, :, down - 1 : -1 : down] - second[:, :, down::down]
                mean = apart.abs().mean(1).view(-1, rows - 1, columns, across).mean(3)
            else:
                apart = first[..., across - 1 : -1 : across] - second[..., across::across]
                mean = apart.abs().mean(1).view(-1, rows, down, columns - 1).mean(2)
            costs.append(mean)
    stacked = torch.stack(costs, 1)
    return stacked.view(-1, 2, 2, *stacked.shape[2:]) / scale


def _log_binomial(lam: Tensor, levels: int) -> Tensor:
    """Return the (B,T) log-probabilities of T levels under a binomial with mean share lam."""
    most = levels - 1
    count = torch.arange(levels, device=lam.device, dtype=torch.float32)
    ways = (
        torch.lgamma(torch.tensor(levels, dtype=torch.float32))
        - torch.lgamma(count + 1)
        - torch.lgamma(most - count + 1)
    )
    chance = lam.unsqueeze(1) ** count * (1.0 - lam.unsqueeze(1)) ** (most - count)
    return (ways.exp() * chance + _TINY).log()


def _cell_shares(evidence: Evidence, grid: tuple[int, int]) -> Tensor:
    """Return the (B,R,C) share of the length of the gradient in each cell."""
    gradient = evidence.known("gradient").float()
    return as_shares(F.adaptive_avg_pool2d(gradient, grid)).squeeze(1)


def _moves(
    evidence: Evidence, index: Tensor, keep: Tensor, size: tuple[int, int], cost: float
) -> Tensor:
    """Return the (B,2,R,C) moves of originals and partners for a mask (B,r,c)."""
    grid = [
        max(cells, min(_CELLS_MOVED // cells * cells, length // cells * cells))
        for cells, length in zip(keep.shape[1:], size, strict=True)
    ]
    shown = keep
    for axis, cells in enumerate(grid):
        shown = shown.repeat_interleave(cells // keep.shape[axis + 1], dim=axis + 1)
    saliency = _cell_shares(evidence, (grid[0], grid[1]))
    own = transport_cells(saliency, shown > 0, cost)
    return torch.stack([own, transport_cells(saliency[index], shown < 1, cost)], dim=1)


@register(
    "puzzlemix",
    PolicyCard(
        "Puzzle Mix: a mask of least energy shows what is salient in both images.",
        source=(
            "Puzzle Mix, arXiv 2009.06962, by its public code; of the paper's text only the "
            "abstract was at hand"
        ),
        notes=(
            "The saliency is the length of the loss's gradient. Deviations: energy by mean field "
            "and descent (samix.mixing.lowest_energy), where the code has graph cuts of a C "
            "library; the gradient is that of the momentum encoder; lam per sample; pixels are "
            "compared in units of the range of both images, since it is not known how they were "
            "normalised; 8 cells along a side are moved, or as many as the mask has, whatever the "
            "size of the image; a moved image has no empty cells; the paper's adversarial noise "
            "and its loss on clean images are no part of this."
        ),
        options={
            "energy": "Weights of the parts of the energy; None takes those of the paper's code.",
            "transport": (
                "What it costs to move a cell by the length of the image, above 0; None moves none."
            ),
        },
    ),
)
def puzzlemix(
    alpha: float = 1.0,
    energy: PuzzleEnergy | None = None,
    transport: float | None = 0.8,
    p: float = 1.0,
) -> Policy:
    check_alpha(alpha)
    if energy is not None and not isinstance(energy, PuzzleEnergy):
        raise TypeError(f"energy: expected samix.policies.PuzzleEnergy or None, got {energy!r}")
    if transport is not None:
        check_number(transport, "transport")
        if not transport > 0:
            raise ValueError(f"transport: expected a number above 0, or None, got {transport}")
    rule = partial(
        puzzlemix_plan, alpha=alpha, energy=energy or PuzzleEnergy(), transport=transport
    )
    return Policy("puzzlemix", rule, Traits(needs=("gradient",), reads_pixels=True), p=p)
