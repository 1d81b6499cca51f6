"""Where the content of an image lies, and how much of it stays visible in a mix.

Plain functions of tensors. What a mix does to defects is measured here as well, since the guard
and the evaluation count it in the same way.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from .masks import resized_box_mask
from .plan import MixPlan

_SIDE = 64  # px; the spectrum of a larger image tells no more about where its content lies
_SHARPNESS = 2.0
_FADE = 0.1  # of a side, over which the border is faded out
_FLOOR = 0.01  # of the mean amplitude; where a spectrum is empty there is nothing to expect
_BLUR = 3.0  # places: the Gaussian of GuidedMixup, in a window of 7
_BLUR_REACH = 3
_EVEN = 0.1  # of the mean, added everywhere: where nothing is salient, two images count alike
_TINY = torch.finfo(torch.float32).tiny


def as_shares(saliency: Tensor) -> Tensor:
    """Return maps (B,1,H,W) of at least 0 divided by their sum; an empty one becomes even."""
    values = saliency.float().clamp_min(0.0)
    total = values.sum((1, 2, 3), keepdim=True)
    pixels = values.shape[2] * values.shape[3]
    even = torch.full_like(values, 1.0 / pixels)
    return torch.where(total > 0, values / total.clamp_min(_TINY), even)


def spectral_residual(
    images: Tensor, *, side: int = _SIDE, sharpness: float = _SHARPNESS
) -> Tensor:
    """Return where images depart from what their own spectrum makes one expect.

    ``|ifft(exp(log A - mean3(log A) + i P))|^2``, smoothed, with amplitude A and phase P of the
    grey image. No label and no network is needed. Source: Hou and Zhang, "Saliency Detection: A
    Spectral Residual Approach", CVPR 2007. Deviations: the image is freed of its mean and faded
    out over a tenth of its sides, since an edge where opposite borders meet is no content; up to
    64 px instead of exactly 64; smoothed by a box instead of a Gaussian; raised to ``sharpness``.

    Args:
        images: (B,C,H,W) of any normalisation.
        side: Longer side at which the map is computed, in px.
        sharpness: Exponent; larger ones say that the content lies in fewer places.

    Returns:
        (B,1,h,w) float32, each map with sum 1, of at most ``side`` px.
    """
    grey = within_side(_grey(images), side)
    size = grey.shape[2:]
    grey = grey - grey.mean((2, 3), keepdim=True)
    rows, columns = (_taper(length, grey.device) for length in grey.shape[2:])
    # of a real image one half of the spectrum tells the other
    spectrum = torch.fft.rfft2(grey * rows[:, None] * columns)
    size_of = (spectrum.real.square() + spectrum.imag.square()).sqrt()
    # the columns that have a twin in the other half
    twins = size_of[..., 1 : (size[1] + 1) // 2]
    whole = size_of.sum((2, 3), keepdim=True) + twins.sum((2, 3), keepdim=True)
    floor = (_FLOOR * whole / (size[0] * size[1])).clamp_min(_TINY)
    amplitude = (size_of + floor).log()
    residual = amplitude - _mean3(_around_half(amplitude, size[1]))
    back = torch.fft.irfft2(spectrum * (residual.exp() / size_of.clamp_min(_TINY)), s=size)
    smooth = _smooth(_smooth(back.square()))
    peak = smooth.amax((1, 2, 3), keepdim=True).clamp_min(_TINY)
    return as_shares((smooth / peak).pow(sharpness))


def saliency_peak(saliency: Tensor) -> Tensor:
    """Return where each map is highest, at the first such place in reading order.

    Args:
        saliency: (B,1,h,w).

    Returns:
        (B,2) float32 row and column of the middle of that place, as shares of the image in (0, 1).
    """
    height, width = saliency.shape[2:]
    highest = saliency.flatten(1).argmax(dim=1)
    place = torch.stack([highest // width, highest % width], dim=1).float()
    return (place + 0.5) / place.new_tensor([height, width])


def blur_saliency(saliency: Tensor) -> Tensor:
    """Return maps (B,1,h,w) that are blurred by a Gaussian of 3 places, each with sum 1."""
    values = saliency.float()
    for axis in (2, 3):
        length = values.shape[axis]
        # at most to the opposite border
        reach = min(_BLUR_REACH, length - 1)
        weights = [math.exp(-0.5 * (step / _BLUR) ** 2) for step in range(-reach, reach + 1)]
        border = (0, 0, reach, reach) if axis == 2 else (reach, reach, 0, 0)
        wide = F.pad(values, border, mode="reflect")
        # a sum of shifted maps, on a CPU a fraction of the time of a convolution
        values = torch.zeros_like(values)
        for shift, weight in enumerate(weights):
            values.add_(wide.narrow(axis, shift, length), alpha=weight / sum(weights))
    return as_shares(values)


def saliency_ratio(saliency: Tensor, other: Tensor, size: tuple[int, int]) -> Tensor:
    """Return which share of the salient content each pixel has from the first of two images.

    ``(s + e) / (s + other + 2 e)``, with e a tenth of the mean, enlarged to the size of the images.
    Source: GuidedMixup, arXiv 2306.16612, where e is 0 and the maps are enlarged.

    Args:
        saliency: (B,1,h,w) of at least 0, with sum 1.
        other: (B,1,h,w) of the other image of each pair, the same.
        size: Height and width in pixels.

    Returns:
        (B,1,H,W) float32 in (0, 1).
    """
    even = _EVEN / (saliency.shape[2] * saliency.shape[3])
    first, second = saliency.float() + even, other.float() + even
    ratio = first / (first + second)
    if tuple(ratio.shape[2:]) == size:
        return ratio
    return F.interpolate(ratio, size, mode="bilinear", align_corners=False)


def feature_saliency(features: Tensor, *, sharpness: float = _SHARPNESS) -> Tensor:
    """Return where a feature map departs from its own mean over the places of the image.

    Args:
        features: (B,C,h,w).
        sharpness: Exponent of the length of the departure.

    Returns:
        (B,1,h,w) float32, each map with sum 1.
    """
    values = features.float()
    apart = (values - values.mean((2, 3), keepdim=True)).norm(dim=1, keepdim=True)
    peak = apart.amax((1, 2, 3), keepdim=True).clamp_min(_TINY)
    return as_shares((apart / peak).pow(sharpness))


def _grey(images: Tensor) -> Tensor:
    """Return (B,1,H,W) float32 means over the channels; sums of slices suit every layout."""
    first, *others = images.float().unbind(1)
    total = first.clone(memory_format=torch.contiguous_format)
    for channel in others:
        total.add_(channel)
    return total.div_(images.shape[1]).unsqueeze(1)


def _smooth(values: Tensor) -> Tensor:
    return _mean3(F.pad(values, (1, 1, 1, 1), mode="replicate"))


def _mean3(values: Tensor) -> Tensor:
    """Return means over 3 x 3 places that lie inside; sums, on a CPU a tenth of pooling's time."""
    height, width = values.shape[2] - 2, values.shape[3] - 2
    for axis, length in ((2, height), (3, width)):
        first, second, third = (values.narrow(axis, shift, length) for shift in range(3))
        values = (first + second).add_(third)
    return values / 9


def _around_half(half: Tensor, width: int) -> Tensor:
    """Return half a spectrum (B,C,H,width // 2 + 1) with one more place of the whole all around."""
    known = half.shape[3]
    mirrored = half.flip(2).roll(1, 2)  # what lies at (-u, -v) is what lies at (u, v)
    before, after = 1 % width, width - known
    sides = (mirrored[..., before : before + 1], half, mirrored[..., after : after + 1])
    return F.pad(torch.cat(sides, dim=3), (0, 0, 1, 1), mode="circular")


def _taper(length: int, device: torch.device) -> Tensor:
    """Return (length,) factors that rise from 0 to 1 over a tenth of the length at both ends."""
    place = torch.arange(length, device=device, dtype=torch.float32) + 0.5
    from_end = torch.minimum(place, length - place) / (_FADE * length)
    return 0.5 - 0.5 * torch.cos(torch.pi * from_end.clamp_max(1.0))


def area_average(values: Tensor, size: Sequence[int]) -> Tensor:
    """Return maps at another size in which each place is the mean of what it covers.

    Args:
        values: (B,C,H,W).
        size: Height and width of the result.

    Returns:
        (B,C,h,w) float32; the values themselves where they have that size and type.
    """
    if values.stride()[2:] == (0, 0):  # the same everywhere
        return values[:, :, :1, :1].float().expand(-1, -1, *size)
    values = values.float()
    height, width = values.shape[2:]
    if (height, width) == tuple(size):
        return values
    if height % size[0] or width % size[1]:
        return F.interpolate(values, tuple(size), mode="area")
    # sums of slices, on a CPU a fifth of pooling's time
    rows, columns = height // size[0], width // size[1]
    bands = values.reshape(*values.shape[:2], size[0], rows, width)
    summed = sum((bands[:, :, :, row] for row in range(1, rows)), bands[:, :, :, 0])
    total = sum(
        (summed[..., column::columns] for column in range(1, columns)), summed[..., ::columns]
    )
    return total / (rows * columns)


def within_side(values: Tensor, side: int) -> Tensor:
    """Return maps (B,C,H,W) shrunk by area averaging until no side is longer than ``side``."""
    shrink = min(side / max(values.shape[2:]), 1.0)
    return area_average(values, [max(round(length * shrink), 1) for length in values.shape[2:]])


def visible_share(region: Tensor, mask: Tensor) -> Tensor:
    """Return how much of each region a mask lets through: ``sum(region * mask) / sum(region)``.

    Args:
        region: (B,1,H,W) of at least 0, how much of the content lies in each pixel: a defect mask
            that was shrunk by area averaging, or a saliency.
        mask: (B,1,H,W) in [0, 1], weight of the image in each pixel of the mix.

    Returns:
        (B,) float32 in [0, 1]; NaN where the region is empty.

    Raises:
        ValueError: Regions and masks have different shapes.
    """
    if region.shape != mask.shape:
        raise ValueError(
            f"region: expected {tuple(mask.shape)} as the mask, got {tuple(region.shape)}"
        )
    return _ratio(region.float() * mask.float(), region)


def visible_shares(
    region: Tensor, plan: MixPlan, *, partner_region: Tensor | None = None
) -> Tensor:
    """Return how much of the content of both images of each pair stays visible in the mix.

    A partner that the plan moves is read where the plan says, as :func:`samix.blend` reads the
    image. Its share is that of the pixels that its content had before: a partner that is shrunk to
    half its side keeps at most a quarter.

    Args:
        region: (B,1,H,W) of at least 0, how much of the content lies in each pixel.
        plan: The plan of these images.
        partner_region: (B,1,H,W) of the batch that partners are taken from, where that is another
            view; None takes ``region``.

    Returns:
        (B,2) float32 in [0, 1], original and partner; NaN where there is no content.
    """
    region = region.float()
    others = region if partner_region is None else partner_region.float()
    own = visible_share(plan.source.original(region), plan.mask)
    partner = _ratio(
        plan.source.partner(others, plan.index) * (1.0 - plan.mask), others[plan.index]
    )
    return torch.stack([own, partner], dim=1)


def at_size(plan: MixPlan, size: tuple[int, int]) -> MixPlan:
    """Return a plan whose mask and grid are shrunk or enlarged to another size in pixels.

    Args:
        plan: The plan.
        size: Height and width.
    """
    known, boxed = plan.size, plan.boxed
    if known == size:
        return plan
    if boxed is None:
        mask = area_average(plan.mask, size)
    else:
        mask = resized_box_mask(boxed.box, known, size, boxed.inside)
    return replace(plan, mask=mask, source=plan.source.at_size(size))


def _ratio(shown: Tensor, region: Tensor) -> Tensor:
    """Return (B,) sums of (B,1,H,W) divided, at most 1; NaN where the second is empty."""
    part, whole = (value.float().sum((1, 2, 3)) for value in (shown, region))
    return torch.where(whole > 0, part / whole, torch.nan).clamp(max=1.0)


LEAST_WEIGHT = 0.2  # share of the label from which on a class must be seen
LEAST_VISIBLE = 0.1  # share of a defect below which it counts as not seen


def label_noise(visible: Tensor, shares: Tensor, same_class: Tensor | None = None) -> Tensor:
    """Say for both photos of each pair whether the label promises a defect that is not seen.

    It does where the class has a share of the label of at least 0.2 and less than 0.1 of its defect
    is visible. Where both photos are of one class, that class has the whole label, and is seen
    where either defect is.

    Args:
        visible: (B,2) from :func:`visible_shares`; NaN is never noise.
        shares: (B,2) in [0, 1], shares of original and partner that the label uses.
        same_class: (B,) bool; None takes two classes everywhere.

    Returns:
        (B,2) bool, original and partner.
    """
    seen = visible
    if same_class is not None:
        both = same_class.unsqueeze(1)
        best = visible.nan_to_num(nan=-1.0).amax(1, keepdim=True).expand_as(visible)
        shares = torch.where(both, torch.ones_like(shares), shares)
        seen = torch.where(both & ~visible.isnan(), best, visible)
    return (shares >= LEAST_WEIGHT) & (seen < LEAST_VISIBLE)
