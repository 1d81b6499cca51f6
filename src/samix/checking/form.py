"""Checks of one plain call: what came back, and whether what was given stayed as it was."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .results import CheckResult, passed_if, skipped
from .subject import Subject, mix
from .trials import Photos


@dataclass(frozen=True)
class Answer:
    """What went into one call, and what came out.

    Attributes:
        given: What was given.
        after: The same tensors after the call.
        mixed: Images that came back.
        soft: Target that came back.
    """

    given: Photos
    after: Photos
    mixed: Tensor
    soft: Tensor


def ask(subject: Subject, photos: Photos, seed: int) -> Answer:
    """Call a transform once.

    Raises:
        InputError: It failed.
    """
    after = Photos(photos.images.clone(), photos.target.clone())
    mixed, soft = mix(subject, after.images, after.target, seed)
    return Answer(photos, after, mixed, soft)


def check_images(answer: Answer) -> CheckResult:
    """Check shape and dtype of the images."""
    got, wanted = answer.mixed, answer.given.images
    return passed_if(
        "images",
        got.shape == wanted.shape and got.dtype == wanted.dtype,
        f"shape {shape_of(wanted)} and {dtype_of(wanted)} are kept.",
        f"{shape_of(wanted)} {dtype_of(wanted)} became {shape_of(got)} {dtype_of(got)}.",
    )


def check_target(answer: Answer) -> CheckResult:
    """Check that the target became soft rows."""
    soft, batch = answer.soft, len(answer.given.images)
    return passed_if(
        "target",
        soft.ndim == 2 and len(soft) == batch and soft.is_floating_point(),
        f"soft rows {shape_of(soft)} of {dtype_of(soft)}.",
        f"expected soft rows ({batch},K) of floating point, got {shape_of(soft)} {dtype_of(soft)}; "
        "a mixed image has no single class.",
    )


def check_range(answer: Answer) -> CheckResult:
    """Check that a mix has only values that lie between those of its photos."""
    images, mixed = answer.given.images, answer.mixed.float()
    finite = torch.isfinite(mixed)
    if not finite.all():
        bad = int((~finite).sum())
        return CheckResult("range", "fail", f"{bad:,} values of the mixes are no finite numbers.")
    if mixed.ndim != 4 or mixed.shape[1] != images.shape[1]:
        return skipped("range", "the mixes have other channels than the photos.")
    low, high = images.amin((0, 2, 3)), images.amax((0, 2, 3))
    least, most = mixed.amin((0, 2, 3)), mixed.amax((0, 2, 3))
    slack = 1e-3 * (high - low).clamp_min(1e-6)
    shown = f"{float(least.min()):.3g} to {float(most.max()):.3g}"
    given = f"{float(low.min()):.3g} to {float(high.max()):.3g}"
    return passed_if(
        "range",
        bool(((least >= low - slack) & (most <= high + slack)).all()),
        f"values of the mixes, {shown}, lie within those of the photos.",
        f"values of the mixes, {shown}, leave those of the photos, {given}, in some channel.",
    )


def check_input(answer: Answer, in_place: bool) -> CheckResult:
    """Check that the call changed nothing of what was given to it.

    Args:
        answer: What came of the call.
        in_place: Such a change is allowed.
    """
    given, after = answer.given, answer.after
    pairs = {"images": (given.images, after.images), "target": (given.target, after.target)}
    changed = " and ".join(word for word, pair in pairs.items() if not _same(*pair))
    if changed and in_place:
        return skipped("input", f"the given {changed} changed in place, as allowed.")
    return passed_if(
        "input",
        not changed,
        "the given images and target are as they were.",
        f"the given {changed} changed in place; give a copy (.clone()) where they are used again.",
    )


def _same(given: Tensor, after: Tensor) -> bool:
    """Say whether two tensors are equal, NaN to NaN as well."""
    return given.shape == after.shape and torch.allclose(
        given, after, rtol=0.0, atol=0.0, equal_nan=True
    )


def shape_of(tensor: Tensor) -> str:
    """Return a shape in words."""
    return f"({','.join(str(length) for length in tensor.shape)})"


def dtype_of(tensor: Tensor) -> str:
    """Return a dtype in words."""
    return str(tensor.dtype).removeprefix("torch.")
