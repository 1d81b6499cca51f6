"""Mixing in the workers of a DataLoader: a policy as its ``collate_fn``.

The batch comes out mixed, with soft targets; the loop needs a loss for these and nothing else. Run
it with ``python examples/collate.py``; it makes its own photos and takes seconds.
"""

from __future__ import annotations

import timm
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, Dataset

import samix

CLASSES, EPOCHS = 3, 3


class Squares(Dataset):
    """Noise with one bright square; the square's colour is the class."""

    def __init__(self, count: int, first: int = 0) -> None:
        self.count, self.first = count, first

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        generator = torch.Generator().manual_seed(self.first + index)
        image, colour = 0.3 * torch.randn(3, 32, 32, generator=generator), index % CLASSES
        top, left = torch.randint(0, 22, (2,), generator=generator).tolist()
        image[colour, top : top + 10, left : left + 10] += 1.5
        return image, colour


def main(policy: str = "cutmix") -> float:
    """Train a timm model and return its accuracy on photos that it has not seen."""
    torch.manual_seed(0)  # the mixes follow from it, too: workers take their seeds from here
    collate = samix.mix_collate(policy, num_classes=CLASSES)
    loader = DataLoader(
        Squares(384), batch_size=32, shuffle=True, collate_fn=collate, num_workers=2
    )
    model = timm.create_model(
        "resnet18", num_classes=CLASSES, layers=(1, 1, 1, 1), channels=(8, 16, 16, 16)
    )
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    for epoch in range(EPOCHS):
        total = 0.0
        for images, soft_target in loader:  # (32,3,32,32) and (32,3)
            loss = cross_entropy(model(images), soft_target)  # it takes soft targets
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() / len(loader)
        print(f"epoch {epoch + 1}: loss {total:.3f}")

    model.eval()
    right = 0
    with torch.no_grad():
        # no collate_fn: what is judged is not mixed
        for images, target in DataLoader(Squares(96, first=10_000), batch_size=96):
            right += int((model(images).argmax(1) == target).sum())
    print(f"accuracy {right / 96:.2f}")
    return right / 96


if __name__ == "__main__":
    main()
