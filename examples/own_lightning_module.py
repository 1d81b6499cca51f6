"""SAMix inside a LightningModule of one's own.

A method of samix is a plain module: it becomes an attribute, gives the loss, and wants to be told
when a step is done. Mixing by hand-made rules alone needs ``samix.BatchMix`` and two lines. Run it
with ``python examples/own_lightning_module.py``; it makes its own photos and takes seconds.
"""

from __future__ import annotations

import logging

import lightning.pytorch as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

import samix

CLASSES, EPOCHS, BATCH = 3, 5, 32


class Learner(pl.LightningModule):
    """A classifier that learns from mixes of the Mixer."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.method = samix.create_method(
            "supervised",
            backbone="resnet18",
            num_classes=CLASSES,
            policy="samix",  # or "cutmix", ...
            steps=steps,
            model_kwargs={"layers": (1, 1, 1, 1), "channels": (8, 16, 16, 16)},
        )

    def training_step(self, batch: tuple[Tensor, Tensor], _: int) -> Tensor:
        """Mix, and return the loss of the encoder and of the Mixer."""
        step = self.method(*batch)
        self.log_dict(step.terms, on_step=False, on_epoch=True)
        return step.loss

    def optimizer_step(self, *given: object, **named: object) -> None:
        """Move the momentum encoder on after each optimiser step, not after each batch."""
        super().optimizer_step(*given, **named)
        self.method.update_momentum()

    def validation_step(self, batch: tuple[Tensor, Tensor], _: int) -> None:
        """Judge the plain timm model that would be taken away."""
        images, target = batch
        right = (self.method.export()(images).argmax(1) == target).float().mean()
        self.log("accuracy", right)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return the optimiser of encoder and Mixer."""
        return torch.optim.SGD(self.method.parameter_groups(lr=0.1), momentum=0.9)


def make_images(count: int, seed: int) -> TensorDataset:
    """Return noise with one bright square; the square's colour is the class."""
    generator = torch.Generator().manual_seed(seed)
    target = torch.randint(0, CLASSES, (count,), generator=generator)
    images = 0.3 * torch.randn(count, 3, 32, 32, generator=generator)
    for image, colour in zip(images, target, strict=True):
        top, left = torch.randint(0, 22, (2,), generator=generator).tolist()
        image[colour, top : top + 10, left : left + 10] += 1.5
    return TensorDataset(images, target)


def main() -> float:
    """Train, and return the accuracy on photos that were not seen."""
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    pl.seed_everything(0, verbose=False)
    train = DataLoader(make_images(256, seed=0), batch_size=BATCH, shuffle=True)
    unseen = DataLoader(make_images(96, seed=1), batch_size=96)
    learner = Learner(steps=EPOCHS * len(train))
    trainer = pl.Trainer(
        max_epochs=EPOCHS,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    trainer.fit(learner, train, unseen)
    found = {name: float(value) for name, value in trainer.callback_metrics.items()}
    print(", ".join(f"{name} {value:.3f}" for name, value in found.items()))
    return found["accuracy"]


if __name__ == "__main__":
    main()
