"""Photos with several labels each, or none: targets of 0 and 1 are mixed as a weighted sum.

A label of both photos stays at 1, a label of one photo gets the share of this photo. The loss is
binary cross-entropy, which takes such targets as they are. (A union, which keeps every label at 1,
would say that a thing is there of which a CutMix may show a corner.)

python examples/multi_label.py
"""

import torch
from photos import CLASSES as LABELS
from photos import make_network
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

import samix

EPOCHS, BATCH = 12, 32


def make_photos(count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return noise with a bright square for each label that is 1, in the label's colour."""
    target = (torch.rand(count, LABELS, generator=generator) < 0.5).float()
    images = 0.3 * torch.randn(count, 3, 32, 32, generator=generator)
    for image, labels in zip(images, target, strict=True):
        for colour in labels.nonzero().flatten().tolist():
            top, left = torch.randint(0, 22, (2,), generator=generator).tolist()
            image[colour, top : top + 10, left : left + 10] += 1.5
    return images, target


def main(policy: str = "mixup") -> float:
    """Train, and return the fraction of labels that are right on new photos."""
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    images, target = make_photos(512, generator)
    mix = samix.BatchMix(policy)  # no number of classes: targets are rows already
    model = make_network(LABELS)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    for epoch in range(EPOCHS):
        for chosen in torch.randperm(len(images), generator=generator).split(BATCH):
            mixed, soft_target = mix(images[chosen], target[chosen])
            loss = binary_cross_entropy_with_logits(model(mixed), soft_target)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        print(f"epoch {epoch + 1}: loss {loss.item():.3f}")

    images, target = make_photos(128, generator)
    right = float(((model.eval()(images) > 0) == target.bool()).float().mean())
    print(f"{right:.0%} of the labels of new photos are right; guessing gives 50%")
    return right


if __name__ == "__main__":
    main()
