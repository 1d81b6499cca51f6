"""Small photos, noise with one bright square whose colour is the class, and a small network."""

import timm
import torch
from torch import Tensor, nn

CLASSES = 3
SMALL = {"layers": (1, 1, 1, 1), "channels": (8, 16, 16, 16)}  # a ResNet of ten thin layers


def make_photos(count: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Return images (count,3,32,32) and their classes (count,)."""
    generator = torch.Generator().manual_seed(seed)
    images = 0.3 * torch.randn(count, 3, 32, 32, generator=generator)
    target = torch.randperm(count, generator=generator) % CLASSES
    for image, colour in zip(images, target.tolist(), strict=True):
        top, left = torch.randint(0, 22, (2,), generator=generator).tolist()
        image[colour, top : top + 10, left : left + 10] += 1.5
    return images, target


def lit(images: Tensor, seed: int) -> Tensor:
    """Return the photos, each under a light of another brightness and colour."""
    light = torch.rand(len(images), 3, 1, 1, generator=torch.Generator().manual_seed(seed))
    return images + light - 0.5


def make_views(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Return two views of the same photos (count,3,32,32): under other light, one mirrored."""
    images, _ = make_photos(count, seed)
    return lit(images, 2 * seed), lit(images.flip(3), 2 * seed + 1)


def make_network(classes: int = CLASSES) -> nn.Module:
    return timm.create_model("resnet18", num_classes=classes, **SMALL)


@torch.no_grad()
def accuracy(model: nn.Module) -> float:
    """Return, and print, how many of 96 photos that were not learned from are right."""
    images, target = make_photos(96, seed=1000)
    right = float((model.eval()(images).argmax(1) == target).float().mean())
    print(f"{right:.0%} of 96 new photos are right; guessing gives {1 / CLASSES:.0%}")
    return right


@torch.no_grad()
def neighbours(encoder: nn.Module) -> float:
    """Return how often the nearest other photo shows the same class, whatever its light."""
    images, target = make_photos(192, seed=1000)
    embedding = nn.functional.normalize(encoder.eval()(lit(images, seed=1000)), dim=1)
    likeness = (embedding @ embedding.T).fill_diagonal_(-1)
    encoder.train()
    return float((target[likeness.argmax(1)] == target).float().mean())


def tell(before: float, encoder: nn.Module, steps: int) -> float:
    after = neighbours(encoder)
    print(f"nearest photos of the same class: {before:.0%} before, {after:.0%} after {steps} steps")
    return after
