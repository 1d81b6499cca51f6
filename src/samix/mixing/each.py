"""Blending sample by sample, which is faster on a CPU: nothing is copied that is not shown."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .plan import Boxed, MixPlan

Resample = Literal["bilinear", "nearest"]
_WITH_NUMPY = {
    torch.float32: np.float32,
    torch.float64: np.float64,
    torch.float16: np.float16,
    torch.bfloat16: np.int16,  # of the same size; numpy lacks it
}


def blend_each(images: Tensor, others: Tensor, plan: MixPlan, *, resample: Resample) -> Tensor:
    """Mix the images of a batch one after another, as :func:`samix.blend` does at once.

    A batch of partners is never made; of boxes nothing but the box is read, and where the mask is
    the same everywhere it is a number.

    Args:
        images: (B,C,H,W) floating point on the CPU; the input is never changed.
        others: (N,C,H,W), the batch that partners are taken from.
        plan: A plan without moves of cells.
        resample: How a partner that the plan moves is read.

    Returns:
        (B,C,H,W), a new tensor.
    """
    known = plan.known_box
    if known is not None:
        return _blend_boxes(images, others, plan, known, resample)
    index, mask = plan.index.tolist(), plan.mask.to(images.dtype)
    even = mask.stride()[2:] == (0, 0)
    shares = mask[:, 0, 0, 0].tolist() if even else mask
    mixed = _fresh(images)
    for number, place in enumerate(index):
        partner = others[place]
        if plan.grid is not None:
            partner = _read(others, place, plan.grid[number], resample)
        torch.lerp(partner, images[number], shares[number], out=mixed[number])
    return mixed


def _blend_boxes(
    images: Tensor,
    others: Tensor,
    plan: MixPlan,
    known: Boxed,
    resample: Resample,
) -> Tensor:
    """Return copies of the images with the partners in boxes."""
    index, boxes = plan.index.tolist(), known.box.tolist()
    inside = [0.0] * len(index)
    if known.inside is not None:
        inside = known.inside.to(images.dtype).tolist()
    mixed = _fresh(images).copy_(images)
    # numpy copies a small region in a third of the time
    written, read = _as_array(mixed), _as_array(others)
    for number, (place, box, share) in enumerate(zip(index, boxes, inside, strict=True)):
        top, left, bottom, right = box
        if bottom <= top or right <= left:
            continue
        within = (slice(None), slice(top, bottom), slice(left, right))
        moved = None
        if plan.grid is not None:
            moved = _read(others, place, plan.grid[number, within[1], within[2]], resample)
        if share:
            partner = others[place][within] if moved is None else moved
            torch.lerp(partner, images[number][within], share, out=mixed[number][within])
        else:
            shown = read[place][within] if moved is None else _as_array(moved)
            written[number][within] = shown
    return mixed


def _fresh(images: Tensor) -> Tensor:
    """Return memory for as many images, not set.

    numpy asks the system for large pages, which torch does not: touching new memory of a large
    batch takes a third of the time then.
    """
    if not images.is_contiguous() or images.dtype not in _WITH_NUMPY:
        return torch.empty_like(images)
    memory = torch.from_numpy(np.empty(images.shape, _WITH_NUMPY[images.dtype]))
    return memory.view(images.dtype)


def _as_array(values: Tensor) -> np.ndarray[Any, Any]:
    """Return the memory of a tensor as an array; of bfloat16, which numpy lacks, as integers."""
    values = values.detach()
    return (values.view(torch.int16) if values.dtype == torch.bfloat16 else values).numpy()


def _read(others: Tensor, place: int, grid: Tensor, resample: Resample) -> Tensor:
    """Return (C,h,w) of one image of a batch, read where a grid (h,w,2) says."""
    # positions need more digits than low precision has
    wide = torch.promote_types(others.dtype, torch.float32)
    image, where = others[place : place + 1].to(wide), grid.unsqueeze(0).to(wide)
    shown = F.grid_sample(image, where, resample, "border", align_corners=False)
    return shown[0].to(others.dtype)
