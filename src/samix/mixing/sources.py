"""Where a mix reads its images: in place, moved, in many cells, or from an earlier batch.

A plan has one source. Most policies read both images of a pair in place, which needs nothing but
the index of the partner. What only one or two policies need is known here and nowhere else.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from .geometry import cells_in_place, finer_moves, move_cells, read_mosaic
from .masks import cell_pixels

if TYPE_CHECKING:
    from typing import Self

Resample = Literal["bilinear", "nearest"]
"""How a partner that is resized is read; "nearest" for maps of class numbers."""
_TINY = 1e-6


@dataclass(frozen=True)
class Source:
    """Where a mix reads its images: unless a subclass says otherwise, both in place.

    Attributes:
        beyond_pairs: What a mix is made of beside two images of the batch, in words; empty where it
            is made of just these.
        by_sample: Samples can be blended one after another, each with one partner.
    """

    beyond_pairs: ClassVar[str] = ""
    by_sample: ClassVar[bool] = True

    @property
    def sampling(self) -> Tensor | None:
        """(B,H,W,2) where each pixel of the mix reads its partner; None where that is in place."""
        return None

    def batch(self, images: Tensor) -> Tensor:
        """Return the (N,C,H,W) images that partners are taken from, for a batch (B,C,H,W)."""
        return images

    def original(self, images: Tensor) -> Tensor:
        """Return the originals (B,C,H,W) as the mix reads them."""
        return images

    def partner(self, images: Tensor, index: Tensor, resample: Resample = "bilinear") -> Tensor:
        """Return the partners as the mix reads them.

        Args:
            images: (N,C,H,W), the batch that partners are taken from.
            index: (B,) int64, the partner of each original.
            resample: How a partner that is resized is read.

        Returns:
            (B,C,H,W), a new tensor.
        """
        return images.index_select(0, index)

    def targets(
        self, soft: Tensor, index: Tensor, size: tuple[int, int], smoothing: float
    ) -> Tensor:
        """Return the (B,K) labels of what is mixed with each original.

        Args:
            soft: (B,K) labels of the batch, smoothed.
            index: (B,) int64, the partner of each original.
            size: Height and width of the images, in pixels.
            smoothing: Share of each label that is spread evenly over all classes.
        """
        return soft.index_select(0, index)

    def still(self, batch: int) -> Self:
        """Return a source of the same kind that leaves everything in place.

        Args:
            batch: Number of images B.
        """
        return self

    def where(self, other: Self, chosen: Tensor) -> Self:
        """Return what another source of the same kind says where (B,) bool chosen, else this."""
        return self

    def keep_clean(self, clean: Tensor) -> Self:
        """Return the source with the originals left in place where (B,) bool clean."""
        return self

    def at_size(self, size: tuple[int, int]) -> Self:
        """Return the source for images of another size, height and width in pixels."""
        return self

    def of_this_batch(self) -> Source:
        """Return the source with images of the batch itself in the place of any others."""
        return self

    def map(self, function: Callable[[Tensor], Tensor]) -> Self:
        """Return the source with a function applied to all of its tensors."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        changed: dict[str, Any] = {
            name: value.map(function) if isinstance(value, Source) else function(value)
            for name, value in values.items()
        }
        return replace(self, **changed) if changed else self

    @classmethod
    def first_of(cls, sources: Sequence[Self]) -> Self:
        """Return the first sample of each of several sources of this kind, as one batch."""
        return sources[0]


@dataclass(frozen=True)
class InPlace(Source):
    """Both images of each pair are read where they are."""


IN_PLACE = InPlace()


@dataclass(frozen=True)
class Grid(Source):
    """Each pixel reads the partner where a grid says: boxes that are moved or resized.

    Attributes:
        grid: (B,H,W,2) in the coordinates of ``torch.nn.functional.grid_sample``, from -1 to 1.
    """

    grid: Tensor

    @property
    def sampling(self) -> Tensor:
        """(B,H,W,2) where each pixel of the mix reads its partner."""
        return self.grid

    def partner(self, images: Tensor, index: Tensor, resample: Resample = "bilinear") -> Tensor:
        """Return the partners (B,C,H,W), read where the grid says."""
        return read_at(images.index_select(0, index), self.grid, resample)

    def still(self, batch: int) -> Grid:
        """Return the grid that reads partners in place."""
        height, width = self.grid.shape[1:3]
        rows, columns = (
            (torch.arange(length, device=self.grid.device, dtype=torch.float32) + 0.5)
            / length
            * 2.0
            - 1.0
            for length in (height, width)
        )
        places = torch.stack(
            [columns[None, :].expand(height, width), rows[:, None].expand(height, width)], dim=-1
        )
        return Grid(places.expand(batch, height, width, 2))

    def where(self, other: Grid, chosen: Tensor) -> Grid:
        """Return the other grid where (B,) bool chosen, else this one."""
        return Grid(torch.where(chosen.view(-1, 1, 1, 1), other.grid, self.grid))

    def at_size(self, size: tuple[int, int]) -> Grid:
        """Return the grid at another size, by area averaging."""
        grid = F.interpolate(self.grid.permute(0, 3, 1, 2), size, mode="area")
        return Grid(grid.permute(0, 2, 3, 1))

    @classmethod
    def first_of(cls, sources: Sequence[Grid]) -> Grid:
        """Return the first grid of each source."""
        return cls(torch.cat([source.grid[:1] for source in sources]))


@dataclass(frozen=True)
class CellMoves(Source):
    """Cells of both images change places, as they are.

    Attributes:
        moves: (B,2,R,C) int64: of a grid of R x C cells, the number of the cell that each cell of
            the mix shows, of the original and of the partner.
    """

    by_sample: ClassVar[bool] = False

    moves: Tensor

    def original(self, images: Tensor) -> Tensor:
        """Return the originals (B,C,H,W) with their cells moved."""
        return move_cells(images, self.moves[:, 0])

    def partner(self, images: Tensor, index: Tensor, resample: Resample = "bilinear") -> Tensor:
        """Return the partners (B,C,H,W) with their cells moved."""
        return move_cells(images.index_select(0, index), self.moves[:, 1])

    def still(self, batch: int) -> CellMoves:
        """Return moves on the same grid that leave every cell where it is."""
        grid = (self.moves.shape[2], self.moves.shape[3])
        places = cells_in_place(batch, grid, self.moves.device)
        return CellMoves(places.unsqueeze(1).expand(-1, 2, -1, -1))

    def where(self, other: CellMoves, chosen: Tensor) -> CellMoves:
        """Return the other moves where (B,) bool chosen, else these."""
        return CellMoves(torch.where(chosen.view(-1, 1, 1, 1), other.moves, self.moves))

    def keep_clean(self, clean: Tensor) -> CellMoves:
        """Return the moves with the cells of clean samples left in place."""
        return self.where(self.still(len(clean)), clean)

    @classmethod
    def first_of(cls, sources: Sequence[CellMoves]) -> CellMoves:
        """Return the first moves of each source, on one grid of cells that fits them all."""
        found = [source.moves[:1] for source in sources]
        rows, columns = (math.lcm(*(moves.shape[axis] for moves in found)) for axis in (2, 3))
        return cls(torch.cat([finer_moves(moves, (rows, columns)) for moves in found]))


@dataclass(frozen=True)
class Mosaic(Source):
    """Each cell of a mix shows one image of the batch, in place.

    The mask is 1 where that is the original, and ``index`` the image that is shown most beside it.

    Attributes:
        cells: (B,R,C) int64 in [0, B), which image each cell of a grid of R x C cells shows.
    """

    beyond_pairs: ClassVar[str] = "many images of the batch"
    by_sample: ClassVar[bool] = False

    cells: Tensor

    def partner(self, images: Tensor, index: Tensor, resample: Resample = "bilinear") -> Tensor:
        """Return the mosaics (B,C,H,W)."""
        return read_mosaic(images, self.cells)

    def targets(
        self, soft: Tensor, index: Tensor, size: tuple[int, int], smoothing: float
    ) -> Tensor:
        """Return the labels of all that is shown beside the original, by area."""
        rest = other_shares(self.cells, size)
        return (rest / rest.sum(1, keepdim=True).clamp_min(_TINY)).to(soft.device) @ soft

    def still(self, batch: int) -> Mosaic:
        """Return mosaics of which each shows its own image."""
        own = torch.arange(batch, device=self.cells.device).view(-1, 1, 1)
        return Mosaic(own.expand_as(self.cells))

    def where(self, other: Mosaic, chosen: Tensor) -> Mosaic:
        """Return the other mosaics where (B,) bool chosen, else these."""
        return Mosaic(torch.where(chosen.view(-1, 1, 1), other.cells, self.cells))


@dataclass(frozen=True)
class EarlierBatch(Source):
    """Partners are images of an earlier batch.

    Attributes:
        images: (N,C,H,W).
        target: (N,K) float32, its labels.
        read: Where each partner is read.
    """

    beyond_pairs: ClassVar[str] = "an earlier batch"

    images: Tensor
    target: Tensor
    read: Source = IN_PLACE

    @property
    def sampling(self) -> Tensor | None:
        """(B,H,W,2) where each pixel of the mix reads its partner; None where that is in place."""
        return self.read.sampling

    def batch(self, images: Tensor) -> Tensor:
        """Return the images of the earlier batch.

        Raises:
            ValueError: The images have another shape than those of the earlier batch.
        """
        if self.images.shape[1:] != images.shape[1:]:
            raise ValueError(
                f"images: expected {tuple(self.images.shape[1:])} each, as the batch before that "
                f"the plan takes partners from, got {tuple(images.shape[1:])}; give partner_images "
                "of this form"
            )
        return self.images.to(images.dtype)

    def partner(self, images: Tensor, index: Tensor, resample: Resample = "bilinear") -> Tensor:
        """Return the partners (B,C,H,W) of the earlier batch."""
        return self.read.partner(images, index, resample)

    def targets(
        self, soft: Tensor, index: Tensor, size: tuple[int, int], smoothing: float
    ) -> Tensor:
        """Return the labels of the earlier batch.

        Raises:
            ValueError: The labels have another number of classes than those of the earlier batch.
        """
        if self.target.shape[1] != soft.shape[1]:
            raise ValueError(
                f"num_classes: expected {self.target.shape[1]} as the batch before had, got "
                f"{soft.shape[1]}"
            )
        past = self.target.to(soft.device).index_select(0, index)
        return past * (1.0 - smoothing) + smoothing / soft.shape[1]

    def of_this_batch(self) -> Source:
        """Return how the partners are read, with those of the batch itself."""
        return self.read

    def still(self, batch: int) -> EarlierBatch:
        """Return the earlier batch, read in place."""
        return replace(self, read=self.read.still(batch))

    def where(self, other: EarlierBatch, chosen: Tensor) -> EarlierBatch:
        """Return the other way of reading the batch where (B,) bool chosen, else this one."""
        return replace(self, read=self.read.where(other.read, chosen))

    def at_size(self, size: tuple[int, int]) -> EarlierBatch:
        """Return the source with the way of reading at another size."""
        return replace(self, read=self.read.at_size(size))


def read_at(images: Tensor, grid: Tensor, resample: Resample) -> Tensor:
    """Return images (B,C,H,W) read where a grid (B,h,w,2) says, in their dtype.

    Args:
        images: Floating point, or uint8, of which values are rounded.
        grid: In the coordinates of ``torch.nn.functional.grid_sample``.
        resample: How values between pixels are found.
    """
    # positions need more digits than low precision has
    wide = torch.promote_types(images.dtype, torch.float32)
    shown = F.grid_sample(images.to(wide), grid.to(wide), resample, "border", align_corners=False)
    return narrowed(shown, images.dtype)


def narrowed(values: Tensor, dtype: torch.dtype) -> Tensor:
    """Return new values in a dtype; where that is of whole numbers, they are rounded in place."""
    if dtype.is_floating_point:
        return values.to(dtype)
    return values.round_().to(torch.int16).to(dtype)  # which takes a third of the time of one step


def choose_source(source: Source, other: Source, chosen: Tensor) -> Source:
    """Return another source where (B,) bool chosen, and the first one elsewhere.

    Raises:
        ValueError: The two sources are of different kinds, and neither reads in place.
    """
    kinds = {type(source), type(other)} - {InPlace}
    if not kinds:
        return source
    if len(kinds) > 1:
        names = " and ".join(sorted(kind.__name__ for kind in kinds))
        raise ValueError(f"plan: expected two plans that read images in one way, got {names}")
    if type(source) is InPlace:
        source = other.still(len(chosen))
    elif type(other) is InPlace:
        other = source.still(len(chosen))
    return source.where(other, chosen)


def mosaic_shares(mosaic: Tensor, size: tuple[int, int]) -> Tensor:
    """Return which share of the pixels of each mosaic shows which image of its batch.

    Args:
        mosaic: (B,R,S) int64 in [0, B).
        size: Height and width of the images, in pixels.

    Returns:
        (B,B) float32, rows sum to 1.
    """
    images = torch.arange(len(mosaic), device=mosaic.device)
    pixels = cell_pixels((mosaic.shape[1], mosaic.shape[2]), size, mosaic.device).flatten()
    shown = (mosaic.flatten(1).unsqueeze(2) == images).float()
    return (shown * (pixels / pixels.sum()).unsqueeze(1)).sum(1)


def other_shares(mosaic: Tensor, size: tuple[int, int]) -> Tensor:
    """Return the same without what each mosaic shows of its own image: (B,B), diagonal 0."""
    shares = mosaic_shares(mosaic, size)
    return shares - torch.diag_embed(shares.diagonal())
