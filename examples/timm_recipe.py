"""The training recipe of timm with any policy of samix: only the line of ``mixup_fn`` differs.

``samix.BatchMix`` is called as ``timm.data.Mixup`` is, and switched off in the same way. In timm's
``train.py`` write it in place of ``Mixup(**mixup_args)``, and start with ``--no-prefetcher``.

python examples/timm_recipe.py
"""

import torch
from photos import CLASSES, accuracy, make_network, make_photos
from timm.loss import SoftTargetCrossEntropy
from timm.optim import create_optimizer_v2
from timm.scheduler import create_scheduler_v2

import samix

EPOCHS, MIXUP_OFF_EPOCH, BATCH = 4, 3, 32


def main() -> float:
    """Train, and return the accuracy on new photos."""
    torch.manual_seed(0)
    images, target = make_photos(384)
    model = make_network()

    # before: mixup_fn = timm.data.Mixup(0.8, 1.0, label_smoothing=0.1, num_classes=CLASSES)
    policy = samix.create_policy("mixup-cutmix", alpha=0.8, cutmix_alpha=1.0)
    mixup_fn = samix.BatchMix(policy, CLASSES, label_smoothing=0.1)

    train_loss_fn = SoftTargetCrossEntropy()
    optimizer = create_optimizer_v2(model, opt="adamw", lr=1e-2, weight_decay=0.05)
    lr_scheduler, epochs = create_scheduler_v2(optimizer, "cosine", num_epochs=EPOCHS)
    for epoch in range(epochs):
        if epoch >= MIXUP_OFF_EPOCH:
            mixup_fn.mixup_enabled = False  # soft targets stay: the loss is the same
        model.train()
        for chosen in torch.randperm(len(images)).split(BATCH):
            mixed, soft_target = mixup_fn(images[chosen], target[chosen])
            loss = train_loss_fn(model(mixed), soft_target)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        lr_scheduler.step(epoch + 1)
        print(f"epoch {epoch + 1}: loss {loss.item():.3f}, mixing {mixup_fn.mixup_enabled}")
    return accuracy(model)


if __name__ == "__main__":
    main()
