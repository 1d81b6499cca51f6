"""The Trainer of Hugging Face with mixed batches: one method is overridden.

Batches are mixed on the device and in training alone; what is evaluated is not mixed. It needs
``pip install 'samix[hf]'``. The model starts from random weights, so that nothing is downloaded.

python examples/hf_trainer.py
"""

import tempfile

from photos import CLASSES, make_photos
from transformers import ResNetConfig, ResNetForImageClassification, Trainer, TrainingArguments

import samix

SMALL = {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1], "layer_type": "basic"}
QUIET = {"report_to": [], "save_strategy": "no", "disable_tqdm": True, "use_cpu": True}


class MixTrainer(Trainer):
    """A Trainer that mixes the batches that it learns from."""

    def __init__(self, mix: samix.BatchMix, **named) -> None:
        super().__init__(**named)
        self.mix = mix
        self.model_accepts_loss_kwargs = False  # our loss is a mean: accumulated ones are too

    def compute_loss(self, model, inputs, return_outputs=False, **kwargs):
        """Mix the batch in training; leave it as it is in evaluation."""
        if not model.training:
            return super().compute_loss(model, inputs, return_outputs, **kwargs)
        images, soft_target = self.mix(inputs["pixel_values"], inputs["labels"])
        outputs = model(pixel_values=images)  # without labels: the loss is ours
        loss = samix.soft_cross_entropy(outputs.logits, soft_target)
        return (loss, outputs) if return_outputs else loss


def photos(count: int, seed: int = 0) -> list[dict]:
    pairs = zip(*make_photos(count, seed), strict=True)
    return [{"pixel_values": image, "labels": label} for image, label in pairs]


def main(policy: str = "cutmix", **options: object) -> float:
    options = {"per_device_train_batch_size": 32, "num_train_epochs": 4, **options}
    with tempfile.TemporaryDirectory() as folder:
        trainer = MixTrainer(
            samix.BatchMix(policy, CLASSES),
            model=ResNetForImageClassification(ResNetConfig(**SMALL, num_labels=CLASSES)),
            args=TrainingArguments(folder, learning_rate=5e-3, seed=0, **QUIET, **options),
            train_dataset=photos(384),
        )
        trainer.train()
        found = trainer.predict(photos(96, seed=1000))
    right = float((found.predictions.argmax(1) == found.label_ids).mean())
    print(f"{right:.0%} of 96 new photos are right; guessing gives 33%")
    return right


if __name__ == "__main__":
    main()
