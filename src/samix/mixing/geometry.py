"""What moves pixels: resized boxes, cells that change places, transport, and aligned features."""

from __future__ import annotations

import torch
from torch import Tensor


def box_in_box(place: Tensor, source: Tensor, size: tuple[int, int]) -> Tensor:
    """Return the sampling grid that shows one box of an image, resized, in another box.

    Args:
        place: (B,4) int64 top, left, bottom, right in pixels, where it is shown.
        source: (B,4) int64, what is shown there.
        size: Height and width in pixels.

    Returns:
        (B,H,W,2) float32 in the coordinates of ``torch.nn.functional.grid_sample``; beyond the
        place an end of the image, -1 or 1.
    """
    axes = []
    for axis, length in enumerate(size):
        first, last = place[:, axis, None], place[:, axis + 2, None]
        start, end = source[:, axis, None], source[:, axis + 2, None]
        middle = torch.arange(length, device=place.device, dtype=torch.float32) + 0.5
        along = (middle - first) / (last - first).clamp_min(1)
        # the middle of a pixel of the source box
        position = (start + along * (end - start)).clamp(start + 0.5, (end - 0.5).clamp_min(0.5))
        inside = position / length * 2.0 - 1.0
        axes.append(inside.masked_fill(middle < first, -1.0).masked_fill(middle > last, 1.0))
    rows, columns = axes
    height, width = size
    return torch.stack(
        [columns[:, None, :].expand(-1, height, width), rows[:, :, None].expand(-1, height, width)],
        dim=-1,
    )


def cells_in_place(count: int, grid: tuple[int, int], device: torch.device) -> Tensor:
    """Return the (B,R,C) int64 numbers of cells that all stay where they are."""
    rows, columns = grid
    places = torch.arange(rows * columns, device=device).view(1, rows, columns)
    return places.expand(count, -1, -1)


def move_cells(images: Tensor, source: Tensor) -> Tensor:
    """Return images in which each cell of a grid shows another cell of the same image.

    Pixels are moved as they are, not interpolated. Where the grid does not divide the image and a
    cell is a pixel larger than the one that it shows, the last row or column is repeated.

    Args:
        images: (B,C,H,W).
        source: (B,R,S) int64, number of the cell that each cell shows, in reading order; R at most
            H and S at most W.

    Returns:
        (B,C,H,W), a new tensor.
    """
    (height, width), (rows, columns) = images.shape[2:], source.shape[1:]
    if height % rows == 0 and width % columns == 0:
        first = torch.arange(len(source), device=source.device).view(-1, 1, 1) * (rows * columns)
        return _pick_equal_cells(images, source + first)
    down, down_offset, down_first, down_length = _axis(height, rows, source.device)
    across, across_offset, across_first, across_length = _axis(width, columns, source.device)
    shown = source[:, down][:, :, across]
    row, column = shown // columns, shown % columns
    y = down_first[row] + torch.minimum(down_offset[:, None], down_length[row] - 1)
    x = across_first[column] + torch.minimum(across_offset, across_length[column] - 1)
    place = (y * width + x).flatten(1).unsqueeze(1).expand(-1, images.shape[1], -1)
    return images.flatten(2).gather(2, place).view(images.shape)


def finer_moves(source: Tensor, grid: tuple[int, int]) -> Tensor:
    """Return the same moves on a grid of more cells.

    Args:
        source: (...,R,S) int64, number of the cell that each cell shows, in reading order.
        grid: Rows and columns wanted, multiples of R and of S.

    Returns:
        (...,rows,columns) int64.

    Raises:
        ValueError: They are no multiples.
    """
    (rows, columns), (old_rows, old_columns) = grid, source.shape[-2:]
    if rows % old_rows or columns % old_columns:
        raise ValueError(
            f"grid: expected multiples of {old_rows} x {old_columns} cells, got {rows} x {columns}"
        )
    high, wide = rows // old_rows, columns // old_columns
    shown = source.repeat_interleave(high, -2).repeat_interleave(wide, -1)
    down = torch.arange(rows, device=source.device).remainder(high).view(-1, 1)
    across = torch.arange(columns, device=source.device).remainder(wide)
    row, column = shown // old_columns * high + down, shown % old_columns * wide + across
    return row * columns + column


def read_mosaic(images: Tensor, mosaic: Tensor) -> Tensor:
    """Return images (B,C,H,W) of which each cell of a grid shows one image of a batch, in place.

    Args:
        images: (N,C,H,W).
        mosaic: (B,R,S) int64 in [0, N), which image each cell shows; R at most H and S at most W.
    """
    (height, width), (rows, columns) = images.shape[2:], mosaic.shape[1:]
    if height % rows == 0 and width % columns == 0:
        cell = torch.arange(rows * columns, device=mosaic.device).view(rows, columns)
        return _pick_equal_cells(images, mosaic * (rows * columns) + cell)
    down, across = (torch.arange(length, device=mosaic.device) for length in (height, width))
    shown = mosaic[:, down * rows // height][:, :, across * columns // width]
    return images.permute(0, 2, 3, 1)[shown, down[:, None], across].permute(0, 3, 1, 2)


def _pick_equal_cells(images: Tensor, picked: Tensor) -> Tensor:
    """Return images made of cells of one size, by (B,R,S) numbers among all N * R * S."""
    (count, rows, columns), channels = picked.shape, images.shape[1]
    high, wide = images.shape[2] // rows, images.shape[3] // columns
    cells = images.reshape(len(images), channels, rows, high, columns, wide)
    cells = cells.permute(0, 2, 4, 1, 3, 5).reshape(len(images) * rows * columns, -1)
    shown = cells[picked.flatten()].view(count, rows, columns, channels, high, wide)
    return shown.permute(0, 3, 1, 4, 2, 5).reshape(count, channels, *images.shape[2:])


def _axis(length: int, cells: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return for each place of an axis its cell and its place in it; of each cell start and length.

    Cells are those of :func:`samix.mixing.cell_mask`.
    """
    place = torch.arange(length, device=device)
    cell = place * cells // length
    edges = -(-torch.arange(cells + 1, device=device) * length // cells)
    first = edges[:-1]
    return cell, place - first[cell], first, edges[1:] - first


def sinkhorn(cost: Tensor, eps: float, steps: int) -> Tensor:
    """Return how much of each place goes to each other place, at low cost and evenly.

    The entropic transport of even masses, ``argmin <P, cost> - eps H(P)``, by Sinkhorn's updates of
    the logarithms. Source: Cuturi, NeurIPS 2013, as in AlignMixup, arXiv 2103.15375.

    Args:
        cost: (B,N,M).
        eps: Weight of the entropy, above 0; smaller ones assign more sharply.
        steps: Number of updates of both sides.

    Returns:
        (B,N,M) of at least 0; columns sum to 1 / M, rows nearly to 1 / N.
    """
    logit = -cost / eps
    even = -torch.tensor(logit.shape[1:], device=cost.device, dtype=cost.dtype).log()
    column = torch.zeros_like(logit[:, :1])
    row = torch.zeros_like(logit[:, :, :1])
    for _ in range(steps):
        row = even[0] - (logit + column).logsumexp(2, keepdim=True)
        column = even[1] - (logit + row).logsumexp(1, keepdim=True)
    return (logit + row + column).exp()


@torch.no_grad()
def alignment(features: Tensor, partner: Tensor, *, eps: float, steps: int) -> Tensor:
    """Return which places of one feature map are like which of another.

    The transport of :func:`sinkhorn` with the squared distance of the vectors as cost.

    Args:
        features: (B,C,h,w).
        partner: (B,C,h,w).
        eps: Weight of the entropy, above 0.
        steps: Number of updates.

    Returns:
        (B,N,N) float32 with N = h * w, without gradient: row i says of what mixture of the
        partner's places the place i of the first map is like; rows sum nearly to 1 / N.
    """
    first, second = (part.float().flatten(2).transpose(1, 2) for part in (features, partner))
    return sinkhorn(torch.cdist(first, second).square(), eps, steps)


def aligned(values: Tensor, weight: Tensor) -> Tensor:
    """Return a map that shows in each place a mixture of the places of another map.

    Args:
        values: (B,C,h,w), the other map.
        weight: (B,N,N) of at least 0 with N = h * w; each row is divided by its sum.

    Returns:
        (B,C,h,w).
    """
    share = weight / weight.sum(2, keepdim=True).clamp_min(torch.finfo(weight.dtype).tiny)
    return torch.bmm(values.flatten(2), share.to(values.dtype).transpose(1, 2)).view(values.shape)


def transport_cells(saliency: Tensor, shown: Tensor, cost: float) -> Tensor:
    """Return which cell each cell shows, so that much of what is salient is shown.

    Cell i wants the place j of lowest ``cost * d_ij - saliency_i * shown_j``, with d the squared
    distance in units of the longer side. Where several want one place, the one to which it is worth
    most has it, and the others choose again; after as many rounds as the grid has cells along a
    side, those without a place are put into what is left, in reading order. Source: Puzzle Mix,
    arXiv 2009.06962, its algorithm for the transport. Deviations: no place stays empty, and where
    the whole is worth less than leaving all cells in place, they stay.

    Args:
        saliency: (B,R,C) share of the content in each cell, with sum 1.
        shown: (B,R,C) bool, whether the mix shows the image in this cell.
        cost: What a move costs, above 0.

    Returns:
        (B,R,C) int64, number of the cell that each cell shows, in reading order; a permutation.
    """
    count, rows, columns = saliency.shape
    worth = saliency.flatten(1).unsqueeze(2) * shown.flatten(1).unsqueeze(1).to(saliency.dtype)
    distance = _distances(rows, columns, saliency)
    price = cost * distance - worth
    cells = torch.arange(rows * columns, device=saliency.device).expand(count, -1)
    for turn in range(max(rows, columns)):
        best, place = price.min(2)
        won = _winners(best, place, cells)
        if turn < max(rows, columns) - 1:
            lost = best.masked_fill(~won, torch.inf)
            price.scatter_(2, place.unsqueeze(2), lost.unsqueeze(2))
    # those that have a place come first in both orders, then the others, in reading order
    taken = torch.zeros_like(place).scatter_reduce(1, place, won.long(), "amax")
    source = torch.empty_like(cells).scatter_(
        1, _free_last(place, won, taken), _holders_first(cells, won)
    )
    worse = _price(source, worth, cost, distance) > _price(cells, worth, cost, distance)
    return torch.where(worse.unsqueeze(1), cells, source).view(count, rows, columns)


def _price(source: Tensor, worth: Tensor, cost: float, distance: Tensor) -> Tensor:
    """Return the (B,) price of showing (B,N) cells, without what is not shown anyway."""
    place = torch.arange(source.shape[1], device=source.device)
    far = distance[0][source, place].sum(1)
    return cost * far - worth.gather(1, source.unsqueeze(1)).squeeze(1).sum(1)


def _distances(rows: int, columns: int, like: Tensor) -> Tensor:
    """Return the (1,N,N) squared distances of cells, in units of the longer side."""
    row, column = (torch.arange(n, device=like.device, dtype=like.dtype) for n in (rows, columns))
    y, x = (part.flatten() for part in torch.meshgrid(row, column, indexing="ij"))
    apart = (y[:, None] - y).square() + (x[:, None] - x).square()
    return apart[None] / max(max(rows, columns) - 1, 1) ** 2


def _winners(best: Tensor, place: Tensor, cells: Tensor) -> Tensor:
    """Return (B,N) bool, which cells have the lowest price at the place that they want."""
    lowest = torch.full_like(best, torch.inf).scatter_reduce(1, place, best, "amin")
    lowest_here = best == lowest.gather(1, place)
    # of equal ones the first
    first = torch.full_like(cells, cells.shape[1]).scatter_reduce(
        1, place, cells.masked_fill(~lowest_here, cells.shape[1]), "amin"
    )
    return cells == first.gather(1, place)


def _holders_first(cells: Tensor, won: Tensor) -> Tensor:
    """Return the (B,N) cells, those that won a place first, each part in reading order."""
    return cells.gather(1, won.int().argsort(dim=1, descending=True, stable=True))


def _free_last(place: Tensor, won: Tensor, taken: Tensor) -> Tensor:
    """Return the (B,N) places for :func:`_holders_first`: those won, then the free ones."""
    holders = won.int().argsort(dim=1, descending=True, stable=True)
    held = place.gather(1, holders)
    free = taken.argsort(dim=1, stable=True)
    # the n-th cell without a place takes the n-th free place
    number = torch.arange(place.shape[1], device=place.device) - won.sum(1, keepdim=True)
    return torch.where(number < 0, held, free.gather(1, number.clamp_min(0)))
