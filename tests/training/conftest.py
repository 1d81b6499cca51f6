from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from samix.training import PretrainConfig, TrainConfig, pretrain

TINY: dict[str, Any] = {
    "data": "demo:photos_per_class=20,size=16",
    "image_size": 16,
    "backbone": "resnet18",
    "model_kwargs": {"layers": [1, 1, 1, 1], "channels": [8, 8, 8, 8], "drop_path_rate": 0.2},
    "stem": "small",
    "batch_size": 24,
    "epochs": 3,
    "lr": 0.05,
    "device": "cpu",
}


@pytest.fixture
def tiny(tmp_path: Path) -> Callable[..., TrainConfig]:
    """A run of seconds; drop_path draws from the global random state, which resume must handle."""

    def make(**changes: Any) -> TrainConfig:
        return TrainConfig(**{**TINY, "output": str(tmp_path / "run"), **changes})

    return make


@pytest.fixture
def tiny_pretrain(tmp_path: Path) -> Callable[..., PretrainConfig]:
    """The same without labels; the queue is no multiple of the batch."""
    own: dict[str, Any] = {"method_options": {"queue_size": 64}}

    def make(**changes: Any) -> PretrainConfig:
        return PretrainConfig(**{**TINY, **own, "output": str(tmp_path / "run"), **changes})

    return make


@pytest.fixture(scope="session")
def pretrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished self-supervised run with a Mixer; it is not to be changed."""
    own = {"epochs": 2, "policy_options": {"alpha": 1.5}, "method_options": {"queue_size": 64}}
    output = tmp_path_factory.mktemp("pretrained") / "run"
    return pretrain(PretrainConfig(**{**TINY, **own, "output": str(output)})).run.path
