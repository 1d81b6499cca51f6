from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image

from samix.data import ImageSet
from samix.explain import open_network, open_photos
from samix.training import PretrainConfig, TrainConfig, pretrain, train

TINY = {
    "data": "demo:photos_per_class=12,size=16",
    "image_size": 16,
    "backbone": "resnet18",
    "model_kwargs": {"layers": [1, 1, 1, 1], "channels": [8, 8, 8, 8]},
    "stem": "small",
    "batch_size": 24,
    "epochs": 1,
    "device": "cpu",
}


@pytest.fixture(scope="session")
def runs(tmp_path_factory) -> dict[str, Path]:
    """Folders of finished tiny runs; they are not to be changed."""
    torch.set_num_threads(1)
    at = tmp_path_factory.mktemp("runs")
    made = {}
    for policy in ("samix", "cutmix"):
        made[policy] = train(TrainConfig(**TINY, policy=policy, output=str(at / policy))).run.path
    own = {"method_options": {"queue_size": 24}, "output": str(at / "moco")}
    made["moco"] = pretrain(PretrainConfig(**{**TINY, **own})).run.path
    return made


@pytest.fixture
def run_copy(runs, tmp_path):
    """A copy of a run that may be changed."""

    def make(name: str = "cutmix") -> Path:
        return Path(shutil.copytree(runs[name], tmp_path / name))

    return make


@pytest.fixture
def opened(runs):
    def make(name: str, **options):
        subject, source = open_network(runs[name])
        return subject, open_photos(subject, source, **options)

    return make


def plain_set(count: int, size: int = 16) -> ImageSet:
    """Photos whose red is their number, of two classes in turns."""
    return ImageSet(
        name="plain",
        classes=("a", "b"),
        keys=tuple(f"{i}.png" for i in range(count)),
        targets=tuple(i % 2 for i in range(count)),
        given_split=(None,) * count,
        given_group=(None,) * count,
        read=lambda i: Image.new("RGB", (size, size), (10 * i, 0, 0)),
    )
