"""Photos with several labels each, or none: targets of 0 and 1 are mixed as a weighted sum.

A class that is on both photos stays at 1, one that is on a single photo gets the share of this
photo, whatever is on neither stays at 0. The loss is binary cross-entropy, which takes such targets
as they are. (The other way, a union that keeps every label at 1, says that a thing is there of
which a CutMix may show a corner.) Run it with ``python examples/multi_label.py``; it makes its own
photos and takes seconds.
"""

from __future__ import annotations

import timm
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

import samix

LABELS, EPOCHS, BATCH = 3, 6, 32


def make_images(count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return noise with a bright square for each label that is 1, in the label's colour."""
    target = (torch.rand(count, LABELS, generator=generator) < 0.5).float()
    images = 0.3 * torch.randn(count, 3, 32, 32, generator=generator)
    for image, labels in zip(images, target, strict=True):
        for colour in labels.nonzero().flatten().tolist():
            top, left = torch.randint(0, 22, (2,), generator=generator).tolist()
            image[colour, top : top + 10, left : left + 10] += 1.5
    return images, target


def main(policy: str = "mixup") -> float:
    """Train, and return the share of labels that are right on photos that were not seen."""
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    images, target = make_images(512, generator)
    mix = samix.BatchMix(policy)  # no number of classes: targets are rows already

    both = torch.tensor([[1.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
    _, soft = mix(images[:2], both)
    assert torch.allclose(soft[:, 0], torch.ones(2))  # on both photos
    assert torch.all(soft[:, 2] == 0)  # on neither

    model = timm.create_model(
        "resnet18", num_classes=LABELS, layers=(1, 1, 1, 1), channels=(8, 16, 16, 16)
    )
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    for epoch in range(EPOCHS):
        for chosen in torch.randperm(len(images), generator=generator).split(BATCH):
            mixed, soft = mix(images[chosen], target[chosen])
            loss = binary_cross_entropy_with_logits(model(mixed), soft)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        print(f"epoch {epoch + 1}: loss {loss.item():.3f}")

    unseen, wanted = make_images(128, generator)
    model.eval()
    with torch.no_grad():
        right = float(((model(unseen) > 0) == wanted.bool()).float().mean())
    print(f"labels that are right: {right:.2f}")
    return right


if __name__ == "__main__":
    main()
