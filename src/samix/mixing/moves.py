"""What moves pixels: boxes that are resized, and cells of a grid that change places."""

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
        middle = torch.arange(length, device=place.device) + 0.5
        along = (middle - first) / (last - first).clamp_min(1)
        # the middle of a pixel of the source box
        position = (start + along * (end - start)).clamp(start + 0.5, (end - 0.5).clamp_min(0.5))
        inside = position / length * 2.0 - 1.0
        axes.append(inside.masked_fill(middle < first, -1.0).masked_fill(middle > last, 1.0))
    rows, columns = axes
    height, width = size
    return torch.stack(
        [
            columns[:, None, :].expand(-1, height, width),
            rows[:, :, None].expand(-1, height, width),
        ],
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
    """Return images made of whole cells of the images of a batch, where all are of one size.

    Args:
        images: (N,C,H,W).
        picked: (B,R,S) int64, number of the cell among the N * R * S of all images.
    """
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
