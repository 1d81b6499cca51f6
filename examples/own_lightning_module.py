"""SAMix inside a LightningModule of your own.

A method of samix is a plain module: an attribute that gives the loss. For a hand-made rule,
``samix.BatchMix`` in ``training_step`` is enough.

python examples/own_lightning_module.py
"""

import logging
import sys
import warnings

import lightning.pytorch as pl
import torch
from photos import CLASSES, SMALL, accuracy, make_photos
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

import samix

EPOCHS, BATCH = 5, 32
QUIET = {f"enable_{what}": False for what in ("checkpointing", "progress_bar", "model_summary")}


class Learner(pl.LightningModule):
    """A classifier that learns from mixes of the Mixer."""

    def __init__(self, steps: int, policy: str = "samix") -> None:
        super().__init__()
        options = {"num_classes": CLASSES, "policy": policy, "steps": steps, "model_kwargs": SMALL}
        self.method = samix.create_method("supervised", backbone="resnet18", **options)

    def training_step(self, batch: tuple[Tensor, Tensor], _: int) -> Tensor:
        """Return the loss of the encoder and of the Mixer."""
        return self.method(*batch).loss

    def optimizer_step(self, *given: object, **named: object) -> None:
        """Move the momentum encoder on after each optimiser step, not after each batch."""
        super().optimizer_step(*given, **named)
        self.method.update_momentum()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return the optimiser of encoder and Mixer."""
        return torch.optim.SGD(self.method.parameter_groups(lr=0.1), momentum=0.9)


def main(devices: int = 1, precision: str = "32-true", accumulate: int = 1) -> float:
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")
    pl.seed_everything(0, verbose=False)
    loader = DataLoader(TensorDataset(*make_photos(384)), batch_size=BATCH, shuffle=True)
    learner = Learner(EPOCHS * len(loader) // devices // accumulate)
    parallel = {"accelerator": "cpu", "devices": devices, "precision": precision, "logger": False}
    trainer = pl.Trainer(max_epochs=EPOCHS, accumulate_grad_batches=accumulate, **parallel, **QUIET)
    trainer.fit(learner, loader)
    return accuracy(learner.method.export())


if __name__ == "__main__":
    main(*(int(word) for word in sys.argv[1:]))
