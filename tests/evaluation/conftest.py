from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file

from samix.networks import small_stem

MAKE: dict[str, Any] = {
    "backbone": "resnet18",
    "model_kwargs": {"layers": [1, 1, 1, 1], "channels": [8, 8, 8, 8]},
    "stem": "small",
    "image_size": 16,
}


def tiny_model(num_classes: int = 6) -> torch.nn.Module:
    model = timm.create_model("resnet18", num_classes=num_classes, **MAKE["model_kwargs"])
    return small_stem(model, image_size=16).eval()


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """Weights of a tiny timm classifier."""
    torch.manual_seed(5)
    path = tmp_path / "weights.safetensors"
    save_file(tiny_model().state_dict(), path)
    return path
