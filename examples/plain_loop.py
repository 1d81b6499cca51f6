"""SAMix in a plain PyTorch loop: a timm model goes in, a plain timm model comes out.

Run it with ``python examples/plain_loop.py``; it makes its own images and takes seconds.
"""

from __future__ import annotations

import torch
from torch import Tensor

import samix

EPOCHS, BATCH = 3, 32


def make_images(count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return noise with one bright square; the square's colour is the class."""
    target = torch.randint(0, 3, (count,), generator=generator)
    images = 0.3 * torch.randn(count, 3, 32, 32, generator=generator)
    for image, colour in zip(images, target, strict=True):
        top, left = torch.randint(0, 22, (2,), generator=generator).tolist()
        image[colour, top : top + 10, left : left + 10] += 1.5
    return images, target


def main() -> None:
    """Train, and take the model away."""
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    images, target = make_images(256, generator)

    method = samix.create_method(
        "supervised",
        backbone="resnet18",
        num_classes=3,
        stem="small",  # images of up to 64 pixels
        policy="samix",  # or "cutmix", "mixup", ... : the loop stays the same
        steps=EPOCHS * len(images) // BATCH,
        model_kwargs={"layers": (1, 1, 1, 1), "channels": (8, 16, 16, 16)},
    )
    optimizer = torch.optim.SGD(method.parameter_groups(lr=0.05), momentum=0.9)
    for epoch in range(EPOCHS):
        for chosen in torch.randperm(len(images), generator=generator).split(BATCH):
            step = method(images[chosen], target[chosen])
            step.loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            method.update_momentum()
        terms = ", ".join(f"{name} {value.item():.3f}" for name, value in step.terms.items())
        print(f"epoch {epoch + 1}: {terms}")

    model = method.export()  # nothing of samix in it
    accuracy = model(images).argmax(1).eq(target).float().mean().item()
    print(f"{type(model).__module__}.{type(model).__name__}: accuracy {accuracy:.2f}")


if __name__ == "__main__":
    main()
