"""What a network sees of a photo: size, augmentation, normalisation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional as F
from torchvision.transforms import v2

from samix.data.sampling import uniforms
from samix.errors import InputError

Augmentation = Literal["none", "light", "standard", "strong"]
Channels = tuple[float, float, float]

IMAGENET_MEAN: Channels = (0.485, 0.456, 0.406)
IMAGENET_STD: Channels = (0.229, 0.224, 0.225)

SMALL = 64  # px; up to here photos are shifted, above they are cropped and resized
ROOM = 1.5  # photos to crop are kept larger, so that an average crop is not enlarged
_CROP_AREA = (0.35, 1.0)  # smaller crops often lose the one defect that the label is about
_CROP_RATIO = (3 / 4, 4 / 3)  # of width to height
_TRIES = 10  # draws of area and ratio, of which the first that fits is taken
_SEED_BITS = np.uint64(2**63 - 1)


@dataclass(frozen=True)
class View:
    """Turns stored photos into the input of a network.

    Attributes:
        image_size: Side of the result in px.
        load_size: Side in px that photos are stored with. Every photo is squeezed to a square: a
            cut-out of the middle could lose the defect that the label is about.
        geometry: "none", "shift" (flip and shift by up to an eighth, mirrored at the border) or
            "crop" (flip and a crop of 35 to 100 % of the area, resized).
        recolour: Whether RandAugment (two operations of strength 9) follows.
        mean: Mean of each channel that is subtracted, for values in [0, 1].
        std: Standard deviation of each channel to divide by.
    """

    image_size: int
    load_size: int
    geometry: Literal["none", "shift", "crop"]
    recolour: bool
    mean: Channels
    std: Channels

    def __call__(self, photos: Tensor, keys: NDArray[np.uint64]) -> Tensor:
        """Make a batch for the network; a pure function of photos and keys.

        Args:
            photos: (B, 3, load_size, load_size) uint8; left as it is.
            keys: (B,) random keys from `random_keys`.

        Returns:
            (B, 3, image_size, image_size) float32, normalised.
        """
        if self.geometry == "shift":
            photos = _shift(photos, uniforms(keys, 3))
        elif self.geometry == "crop":
            photos = _crop(photos, uniforms(keys, 3 + 2 * _TRIES), self.image_size)
        if self.recolour:
            photos = _one_by_one(photos, ~keys, v2.RandAugment())
        mean = torch.tensor(self.mean).view(3, 1, 1) * 255
        scale = 1 / (torch.tensor(self.std).view(3, 1, 1) * 255)
        return photos.to(torch.float32).sub_(mean).mul_(scale)

    def denormalise(self, images: Tensor) -> Tensor:
        """Return network input as it looks: (..., 3, H, W) float32 in [0, 1]."""
        mean = torch.tensor(self.mean, device=images.device).view(3, 1, 1)
        std = torch.tensor(self.std, device=images.device).view(3, 1, 1)
        return (images.float() * std + mean).clamp(0, 1)


def train_view(
    image_size: int,
    *,
    augmentation: Augmentation | None = None,
    mean: Channels = IMAGENET_MEAN,
    std: Channels = IMAGENET_STD,
) -> View:
    """Return the view for training.

    Args:
        image_size: Side in px, >= 8.
        augmentation: "none"; "light": flip and small shift; "standard": flip and crop of a part,
            resized (up to 64 px the same as light); "strong": standard and RandAugment (Cubuk et
            al. 2020). None is light up to 64 px and standard above.
        mean: Mean of the channels, that of ImageNet by default.
        std: Standard deviation of the channels, that of ImageNet by default.

    Raises:
        InputError: The augmentation is unknown, or the size is below 8.
    """
    small = image_size <= SMALL
    chosen = augmentation or ("light" if small else "standard")
    if chosen not in get_args(Augmentation):
        known = ", ".join(get_args(Augmentation))
        msg = f"unknown augmentation '{chosen}'; expected one of {known}"
        raise InputError(msg)
    check_size(image_size)
    geometry: Literal["none", "shift", "crop"]
    if chosen == "none":
        geometry = "none"
    elif chosen == "light" or small:
        geometry = "shift"
    else:
        geometry = "crop"
    load_size = round(image_size * ROOM) if geometry == "crop" else image_size
    return View(image_size, load_size, geometry, chosen == "strong", mean, std)


def eval_view(
    image_size: int, *, mean: Channels = IMAGENET_MEAN, std: Channels = IMAGENET_STD
) -> View:
    """Return the view for evaluation: the whole photo, nothing random.

    Args:
        image_size: Side in px, >= 8.
        mean: Mean of the channels, that of ImageNet by default.
        std: Standard deviation of the channels, that of ImageNet by default.

    Raises:
        InputError: The size is below 8.
    """
    check_size(image_size)
    return View(image_size, image_size, "none", False, mean, std)


def squeeze(photo: Image.Image, side: int) -> Tensor:
    """Return a photo of any size as a square: (3, side, side) uint8."""
    if photo.size != (side, side):
        photo = photo.resize((side, side), Image.Resampling.BICUBIC, reducing_gap=3.0)
    return torch.from_numpy(np.array(photo)).permute(2, 0, 1).contiguous()


def check_size(image_size: int) -> None:
    """Raise an InputError for a size that shows nothing."""
    if image_size < 8:
        msg = f"the image size must be at least 8 px, got {image_size}"
        raise InputError(msg)


def _shift(photos: Tensor, draws: NDArray[np.float64]) -> Tensor:
    """Flip and shift each photo, mirrored at the border, in one gathering pass.

    Args:
        photos: (B, 3, S, S) of any type.
        draws: (B, 3) in [0, 1): flip, shift down, shift to the right.

    Returns:
        (B, 3, S, S).
    """
    size = photos.shape[-1]
    reach = size // 8
    at = np.arange(size)[None, :]
    moves = np.floor(draws[:, 1:] * (2 * reach + 1)).astype(np.int64) - reach
    rows = _mirrored(at + moves[:, :1], size)
    columns = _mirrored(at + moves[:, 1:], size)
    columns = np.where(draws[:, :1] < 0.5, columns[:, ::-1], columns)
    flat = torch.from_numpy(rows[:, :, None] * size + columns[:, None, :]).view(len(photos), 1, -1)
    moved = photos.flatten(2).gather(2, flat.expand(-1, photos.shape[1], -1))
    return moved.view(photos.shape)


def _mirrored(at: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """Reflect positions outside [0, size) at the border pixels."""
    return np.asarray((size - 1) - np.abs((size - 1) - np.abs(at)))


def _crop(photos: Tensor, draws: NDArray[np.float64], size: int) -> Tensor:
    """Crop, resize and flip each photo as torchvision's RandomResizedCrop does.

    Its draws are made for the whole batch at once, which takes a third of the time.

    Args:
        photos: (B, C, S, S) uint8.
        draws: (B, 3 + 2 T) in [0, 1): flip, place down and across, T areas, T ratios.
        size: Side of the result in px.

    Returns:
        (B, C, size, size) uint8.
    """
    side = photos.shape[-1]
    area = _CROP_AREA[0] + draws[:, 3 : 3 + _TRIES] * (_CROP_AREA[1] - _CROP_AREA[0])
    low, high = np.log(_CROP_RATIO)
    ratio = np.exp(low + draws[:, 3 + _TRIES :] * (high - low))
    width, height = np.round(side * np.sqrt(area * ratio)), np.round(side * np.sqrt(area / ratio))
    fits = np.maximum(width, height) <= side
    rows, first = np.arange(len(photos)), fits.argmax(1)
    chosen = np.stack([height, width], 2)[rows, first]
    chosen = np.where(fits.any(1)[:, None], chosen, side).astype(np.int64)
    place = np.floor(draws[:, 1:3] * (side - chosen + 1)).astype(np.int64)
    done = []
    for photo, flip, (top, left), (down, across) in zip(
        photos, draws[:, 0] < 0.5, place.tolist(), chosen.tolist(), strict=True
    ):
        part = photo[None, :, top : top + down, left : left + across]
        part = F.interpolate(part, size=(size, size), mode="bilinear", antialias=True)
        done.append(part.flip(3) if flip else part)
    return torch.cat(done)


def _one_by_one(
    photos: Tensor, keys: NDArray[np.uint64], transform: Callable[[Tensor], Tensor]
) -> Tensor:
    """Apply a transform that draws from torch's global state, each photo seeded by its key.

    The global state is put back afterwards.
    """
    with torch.random.fork_rng(devices=[]):
        done = []
        for photo, key in zip(photos, keys, strict=True):
            torch.manual_seed(int(key & _SEED_BITS))
            done.append(transform(photo))
    return torch.stack(done)
