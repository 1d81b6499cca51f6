"""Segmentation: the plan of the images is applied to their maps of classes.

What a pixel of the mix shows, its target says: inside the box of CutMix the classes of the
partner, under mixup both. Run it with ``python examples/dense_targets.py``; it makes its own photos
and takes seconds.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

import samix

CLASSES, IGNORE, STEPS, BATCH = 3, 255, 40, 16


def make_photos(count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return noise with two bright squares, and maps: 0 is the ground, 1 and 2 the colours.

    The border of the maps is not known, as it often is in hand-made ones.
    """
    images = 0.3 * torch.randn(count, 3, 32, 32, generator=generator)
    maps = torch.zeros(count, 32, 32, dtype=torch.int64)
    for image, area in zip(images, maps, strict=True):
        for colour in (1, 2):
            top, left = torch.randint(2, 20, (2,), generator=generator).tolist()
            image[colour, top : top + 10, left : left + 10] += 1.5
            area[top : top + 10, left : left + 10] = colour
    maps[:, [0, -1]] = IGNORE
    maps[:, :, [0, -1]] = IGNORE
    return images, maps


def dense_loss(logits: Tensor, rows: Tensor) -> Tensor:
    """Return the cross-entropy of (B,K,H,W) logits; pixels to be ignored have rows of 0."""
    loss = -(rows * logits.log_softmax(1)).sum(1)
    return loss.sum() / rows.sum()


def main(policy: str = "cutmix") -> float:
    """Train a small network, and return the share of pixels that it gets right."""
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 16, 5, padding=2), nn.ReLU(), nn.Conv2d(16, CLASSES, 5, padding=2)
    )
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-2)
    mixes = samix.create_policy(policy)
    for step in range(STEPS):
        images, maps = make_photos(BATCH, generator)
        plan = mixes.plan(images, generator=generator)
        rows = samix.mix_dense(maps, plan, CLASSES, ignore=IGNORE)  # (16,3,32,32)
        loss = dense_loss(network(samix.blend(images, plan)), rows)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 20 == 19:
            print(f"step {step + 1}: loss {loss.item():.3f}")

    images, maps = make_photos(32, generator)
    with torch.no_grad():
        found = network(images).argmax(1)
    known = maps != IGNORE
    right = float((found == maps)[known].float().mean())
    print(f"pixels that are right: {right:.2f}")
    return right


if __name__ == "__main__":
    main()
