"""Applying a plan: to images, and to targets."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .geometry import move_cells, read_mosaic
from .masks import cell_pixels
from .plan import Boxed, MixPlan

_TINY = 1e-6
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
        ValueError: The images do not fit the plan.
    """
    if not images.is_floating_point():
        raise TypeError(
            f"images: expected floating point, got {images.dtype}; convert them before mixing, "
            "for instance with images.float() / 255"
        )
    if plan.stage is not None:
        raise ValueError(
            f"plan: expected one that mixes images, got one for stage {plan.stage} of a network; "
            "use its policy inside a method (samix.create_method), or policy.mix on the features"
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
    past = images if plan.past_images is None else _past_images(plan.past_images, images)
    others = past if partner_images is None else partner_images
    if _one_by_one(images, others, plan):
        return blend_each(images, others, plan, resample=resample)
    partner = read_partner(others, plan, resample=resample)
    return torch.lerp(partner, read_original(images, plan), plan.mask.to(images.dtype))


def _past_images(past: Tensor, images: Tensor) -> Tensor:
    """Return an earlier batch (N,C,H,W) where it is of the form of this one.

    Raises:
        ValueError: It is not.
    """
    if past.shape[1:] != images.shape[1:]:
        raise ValueError(
            f"images: expected {tuple(past.shape[1:])} each, as the batch before that the plan "
            f"takes partners from, got {tuple(images.shape[1:])}; give partner_images of this form"
        )
    return past.to(images.dtype)


def _one_by_one(images: Tensor, others: Tensor, plan: MixPlan) -> bool:
    """Say whether samples are mixed faster one by one: large, on the CPU, without gradient."""
    whole = plan.moves is not None or plan.mosaic is not None
    if torch.compiler.is_compiling() or images.device.type != "cpu" or whole:
        return False
    graph = images.requires_grad or others.requires_grad or plan.mask.requires_grad
    large = images.shape[1:].numel() >= _LARGE
    return large and not (graph and torch.is_grad_enabled())


def read_original(images: Tensor, plan: MixPlan) -> Tensor:
    """Return the originals as the mix reads them, (B,C,H,W): moved where the plan moves them."""
    return images if plan.moves is None else move_cells(images, plan.moves[:, 0])


def read_partner(images: Tensor, plan: MixPlan, *, resample: Resample = "bilinear") -> Tensor:
    """Return the partners as the mix reads them, moved where the plan moves them.

    Args:
        images: (B,C,H,W), the batch that partners are taken from.
        plan: The plan.
        resample: How a partner that is resized is read.

    Returns:
        (B,C,H,W), a new tensor.
    """
    if plan.mosaic is not None:
        return read_mosaic(images, plan.mosaic)
    partner = images[plan.index]
    if plan.grid is not None:
        # positions need more digits than low precision has
        wide = torch.promote_types(images.dtype, torch.float32)
        grid = plan.grid.to(wide)
        partner = F.grid_sample(partner.to(wide), grid, resample, "border", align_corners=False)
        partner = partner.to(images.dtype)
    if plan.moves is not None:
        partner = move_cells(partner, plan.moves[:, 1])
    return partner


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


def mix_targets(
    target: Tensor,
    plan: MixPlan,
    num_classes: int | None = None,
    *,
    label_smoothing: float = 0.0,
) -> Tensor:
    """Mix the targets of a batch: ``weight * target + partner_share * target[index]``.

    The share of the partner is 1 - weight, unless the plan says otherwise.

    Args:
        target: (B,) integers in [0, num_classes); or (B,K) soft targets with rows that sum to 1;
            or (B,K) multi-label targets of 0 and 1.
        plan: The plan that the images were mixed with.
        num_classes: K; needed for integer targets.
        label_smoothing: Share in [0, 1) that is spread evenly over all classes; for integer and
            soft targets.

    Returns:
        (B,K) float32 on the device of the target.

    Raises:
        TypeError: The target's dtype fits neither form.
        ValueError: Shapes do not fit, or ``num_classes`` is missing or contradicts the target.
    """
    check_smoothing(label_smoothing)
    if target.shape[:1] != plan.weight.shape:
        raise ValueError(f"target: expected {len(plan)} samples first, got {tuple(target.shape)}")
    soft = _as_rows(target, num_classes)
    if label_smoothing:
        soft = soft * (1.0 - label_smoothing) + label_smoothing / soft.shape[1]
    others = _partner_rows(soft, plan, label_smoothing)
    return plan.weight.unsqueeze(1) * soft + plan.partner_share.unsqueeze(1) * others


def _partner_rows(soft: Tensor, plan: MixPlan, label_smoothing: float) -> Tensor:
    """Return the (B,K) labels of what is mixed with each original."""
    if plan.mosaic is not None:
        rest = other_shares(plan.mosaic, (plan.mask.shape[2], plan.mask.shape[3]))
        return (rest / rest.sum(1, keepdim=True).clamp_min(_TINY)).to(soft.device) @ soft
    if plan.past_target is None:
        return soft[plan.index]
    past = _past_rows(plan.past_target, soft)[plan.index]
    return past * (1.0 - label_smoothing) + label_smoothing / soft.shape[1]


def _past_rows(past: Tensor, soft: Tensor) -> Tensor:
    """Return the (N,K) labels of an earlier batch where they have as many classes as these.

    Raises:
        ValueError: They have not.
    """
    if past.shape[1] != soft.shape[1]:
        raise ValueError(
            f"num_classes: expected {past.shape[1]} as the batch before had, got {soft.shape[1]}"
        )
    return past.to(soft.device)


def _as_rows(target: Tensor, num_classes: int | None) -> Tensor:
    """Return any form of target as (B,K) float32."""
    if target.ndim == 2:
        if num_classes is not None and target.shape[1] != num_classes:
            raise ValueError(
                f"num_classes: expected {target.shape[1]} as the target has columns, "
                f"got {num_classes}"
            )
        return target.float()
    if target.ndim != 1:
        raise ValueError(f"target: expected (B,) or (B,K), got {tuple(target.shape)}")
    if target.is_floating_point() or target.dtype == torch.bool:
        raise TypeError(
            f"target: expected integers in (B,), got {target.dtype}; give soft or multi-label "
            "targets as (B,K)"
        )
    if num_classes is None:
        raise ValueError(
            "num_classes: expected a number for integer targets, got None; pass num_classes=K"
        )
    check_classes(target, num_classes)
    classes = torch.arange(num_classes, device=target.device)
    return (target.unsqueeze(1) == classes).float()


def check_smoothing(label_smoothing: float) -> None:
    """Raise a ValueError unless a share of a label can be spread over all classes."""
    if not 0.0 <= label_smoothing < 1.0:
        raise ValueError(f"label_smoothing: expected a number in [0, 1), got {label_smoothing}")


def check_classes(target: Tensor, num_classes: int) -> None:
    """Raise a ValueError unless all classes are in [0, num_classes).

    On a GPU it is raised later, and by torch, since nothing waits for the device.

    Args:
        target: (B,) integers.
        num_classes: Number of classes K.
    """
    outside = (target < 0) | (target >= num_classes)
    if target.device.type == "cpu" and not torch.compiler.is_compiling():
        if outside.any():
            raise ValueError(
                f"target: expected classes in [0, {num_classes}), got {target[outside][0].item()}; "
                "number the classes from 0, or give the network as many outputs as there are"
            )
    elif target.device.type in ("cpu", "cuda"):
        # the same check without waiting for the device
        torch._assert_async((~outside).all(), f"target: expected classes in [0, {num_classes})")


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
