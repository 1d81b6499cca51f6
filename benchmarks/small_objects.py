"""Photos with known object masks: CIFAR-10 objects on textures, demo defects, magnetic tiles.

What a mask should show is known here to the pixel, and objects are small, so that a mix that is
blind to them often hides one. Everything follows from a seed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from samix.data import DEMO_CLASSES, DemoOptions, demo_photo
from tiles_photos import GOOD, grouped_split, load_tiles
from yardstick import load_cifar

SIDE = 64  # px of a photo with a pasted object or a drawn defect
OBJECT = 32  # px, longer side of a pasted object: an ellipse of 16 to 20 % of the photo
TILE_SIDE = 96  # px; smaller ones lose the blowholes
SETS = ("pasted", "demo", "tiles", "four", "few-demo")
FOUR = {"airplane": 0, "automobile": 1, "frog": 6, "horse": 7}  # classes that are learned quickly
FEW = 24  # photos of a class of "few-demo", two of each part
_CHUNK = 1000


@dataclass(frozen=True)
class Objects:
    """Photos with the places of their objects.

    Attributes:
        images: (N,3,S,S) uint8.
        regions: (N,1,S,S) uint8, 255 times the share of each pixel that is object; all 0 where a
            photo has none.
        target: (N,) int64.
        classes: Names of the classes.
        upright: False where a photo may be turned upside down.
    """

    images: Tensor
    regions: Tensor
    target: Tensor
    classes: tuple[str, ...]
    upright: bool = True

    def __len__(self) -> int:
        return len(self.target)

    def rows(self, chosen: Tensor) -> Objects:
        """Return some photos, by their positions."""
        return Objects(
            self.images[chosen],
            self.regions[chosen],
            self.target[chosen],
            self.classes,
            self.upright,
        )

    def seen(self) -> tuple[Tensor, Tensor]:
        """Return images as a network sees them, and regions in [0, 1], both float32."""
        return shown(self.images), self.regions.float() / 255


def shown(images: Tensor) -> Tensor:
    """Return (B,3,S,S) of 0 to 255, each photo with mean 0 and deviation 1, channels last.

    Channels are not taken one by one, so that colours remain.
    """
    deviation, mean = torch.std_mean(images.float(), (1, 2, 3), keepdim=True)
    images = (images.float() - mean) / deviation.clamp_min(1.0)
    return images.contiguous(memory_format=torch.channels_last)


def load(name: str, folder: Path, seed: int) -> dict[str, Objects]:
    """Return "train" and "test" of a set by its name, and "val" where there is enough for one.

    Args:
        name: One of :data:`SETS`; "four" is "pasted" with the classes of :data:`FOUR`, "few-demo"
            is "demo" with :data:`FEW` photos of each class to learn from.
        folder: With cifar10/ and magnetic-tile/; the demo needs none.
        seed: Chooses the photos, their objects' places, and the parts of either side.
    """
    if name == "pasted":
        return pasted_objects(folder / "cifar10", seed)
    if name == "four":
        return {side: _four(part) for side, part in load("pasted", folder, seed).items()}
    if name == "demo":
        return demo_defects(seed)
    if name == "few-demo":
        return demo_defects(seed, {"train": FEW, "val": 50, "test": 300})
    if name == "tiles":
        return tile_defects(folder / "magnetic-tile", seed)
    raise ValueError(f"name: expected one of {', '.join(SETS)}, got {name!r}")


def pasted_objects(folder: Path, seed: int) -> dict[str, Objects]:
    """Return CIFAR-10 objects on textures: 200 a class to learn from, 200 for val, 1,000 for test.

    Each photo of CIFAR-10 is cut to an ellipse and pasted at a random place of a texture that says
    nothing of its class. Places and textures are fixed; shifts and flips come later.
    """
    parts = load_cifar(folder, seed)
    classes = tuple(str(number) for number in range(10))
    found = {}
    for number, (name, (pixels, target)) in enumerate(parts.items()):
        generator = torch.Generator().manual_seed(1000 * seed + number)
        pieces = [paste(chunk, generator) for chunk in pixels.split(_CHUNK)]
        images, regions = (torch.cat(piece) for piece in zip(*pieces, strict=True))
        found[name] = Objects(images, regions, target, classes)
    return found


def paste(pixels: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Paste an ellipse of each photo on a texture; return uint8 images and regions.

    Args:
        pixels: (B,3,OBJECT,OBJECT) uint8.
        generator: Source of randomness.
    """
    count = len(pixels)
    photos = pixels.float() / 255
    along = (torch.arange(OBJECT) + 0.5) / OBJECT * 2 - 1
    narrow = 0.8 + 0.2 * torch.rand(count, 1, 1, generator=generator)  # share of the longer side
    lying = torch.rand(count, 1, 1, generator=generator) < 0.5
    wide, high = torch.where(lying, 1.0, narrow), torch.where(lying, narrow, 1.0)
    radius = ((along / wide) ** 2 + (along.unsqueeze(1) / high) ** 2).sqrt()
    cut = ((1 - radius) * OBJECT / 2 + 0.5).clamp(0, 1).unsqueeze(1)  # a border of one pixel
    corner = torch.randint(0, SIDE - OBJECT + 1, (2, count), generator=generator)
    region, objects = torch.zeros(count, 1, SIDE, SIDE), torch.zeros(count, 3, SIDE, SIDE)
    sample, inside = torch.arange(count).view(-1, 1, 1), torch.arange(OBJECT)
    rows = corner[0].view(-1, 1, 1) + inside.view(1, -1, 1)
    columns = corner[1].view(-1, 1, 1) + inside.view(1, 1, -1)
    region[sample, :, rows, columns] = cut.permute(0, 2, 3, 1)
    objects[sample, :, rows, columns] = photos.permute(0, 2, 3, 1)
    images = region * objects + (1 - region) * textures(count, generator)
    return (images * 255).round().byte(), (region * 255).round().byte()


def textures(count: int, generator: torch.Generator) -> Tensor:
    """Draw band-limited noise, stripes and gratings in two random colours, a third of each.

    Returns:
        (count,3,SIDE,SIDE) in [0, 1].
    """
    waves = torch.empty(count, 1, 1).uniform_(2, 14, generator=generator)  # periods a photo
    angle, phase, other = torch.rand(3, count, 1, 1, generator=generator) * 2 * math.pi
    place = torch.arange(SIDE) / SIDE
    turned = angle.cos() * place + angle.sin() * place.unsqueeze(1)
    across = angle.cos() * place.unsqueeze(1) - angle.sin() * place
    wave = torch.sin(2 * math.pi * waves * turned + phase)
    stripes = (wave * 4).clamp(-1, 1)
    gratings = wave * torch.sin(2 * math.pi * waves * across + other)
    noise = _band(count, waves, generator)
    kind = torch.randint(0, 3, (count, 1, 1), generator=generator)
    pattern = torch.where(kind == 0, noise, torch.where(kind == 1, stripes, gratings))
    light, dark = torch.rand(2, count, 3, 1, 1, generator=generator)
    share = (pattern.unsqueeze(1) + 1) / 2
    return share * light + (1 - share) * dark


def _band(count: int, waves: Tensor, generator: torch.Generator) -> Tensor:
    """Return (count,SIDE,SIDE) noise in [-1, 1] of about so many periods a photo."""
    white = torch.randn(count, SIDE, SIDE, generator=generator)
    rows, columns = torch.fft.fftfreq(SIDE) * SIDE, torch.fft.rfftfreq(SIDE) * SIDE
    frequency = torch.hypot(rows.unsqueeze(1), columns.unsqueeze(0))
    kept = ((frequency > waves / 1.5) & (frequency < waves * 1.5)).float()
    noise = torch.fft.irfft2(torch.fft.rfft2(white) * kept, s=(SIDE, SIDE))
    return (noise / (2 * noise.std((1, 2), keepdim=True)).clamp_min(1e-6)).clamp(-1, 1)


def _four(data: Objects) -> Objects:
    """Return the photos of four classes alone."""
    numbers = torch.tensor(list(FOUR.values()))
    chosen = torch.isin(data.target, numbers)
    target = torch.searchsorted(numbers, data.target[chosen])
    return Objects(data.images[chosen], data.regions[chosen], target, tuple(FOUR))


def demo_defects(seed: int, per_class: dict[str, int] | None = None) -> dict[str, Objects]:
    """Return photos of the demo; test and val show other parts than train.

    Args:
        seed: Chooses the parts.
        per_class: Photos of each class by side; None takes 200 for each.
    """
    counts = per_class or dict.fromkeys(("train", "val", "test"), 200)
    return {
        name: _drawn(DemoOptions(count, size=SIDE, seed=7000 + 3 * seed + number))
        for number, (name, count) in enumerate(counts.items())
    }


def _drawn(options: DemoOptions) -> Objects:
    photos = [demo_photo(i, options) for i in range(len(DEMO_CLASSES) * options.photos_per_class)]
    return Objects(
        torch.stack([torch.from_numpy(photo.image).permute(2, 0, 1) for photo in photos]),
        torch.stack([torch.from_numpy(photo.mask)[None].byte() * 255 for photo in photos]),
        torch.tensor([photo.target for photo in photos]),
        DEMO_CLASSES,
        upright=False,
    )


def tile_defects(folder: Path, seed: int) -> dict[str, Objects]:
    """Return the tiles; parts as a whole on one side, a third of them for test, none for val."""
    tiles = load_tiles(folder, TILE_SIDE)
    train, test = grouped_split(tiles, seed)
    images, regions = ((part * 255).round().byte() for part in (tiles.images, tiles.regions))
    whole = Objects(images, regions, tiles.target, tiles.classes, upright=False)
    return {"train": whole.rows(train), "test": whole.rows(test)}


def good_class(classes: tuple[str, ...]) -> int | None:
    """Return the class of photos without a defect, None where every photo has an object."""
    return next((classes.index(name) for name in (GOOD, "good") if name in classes), None)


def augmented(data: Objects, pick: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Shift some photos by up to an eighth, flip them, and return them as a network sees them.

    Args:
        data: All photos.
        pick: (B,) positions of those wanted.
        generator: Source of randomness.

    Returns:
        (B,3,S,S) standardised images and (B,1,S,S) regions in [0, 1], moved alike.
    """
    side = data.images.shape[2]
    reach = side // 8
    both = torch.cat([data.images[pick], data.regions[pick]], dim=1).float()
    both = F.pad(both, (reach,) * 4, mode="reflect").permute(0, 2, 3, 1)
    corner = torch.randint(0, 2 * reach + 1, (2, len(pick), 1), generator=generator)
    flip = torch.rand(2, len(pick), 1, generator=generator) < 0.5
    along = torch.arange(side)
    turned = torch.where(flip[0], along.flip(0), along) if not data.upright else along
    rows, columns = corner[0] + turned, corner[1] + torch.where(flip[1], along.flip(0), along)
    sample = torch.arange(len(pick)).view(-1, 1, 1)
    both = both[sample, rows.unsqueeze(2), columns.unsqueeze(1)].permute(0, 3, 1, 2)
    return shown(both[:, :3]), (both[:, 3:] / 255).contiguous()
