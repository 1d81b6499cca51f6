"""Accumulating four batches is one batch of four times the size, in every recipe that is shown."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

import samix

EXAMPLES = Path(__file__).parents[1] / "examples"
BATCH, CLASSES = 32, 3


@pytest.fixture(autouse=True)
def _beside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Examples import the file with their photos, as a program does that lies beside it."""
    monkeypatch.syspath_prepend(str(EXAMPLES))


def example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def network() -> nn.Module:
    """A network without batch statistics, the same each time."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 16), nn.Tanh(), nn.Linear(16, CLASSES))


def photos() -> TensorDataset:
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(3 * BATCH, 3, 8, 8, generator=generator)
    return TensorDataset(images, torch.arange(3 * BATCH) % CLASSES)


def learned(accumulate: int) -> dict[str, Tensor]:
    learner = example("own_lightning_module").Learner(steps=3)
    options = samix.methods.SupervisedOptions(momentum_average=True)
    policy = samix.create_policy("none")
    learner.method = samix.SupervisedMethod(network(), policy, options=options)
    learner.method.counter.plan(3, None)
    trainer = pl.Trainer(
        max_epochs=1,
        accelerator="cpu",
        accumulate_grad_batches=accumulate,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(learner, DataLoader(photos(), batch_size=BATCH // accumulate))
    assert learner.method.counter.updates == 3
    return {k: v for k, v in learner.method.state_dict().items() if k.startswith(("enc", "ave"))}


def test_the_lightning_module() -> None:
    one, four = learned(1), learned(4)
    assert any(name.startswith("average") for name in one)
    for name, value in one.items():
        assert torch.allclose(value.float(), four[name].float(), atol=1e-6), name


class Labelled(Dataset[dict[str, Tensor]]):
    def __len__(self) -> int:
        return BATCH

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        image, label = photos()[index]
        return {"pixel_values": image, "labels": label}


class Wrapped(nn.Module):
    """As the networks of transformers are called, which take further arguments."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = network()

    def forward(self, pixel_values: Tensor, labels: Any = None, **_: Any) -> Any:
        return SimpleNamespace(logits=self.inner(pixel_values))


@pytest.mark.parametrize("accumulate", [1, 4])
def test_the_trainer_of_hugging_face(accumulate: int, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    model = Wrapped()
    before = {name: value.clone() for name, value in model.named_parameters()}
    arguments = transformers.TrainingArguments(
        output_dir=str(tmp_path),
        max_steps=1,
        per_device_train_batch_size=BATCH // accumulate,
        gradient_accumulation_steps=accumulate,
        learning_rate=1.0,
        optim="sgd",
        lr_scheduler_type="constant",
        max_grad_norm=0.0,
        use_cpu=True,
        report_to=[],
        save_strategy="no",
        disable_tqdm=True,
    )
    trainer = example("hf_trainer").MixTrainer(
        samix.BatchMix("none", CLASSES), model=model, args=arguments, train_dataset=Labelled()
    )
    trainer.train()
    images, target = photos()[:BATCH]
    whole = Wrapped()
    loss = samix.soft_cross_entropy(
        whole(images).logits, torch.nn.functional.one_hot(target, CLASSES).float()
    )
    loss.backward()
    for name, value in whole.named_parameters():
        moved = before[name] - dict(model.named_parameters())[name]
        assert torch.allclose(moved, value.grad, atol=1e-5), name


def test_a_plain_loop() -> None:
    found = []
    for accumulate in (1, 4):
        method = samix.SupervisedMethod(network(), samix.create_policy("none"))
        optimiser = torch.optim.SGD(method.parameter_groups(lr=0.1))
        loader = DataLoader(photos(), batch_size=BATCH // accumulate)
        for number, (images, target) in enumerate(loader, start=1):
            (method(images, target).loss / accumulate).backward()
            if number % accumulate == 0:
                optimiser.step()
                optimiser.zero_grad()
                method.update_momentum()
        found.append(list(method.encoder.parameters()))
    for one, four in zip(*found, strict=True):
        assert torch.allclose(one, four, atol=1e-6)
