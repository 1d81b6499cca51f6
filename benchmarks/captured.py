"""Captured steps on a GPU: what mixing costs over plain training where nothing waits for Python.

``python benchmarks/captured.py`` takes at most ten minutes, with bfloat16, for resnet18 at 32 px
(small stem, batch 128), resnet50 at 224 px and vit_small at 224 px (batch 64 each): the plain loop,
samix-p and fast SAMix, each as the usual loop and by ``samix.compile_step``. Rounds are
interleaved, and medians shown with the ratio over the plain step of the same kind. What was
measured is written after each network, and a second call goes on from there. Goals: captured
samix-p at most 1.05, and fast SAMix at most 1.4 times the captured plain step.

``--dry`` runs everything once on the CPU with tiny networks, so that nothing is left to find out
where a GPU costs money.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import samix
from samix.methods import CompiledStep
from stepping import write_result

NETWORKS: dict[str, dict[str, Any]] = {
    "resnet18, 32 px": {"backbone": "resnet18", "stem": "small", "image_size": 32},
    "resnet50, 224 px": {"backbone": "resnet50", "image_size": 224},
    "vit_small_patch16_224": {"backbone": "vit_small_patch16_224", "image_size": 224},
}
DRY: dict[str, dict[str, Any]] = {
    "resnet18, 32 px": {
        "backbone": "resnet18",
        "stem": "small",
        "image_size": 32,
        "model_kwargs": {"layers": (1, 1, 1, 1), "channels": (16, 16, 16, 16)},
    },
}
SETTINGS = ("plain", "cutmix", "samix-p", "samix-fast")
CLASSES = 10


class Plain(nn.Module):
    """A network with its loss: the loop without samix."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor, target: Tensor) -> Tensor:
        """Return the loss of a batch."""
        return F.cross_entropy(self.network(images), target)


def create_step(
    network: dict[str, Any], setting: str, device: str, captured: bool
) -> tuple[CompiledStep, tuple[str, ...]]:
    """Return the step of a setting, as the loop or captured, and what cannot be captured."""
    torch.manual_seed(0)
    if setting == "plain":
        method: Any = Plain(samix.networks.create_backbone(**network, num_classes=CLASSES))
    else:
        policy = "samix" if setting == "samix-fast" else setting  # whose cost is "fast" by itself
        method = samix.create_method("supervised", num_classes=CLASSES, policy=policy, **network)
    method = method.to(device, memory_format=torch.channels_last).train()
    groups = method.parameters() if setting == "plain" else method.parameter_groups(0.01)
    optimizer = torch.optim.SGD(groups, lr=0.01, momentum=0.9, fused=True)
    if not captured:
        return CompiledStep(method, optimizer), ()
    step = samix.compile_step(method, optimizer)
    return step, step.notes


def measure(network: dict[str, Any], device: str, batch: int, rounds: int) -> dict[str, Any]:
    """Return milliseconds of a median step by setting, of the loop and captured."""
    size = network["image_size"]
    images = torch.randn(batch, 3, size, size, device=device)
    images = images.contiguous(memory_format=torch.channels_last)
    target = torch.arange(batch, device=device) % CLASSES
    steps: dict[str, Callable[..., Any]] = {}
    notes: dict[str, tuple[str, ...]] = {}
    for setting in SETTINGS:
        for captured in (False, True):
            name = f"{setting}, captured" if captured else setting
            steps[name], notes[name] = create_step(network, setting, device, captured)
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    wait = torch.cuda.synchronize if device == "cuda" else (lambda: None)
    warm = 2 if device == "cpu" else 12  # steps before and after what is captured
    for number in range(warm + rounds):
        for name, step in steps.items():
            wait()
            begin = time.perf_counter()
            with torch.autocast(device, torch.bfloat16):
                step(images, target)
            wait()
            if number >= warm:
                seconds[name].append(1000.0 * (time.perf_counter() - begin))
    return {
        "milliseconds": {name: statistics.median(values) for name, values in seconds.items()},
        "notes": {name: list(said) for name, said in notes.items() if said},
    }


def main() -> None:
    """Measure what is missing in the file, and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dry", action="store_true", help="once, on the CPU, with tiny networks")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--minutes", type=float, default=10.0, help="none is begun later")
    parser.add_argument("--output", type=Path, default=Path("captured.json"))
    arguments = parser.parse_args()
    device = "cpu" if arguments.dry else "cuda"
    begin = time.monotonic()
    results: dict[str, Any] = {}
    if arguments.output.is_file():
        results = json.loads(arguments.output.read_text())["networks"]
    for name, network in (DRY if arguments.dry else NETWORKS).items():
        late = time.monotonic() - begin > 60.0 * arguments.minutes
        if name in results or late:
            continue
        batch = 8 if arguments.dry else (128 if network["image_size"] == 32 else 64)
        rounds = 2 if arguments.dry else arguments.rounds
        results[name] = found = measure(network, device, batch, rounds)
        for setting, value in found["milliseconds"].items():
            plain = "plain, captured" if setting.endswith("captured") else "plain"
            ratio = value / found["milliseconds"][plain]
            print(f"{name:<24}{setting:<22}{value:9.2f} ms  {ratio:5.2f}", flush=True)
        write_result(arguments.output, device=device, networks=results)


if __name__ == "__main__":
    main()
