"""How often a step calls torch: small networks on a fast GPU wait for it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from operator_calls import SETTINGS, calls

NARROW = {"backbone": "resnet18", "stem": "small", "model_kwargs": {"channels": (16, 16, 16, 16)}}


@pytest.mark.parametrize(
    ("setting", "most"), [("none", 328), ("cutmix", 356), ("samix-p", 485), ("samix-fast", 845)]
)
def test_the_calls_of_a_step_do_not_grow(setting: str, most: int) -> None:
    assert calls(NARROW, SETTINGS[setting]) <= most
