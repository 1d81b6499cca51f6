"""Transforms that do what people get wrong, one thing each."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

CLASSES = 10
Mixed = tuple[Tensor, Tensor]


def one_hot(target: Tensor) -> Tensor:
    return torch.nn.functional.one_hot(target, CLASSES).float()


def mixed_labels(target: Tensor, index: Tensor, share: Tensor | float) -> Tensor:
    rows = one_hot(target)
    return share * rows + (1 - share) * rows[index]


def mixup(images: Tensor, target: Tensor) -> Mixed:
    """The right one, which all others depart from."""
    lam, index = torch.rand(len(images), 1), torch.randperm(len(images))
    wide = lam[:, :, None, None]
    return wide * images + (1 - wide) * images[index], mixed_labels(target, index, lam)


def wrong_permutation(images: Tensor, target: Tensor) -> Mixed:
    lam = torch.rand(len(images), 1)
    index, other = torch.randperm(len(images)), torch.randperm(len(images))
    wide = lam[:, :, None, None]
    return wide * images + (1 - wide) * images[index], mixed_labels(target, other, lam)


def inverse_permutation(images: Tensor, target: Tensor) -> Mixed:
    lam, index = torch.rand(len(images), 1), torch.randperm(len(images))
    wide = lam[:, :, None, None]
    mixed = wide * images + (1 - wide) * images[index]
    return mixed, mixed_labels(target, index.argsort(), lam)


def label_by_lam(images: Tensor, target: Tensor) -> Mixed:
    """CutMix whose box is clipped at the border while the label keeps lam."""
    lam, index = float(torch.rand(())), torch.randperm(len(images))
    height, width = images.shape[2:]
    side = (1 - lam) ** 0.5
    row, column = (int(torch.randint(length, ())) for length in (height, width))
    top, left = (max(int(m - side * n / 2), 0) for m, n in ((row, height), (column, width)))
    mixed = images.clone()
    inside = slice(top, int(row + side * height / 2)), slice(left, int(column + side * width / 2))
    mixed[:, :, inside[0], inside[1]] = images[index][:, :, inside[0], inside[1]]
    return mixed, mixed_labels(target, index, lam)


def lam_swapped(images: Tensor, target: Tensor) -> Mixed:
    lam, index = torch.rand(len(images), 1), torch.randperm(len(images))
    wide = lam[:, :, None, None]
    return (1 - wide) * images + wide * images[index], mixed_labels(target, index, lam)


def input_changed(images: Tensor, target: Tensor) -> Mixed:
    mixed, soft = mixup(images, target)
    images.copy_(mixed)
    return images, soft


def target_changed(images: Tensor, target: Tensor) -> Mixed:
    found = mixup(images, target)
    target.zero_()
    return found


def integer_labels(images: Tensor, target: Tensor) -> Mixed:
    mixed, soft = mixup(images, target)
    return mixed, soft.argmax(1)


def integer_rows(images: Tensor, target: Tensor) -> Mixed:
    mixed, soft = mixup(images, target)
    return mixed, (soft > 0.5).long()


def rows_off(images: Tensor, target: Tensor) -> Mixed:
    mixed, soft = mixup(images, target)
    return mixed, soft * 0.9


def negative_rows(images: Tensor, target: Tensor) -> Mixed:
    mixed, soft = mixup(images, target)
    return mixed, soft + 0.1 * (one_hot(target) - one_hot((target + 1) % CLASSES))


def other_dtype(images: Tensor, target: Tensor) -> Mixed:
    mixed, soft = mixup(images, target)
    return mixed.double(), soft


def other_shape(images: Tensor, target: Tensor) -> Mixed:
    mixed, soft = mixup(images, target)
    return mixed[:, :, 1:], soft


def out_of_range(images: Tensor, target: Tensor) -> Mixed:
    mixed, soft = mixup(images, target)
    return 1.2 * mixed, soft


def not_a_number(images: Tensor, target: Tensor) -> Mixed:
    mixed, soft = mixup(images, target)
    mixed[0, 0, 0, 0] = torch.nan
    return mixed, soft


def foreign_pixels(images: Tensor, target: Tensor) -> Mixed:
    """A grey patch that is of no photo, and keeps within the range."""
    mixed, soft = mixup(images, target)
    mixed[:, :, :3, :3] = 0.5
    return mixed, soft


class MixedTooRarely:
    """States p = 0.9 and mixes half."""

    p = 0.9

    def __call__(self, images: Tensor, target: Tensor) -> Mixed:
        mixed, soft = mixup(images, target)
        clean = torch.rand(len(images)) < 0.6
        mixed[clean], soft[clean] = images[clean], one_hot(target)[clean]
        return mixed, soft


class OwnPartner:
    """Half of a batch is paired with itself."""

    p = 1.0

    def __call__(self, images: Tensor, target: Tensor) -> Mixed:
        index = torch.arange(len(images))
        index[::2] = index[::2].roll(1)
        lam = torch.rand(len(images), 1)
        wide = lam[:, :, None, None]
        mixed = wide * images + (1 - wide) * images[index]
        return mixed, mixed_labels(target, index, lam)


def generator_ignored(
    images: Tensor, target: Tensor, generator: torch.Generator | None = None
) -> Mixed:
    return mixup(images, target)


def generator_of_its_own(
    images: Tensor, target: Tensor, generator: torch.Generator | None = None
) -> Mixed:
    lam, index = torch.full((len(images), 1), 0.4), torch.arange(len(images)).roll(1)
    wide = lam[:, :, None, None]
    return wide * images + (1 - wide) * images[index], mixed_labels(target, index, lam)


def box_elsewhere(images: Tensor, target: Tensor) -> Mixed:
    """Right on flat photos; where something bright is on them, the box is not what the label says.

    This is what a saliency mix does that computes its label before it moves the box.
    """
    index, height = torch.arange(len(images)).roll(1), images.shape[2]
    rows = images.mean((1, 3))
    contrast = float((rows - rows.mean(1, keepdim=True)).abs().mean())
    length = height // 2
    shown = length if contrast < 1e-4 else length // 2
    mixed = images.clone()
    mixed[:, :, :shown] = images[index][:, :, :shown]
    return mixed, mixed_labels(target, index, 1 - length / height)


BROKEN: dict[str, tuple[Callable[..., Mixed], str, str]] = {
    "wrong permutation": (wrong_permutation, "partners", "permuted differently"),
    "inverse permutation": (inverse_permutation, "partners", "permuted differently"),
    "label by lam": (label_by_lam, "shares", "box is cut off there"),
    "lam swapped": (lam_swapped, "shares", "exchanged"),
    "input changed": (input_changed, "input", "the given images changed in place"),
    "target changed": (target_changed, "input", "the given target changed in place"),
    "integer labels": (integer_labels, "target", "expected soft rows (8,K)"),
    "integer rows": (integer_rows, "target", "int64"),
    "rows off": (rows_off, "rows", "sums are 0.900 to 0.900"),
    "negative rows": (negative_rows, "rows", "below 0"),
    "other dtype": (other_dtype, "images", "float32 became (8,3,16,16) float64"),
    "other shape": (other_shape, "images", "became (8,3,15,16)"),
    "out of range": (out_of_range, "range", "leave those of the photos"),
    "not a number": (not_a_number, "range", "no finite numbers"),
    "foreign pixels": (foreign_pixels, "pixels", "no weighted mean of two photos"),
    "too rarely": (MixedTooRarely(), "probability", "but p is 0.9"),
    "own partner": (OwnPartner(), "self-pairs", "too many"),
    "generator ignored": (generator_ignored, "generator", "something else is drawn from"),
    "generator unused": (generator_of_its_own, "generator", "it is not used"),
    "box elsewhere": (box_elsewhere, "shares on photos", "not its share of the pixels"),
}
"""Transform, the check that must fail, and words of its sentence."""
