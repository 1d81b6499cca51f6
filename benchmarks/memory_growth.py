"""Resident memory of a run over thousands of steps: what grows is never given back.

``python benchmarks/memory_growth.py [--steps 3000] [--warm-up 300]`` trains a small network by
``samix train`` and ``samix pretrain`` (MoCo v2), both with the learned policy, and reads the
resident memory of the process after each step. What is compared is the mean over as many steps
after the warm-up and at the end, since allocators give and take pages all the time.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path
from typing import Any

import torch

from samix.training import PretrainConfig, RunConfig, TrainConfig, fit, pretrain, train

PAGE = os.sysconf("SC_PAGE_SIZE") / 2**20
SMALL: dict[str, Any] = {
    "data": "demo:photos_per_class=60,size=16", "image_size": 16, "backbone": "resnet18",
    "model_kwargs": {"layers": [1, 1, 1, 1], "channels": [8, 8, 8, 8]}, "stem": "small",
    "batch_size": 24, "policy": "samix", "device": "cpu", "workers": 0,
}  # fmt: skip
SPAN = 200  # steps whose mean is compared


def resident() -> float:
    """Return the resident memory of this process in MiB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE


def watched(config: RunConfig, readings: list[float]) -> None:
    """Run with the memory read after each step."""
    plain = fit.EpochProgress

    class Progress(plain):  # type: ignore[valid-type, misc]
        def on_train_batch_end(self, *arguments: Any) -> None:
            super().on_train_batch_end(*arguments)
            readings.append(resident())

    fit.EpochProgress = Progress  # type: ignore[misc]
    try:
        train(config) if isinstance(config, TrainConfig) else pretrain(config)
    finally:
        fit.EpochProgress = plain  # type: ignore[misc]


def main() -> None:
    """Train, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--warm-up", type=int, default=300)
    given = parser.parse_args()
    torch.set_num_threads(1)
    print(
        "| run | steps | after warm-up | at the end | growth |\n|---|---|---|---|---|", flush=True
    )
    for name in ("supervised", "moco"):
        readings: list[float] = []
        with tempfile.TemporaryDirectory() as place:
            own = {"output": str(Path(place) / "run"), "validate_every": 25, **SMALL}
            if name == "moco":
                own |= {"method_options": {"queue_size": 96}, "policy": "samix"}
            epochs = -(-given.steps // 9)
            kind = TrainConfig if name == "supervised" else PretrainConfig
            watched(kind(**own, epochs=epochs), readings)
        begin = sum(readings[given.warm_up :][:SPAN]) / SPAN
        end = sum(readings[-SPAN:]) / SPAN
        print(
            f"| {name} | {len(readings)} | {begin:.1f} MiB | {end:.1f} MiB | "
            f"{end / begin - 1:+.2%} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
