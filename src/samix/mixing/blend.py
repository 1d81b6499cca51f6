"""Applying a plan to images."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from .masks import outside_box
from .plan import Boxed, MixPlan
from .sources import Resample, narrowed, read_at

_WITH_NUMPY = {
    torch.float32: np.float32,
    torch.float64: np.float64,
    torch.float16: np.float16,
    torch.bfloat16: np.int16,  # of the same size; numpy lacks it
    torch.uint8: np.uint8,
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
        images: (B,C,H,W) floating point, or uint8, of which mixes are rounded; the input is never
            changed.
        plan: The plan for this batch.
        partner_images: (B,C,H,W), the batch that partners are taken from, where that is another
            view of the same images; None takes ``images``, or the plan's own.
        resample: How a partner that the plan moves is read; "nearest" for maps of class numbers.

    Returns:
        (B,C,H,W), a new tensor of the dtype of the images.

    Raises:
        TypeError: The images are of another dtype, or the partners of another than they.
        ValueError: The images do not fit the plan, or on the CPU its partners are not there.
    """
    if not images.is_floating_point() and images.dtype != torch.uint8:
        raise TypeError(
            f"images: expected floating point or uint8, got {images.dtype}; convert them before "
            "mixing, for instance with images.float()"
        )
    if images.ndim != 4 or images.shape[0] != len(plan):
        raise ValueError(
            f"images: expected ({len(plan)},C,H,W) as the plan was made for, "
            f"got {tuple(images.shape)}"
        )
    if images.shape[2:] != plan.size:
        raise ValueError(
            f"images: expected {plan.size} pixels as in the plan's mask, "
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
    plan.check_partners(len(others))
    direct = images.device.type == "cpu" and not _has_graph(images, others, plan)
    if direct and plan.source.by_sample and images.shape[1:].numel() >= _LARGE:
        return blend_each(images, others, plan, resample=resample)
    partner = plan.source.partner(others, plan.index, resample)
    original = plan.source.original(images)
    if direct and plan.boxed is not None and plan.boxed.inside is None and partner.itemsize < 4:
        return _select(partner, original, plan.boxed)
    if images.is_floating_point():
        return partner.lerp_(original, plan.mask.to(images.dtype))
    return narrowed(partner.float().lerp_(original.float(), plan.mask), images.dtype)


def _has_graph(images: Tensor, others: Tensor, plan: MixPlan) -> bool:
    """Say whether torch must see every operation: for a gradient, or to compile it."""
    if torch.compiler.is_compiling():
        return True
    mask = plan.boxed is None and plan.mask.requires_grad
    return torch.is_grad_enabled() and (images.requires_grad or others.requires_grad or mask)


def _select(partner: Tensor, original: Tensor, boxed: Boxed) -> Tensor:
    """Return partners within their boxes, and originals outside of them.

    Bit by bit, which takes half of what multiplying takes in low precision, and a quarter of
    ``torch.where``.
    """
    kind = torch.uint8 if partner.itemsize == 1 else torch.int16
    rows, columns = outside_box(boxed.box, boxed.size, kind)
    inside, outside = partner.view(kind), original.view(kind)
    chosen = (inside ^ outside).bitwise_and_((rows | columns).neg_()).bitwise_xor_(inside)
    return chosen.view(partner.dtype)


def blend_each(images: Tensor, others: Tensor, plan: MixPlan, *, resample: Resample) -> Tensor:
    """Mix the images of a batch on the CPU one after another, as :func:`samix.blend` does at once.

    A batch of partners is never made; of boxes nothing but the box is read, and where the mask is
    the same everywhere it is a number.
    """
    if plan.boxed is not None:
        return _blend_boxes(images, others, plan, plan.boxed, resample)
    index, mask = plan.index.tolist(), plan.mask.to(_share_dtype(images))
    even, grid = mask.stride()[2:] == (0, 0), plan.source.sampling
    shares = mask[:, 0, 0, 0].tolist() if even else mask
    mixed = _fresh(images)
    for number, place in enumerate(index):
        partner = others[place]
        if grid is not None:
            partner = _read(others, place, grid[number], resample)
        _mix_into(mixed[number], partner, images[number], shares[number])
    return mixed


def _blend_boxes(
    images: Tensor, others: Tensor, plan: MixPlan, boxed: Boxed, resample: Resample
) -> Tensor:
    index, boxes, grid = plan.index.tolist(), boxed.box.tolist(), plan.source.sampling
    inside = [0.0] * len(index)
    if boxed.inside is not None:
        inside = boxed.inside.to(_share_dtype(images)).tolist()
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
            _mix_into(mixed[number][within], partner, images[number][within], share)
        else:
            shown = read[place][within] if moved is None else _as_array(moved)
            written[number][within] = shown
    return mixed


def _mix_into(out: Tensor, partner: Tensor, original: Tensor, share: Tensor | float) -> None:
    """Write a mix into memory without gradient; of whole numbers the nearest."""
    if out.is_floating_point():
        torch.lerp(partner, original, share, out=out)
    else:
        mixed = torch.lerp(partner.float(), original.float(), share)
        out.copy_(narrowed(mixed, out.dtype))


def _share_dtype(images: Tensor) -> torch.dtype:
    """Return the dtype in which shares are multiplied with images."""
    return images.dtype if images.is_floating_point() else torch.float32


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
    return read_at(others[place : place + 1], grid.unsqueeze(0), resample)[0]
