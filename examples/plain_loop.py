"""SAMix in a plain PyTorch loop: a timm model goes in, a plain timm model comes out.

python examples/plain_loop.py
"""

import torch
from photos import CLASSES, SMALL, accuracy, make_photos

import samix

EPOCHS, BATCH = 3, 32


def main(policy: str = "samix", accumulate: int = 1, bf16: bool = False) -> float:
    """Train, and return the accuracy of the model that is taken away.

    Args:
        policy: "samix", or "cutmix", "mixup", ...: the loop stays the same.
        accumulate: Batches of one optimiser step.
        bf16: Compute in bfloat16 where that is safe.
    """
    torch.manual_seed(0)
    images, target = make_photos(384)
    batches = EPOCHS * len(images) // BATCH
    method = samix.create_method(
        "supervised",
        backbone="resnet18",
        model_kwargs=SMALL,
        num_classes=CLASSES,
        stem="small",  # for images of up to 64 pixels
        policy=policy,
        clean_branch=True,  # the model sees unmixed images, too, which lets the Mixer find objects
        steps=batches // accumulate,
    )
    optimizer = torch.optim.SGD(method.parameter_groups(lr=0.05), momentum=0.9)
    order = torch.cat([torch.randperm(len(images)) for _ in range(EPOCHS)])
    for number, chosen in enumerate(order.split(BATCH), start=1):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
            step = method(images[chosen], target[chosen])
        (step.loss / accumulate).backward()
        if number % accumulate == 0:
            optimizer.step()
            optimizer.zero_grad()
            method.update_momentum()  # after each optimiser step
        if number % 12 == 0:
            terms = ", ".join(f"{name} {value.item():.3f}" for name, value in step.terms.items())
            print(f"batch {number}: {terms}")

    signs = method.signs_of_life(images[:64], target[:64])
    if signs:
        varies = float(signs["mask_deviation"])
        alive = "alive" if varies >= 0.1 else "not alive yet: its mixes are those of mixup"
        print(f"masks vary by {varies:.2f}, so the Mixer is {alive}")
    return accuracy(method.export())  # nothing of samix is in the model


if __name__ == "__main__":
    main()
