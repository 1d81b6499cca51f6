"""Applying a plan to images."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .plan import Boxed, MixPlan, check_index
from .sources import Resample

_WITH_NUMPY = {
    torch.float32: np.float32,
    torch.float64: np.float64,
    torch.float16: np.float16,
    torch.bfloat16: np.int16,  # of the same size; numpy lacks it
}
_LARGE = 2**14  # numbers in an image; below this the calls take longer than what they save


def blend(
    images: Tensor,
    plan: MixPlan,
    *,
    partner_images: Tensor | None = None,
    resample: Resample = "bilinear",
) -> Tensor:
    """Mix the images of a batch as the plan says.

    ``mixed = mask * images + (1 - mask) * images[index]``. Source: SAMix, arXiv 2111.15454.

    Args:
        images: (B,C,H,W) floating point; the input is never changed.
        plan: The plan for this batch.
        partner_images: (B,C,H,W), the batch that partners are taken from, where that is another
            view of the same images; None takes ``images``, or the plan's own.
        resample: How a partner that the plan moves is read; "nearest" for maps of class numbers.

    Returns:
        (B,C,H,W), a new tensor of the dtype of the images.

    Raises:
        TypeError: The images are not floating point, or the partners of another dtype.
        ValueError: The images do not fit the plan, or on the CPU its partners are not there.
    """
    if not images.is_floating_point():
        raise TypeError(
            f"images: expected floating point, got {images.dtype}; convert them before mixing, "
            "for instance with images.float() / 255"
        )
    if images.ndim != 4 or images.shape[0] != len(plan):
        raise ValueError(
            f"images: expected ({len(plan)},C,H,W) as the plan was made for, "
            f"got {tuple(images.shape)}"
        )
    if images.shape[2:] != plan.mask.shape[2:]:
        raise ValueError(
            f"images: expected {tuple(plan.mask.shape[2:])} pixels as in the plan's mask, "
            f"got {tuple(images.shape[2:])}; make the plan from images of this size"
        )
    if partner_images is not None and partner_images.shape != images.shape:
        raise ValueError(
            f"partner_images: expected {tuple(images.shape)} as images, "
            f"got {tuple(partner_images.shape)}"
        )
    if partner_images is not None and partner_images.dtype != images.dtype:
        raise TypeError(
            f"partner_images: expected {images.dtype} as images, got {partner_images.dtype}"
        )
    others = plan.source.batch(images) if partner_images is None else partner_images
    check_index(plan.index, len(others), "plan.index")
    if _one_by_one(images, others, plan):
        return blend_each(images, others, plan, resample=resample)
    partner = plan.source.partner(others, plan.index, resample)
    return torch.lerp(partner, plan.source.original(images), plan.mask.to(images.dtype))


def _one_by_one(images: Tensor, others: Tensor, plan: MixPlan) -> bool:
    """Say whether samples are mixed faster one by one: large, on the CPU, without gradient."""
    if torch.compiler.is_compiling() or images.device.type != "cpu" or not plan.source.by_sample:
        return False
    graph = images.requires_grad or others.requires_grad or plan.mask.requires_grad
    large = images.shape[1:].numel() >= _LARGE
    return large and not (graph and torch.is_grad_enabled())


def blend_each(images: Tensor, others: Tensor, plan: MixPlan, *, resample: Resample) -> Tensor:
    """Mix the images of a batch on the CPU one after another, as :func:`samix.blend` does at once.

    A batch of partners is never made; of boxes nothing but the box is read, and where the mask is
    the same everywhere it is a number.
    """
    known = plan.known_box
    if known is not None:
        return _blend_boxes(images, others, plan, known, resample)
    index, mask = plan.index.tolist(), plan.mask.to(images.dtype)
    even, grid = mask.stride()[2:] == (0, 0), plan.source.sampling
    shares = mask[:, 0, 0, 0].tolist() if even else mask
    mixed = _fresh(images)
    for number, place in enumerate(index):
        partner = others[place]
        if grid is not None:
            partner = _read(others, place, grid[number], resample)
        torch.lerp(partner, images[number], shares[number], out=mixed[number])
    return mixed


def _blend_boxes(
    images: Tensor, others: Tensor, plan: MixPlan, known: Boxed, resample: Resample
) -> Tensor:
    index, boxes, grid = plan.index.tolist(), known.box.tolist(), plan.source.sampling
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
        if grid is not None:
            moved = _read(others, place, grid[number, within[1], within[2]], resample)
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
