"""Segmentation: the plan of the images is applied to their maps of classes.

What a pixel of the mix shows, its target says: inside the box of CutMix the classes of the partner,
under mixup both.

python examples/dense_targets.py
"""

import torch
from torch import Tensor, nn

import samix

CLASSES, IGNORE, STEPS, BATCH = 3, 255, 60, 16


def make_photos(count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return noise with two bright squares, and maps of ground and squares with unknown borders."""
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


def main(policy: str = "cutmix") -> float:
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    first, last = nn.Conv2d(3, 16, 5, padding=2), nn.Conv2d(16, CLASSES, 5, padding=2)
    network = nn.Sequential(first, nn.ReLU(), last)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-2)
    mixes = samix.create_policy(policy)
    for _ in range(STEPS):
        images, maps = make_photos(BATCH, generator)
        plan = mixes.plan(images, generator=generator)
        rows = samix.mix_dense(maps, plan, CLASSES, ignore=IGNORE)  # (16,3,32,32); 0 if ignored
        logits = network(samix.blend(images, plan))
        loss = -(rows * logits.log_softmax(1)).sum() / rows.sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    images, maps = make_photos(32, generator)
    found = network(images).argmax(1).where(maps != IGNORE, IGNORE)
    both = [((found == k) & (maps == k)).sum() / ((found == k) | (maps == k)).sum() for k in (1, 2)]
    iou = float(sum(both) / 2)
    print(f"mean IoU of the squares on new photos {iou:.2f}; all ground would give 0")
    return iou


if __name__ == "__main__":
    main()
