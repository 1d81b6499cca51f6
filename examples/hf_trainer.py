"""Hugging Face ``Trainer`` with mixed batches: one method is overridden.

Batches are mixed on the device, in training alone; what is evaluated is not mixed. It needs
``pip install 'samix[hf]'``. Run it with ``python examples/hf_trainer.py``; the model is small and
starts from random weights, so that nothing is fetched, and it takes seconds.
"""

from __future__ import annotations

import tempfile

import torch
from torch import Tensor
from torch.utils.data import Dataset
from transformers import ResNetConfig, ResNetForImageClassification, Trainer, TrainingArguments

import samix

CLASSES = 3


class MixTrainer(Trainer):
    """A Trainer that mixes the batches that it learns from."""

    mix: samix.BatchMix

    def __init__(self, *given, **named) -> None:
        super().__init__(*given, **named)
        # our loss is a mean over its batch: the Trainer divides it by the accumulated batches
        self.model_accepts_loss_kwargs = False

    def compute_loss(self, model, inputs, return_outputs=False, **kwargs):  # noqa: D102, ANN
        if not model.training:
            return super().compute_loss(model, inputs, return_outputs, **kwargs)
        images, soft_target = self.mix(inputs["pixel_values"], inputs["labels"])
        outputs = model(pixel_values=images)  # without labels: the loss is ours
        loss = samix.soft_cross_entropy(outputs.logits, soft_target)
        return (loss, outputs) if return_outputs else loss


class Squares(Dataset):
    """Noise with one bright square; the square's colour is the class."""

    def __init__(self, count: int, first: int = 0) -> None:
        self.count, self.first = count, first

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        generator = torch.Generator().manual_seed(self.first + index)
        image, colour = 0.3 * torch.randn(3, 32, 32, generator=generator), index % CLASSES
        top, left = torch.randint(0, 22, (2,), generator=generator).tolist()
        image[colour, top : top + 10, left : left + 10] += 1.5
        return {"pixel_values": image, "labels": torch.tensor(colour)}


def main(policy: str = "cutmix") -> float:
    """Train, and return the accuracy on photos that were not seen."""
    config = ResNetConfig(
        embedding_size=8,
        hidden_sizes=[8, 16],
        depths=[1, 1],
        layer_type="basic",
        num_labels=CLASSES,
    )
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder,
            num_train_epochs=4,
            per_device_train_batch_size=32,
            learning_rate=5e-3,
            use_cpu=True,
            report_to=[],
            save_strategy="no",
            disable_tqdm=True,
            seed=0,
        )
        trainer = MixTrainer(
            model=ResNetForImageClassification(config),
            args=arguments,
            train_dataset=Squares(384),
            eval_dataset=Squares(96, first=10_000),
            compute_metrics=lambda found: {
                "accuracy": float((found.predictions.argmax(1) == found.label_ids).mean())
            },
        )
        trainer.mix = samix.BatchMix(policy, CLASSES)
        trainer.train()
        accuracy: float = trainer.evaluate()["eval_accuracy"]
    print(f"accuracy {accuracy:.2f}")
    return accuracy


if __name__ == "__main__":
    main()
