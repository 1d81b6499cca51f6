"""The training recipe of timm with any policy of samix: only the line of ``mixup_fn`` differs.

``samix.BatchMix`` is called as ``timm.data.Mixup`` is, gives what it gives, and is switched off in
the same way (``--mixup-off-epoch``). In timm's ``train.py`` replace ``Mixup(**mixup_args)`` by it,
and start with ``--no-prefetcher``, so that batches are mixed in the loop. Run this with
``python examples/timm_recipe.py``; it makes its own photos and takes seconds.
"""

from __future__ import annotations

import timm
import torch
from timm.loss import SoftTargetCrossEntropy
from timm.optim import create_optimizer_v2
from timm.scheduler import create_scheduler_v2
from torch import Tensor

import samix

CLASSES, EPOCHS, MIXUP_OFF_EPOCH, BATCH = 3, 4, 3, 32


def make_images(count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return noise with one bright square; the square's colour is the class."""
    target = torch.randint(0, CLASSES, (count,), generator=generator)
    images = 0.3 * torch.randn(count, 3, 32, 32, generator=generator)
    for image, colour in zip(images, target, strict=True):
        top, left = torch.randint(0, 22, (2,), generator=generator).tolist()
        image[colour, top : top + 10, left : left + 10] += 1.5
    return images, target


def main() -> float:
    """Train, and return the accuracy on photos that were not seen."""
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    images, target = make_images(384, generator)

    # before: mixup_fn = timm.data.Mixup(0.8, 1.0, label_smoothing=0.1, num_classes=CLASSES)
    policy = samix.create_policy("mixup-cutmix", alpha=0.8, cutmix_alpha=1.0)
    mixup_fn = samix.BatchMix(policy, CLASSES, label_smoothing=0.1)

    model = timm.create_model(
        "resnet18", num_classes=CLASSES, layers=(1, 1, 1, 1), channels=(8, 16, 16, 16)
    )
    train_loss_fn = SoftTargetCrossEntropy()
    optimizer = create_optimizer_v2(model, opt="adamw", lr=1e-2, weight_decay=0.05)
    lr_scheduler, epochs = create_scheduler_v2(optimizer, "cosine", num_epochs=EPOCHS)

    for epoch in range(epochs):
        if epoch >= MIXUP_OFF_EPOCH:
            mixup_fn.mixup_enabled = False  # soft targets stay: the loss is the same
        model.train()
        for chosen in torch.randperm(len(images), generator=generator).split(BATCH):
            mixed, soft_target = mixup_fn(images[chosen], target[chosen])
            loss = train_loss_fn(model(mixed), soft_target)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        lr_scheduler.step(epoch + 1)
        print(f"epoch {epoch + 1}: loss {loss.item():.3f}, mixing {mixup_fn.mixup_enabled}")

    unseen, wanted = make_images(96, generator)
    model.eval()
    with torch.no_grad():
        accuracy = float((model(unseen).argmax(1) == wanted).float().mean())
    print(f"accuracy {accuracy:.2f}")
    return accuracy


if __name__ == "__main__":
    main()
