"""Calls of torch's operators in a training step: what a small network on a fast GPU waits for.

Run it with ``python benchmarks/operator_calls.py``. A card that is quicker than Python can call it
spends a step on these calls, whatever the size of the batch. A step is forward, backward, optimiser
(with all tensors at once, as torch does on a GPU) and momentum average; the mean over eight steps,
so that those with and without the Mixer's learning count alike. Ratios are over the loop that one
writes without samix. Calls are counted on the CPU, with no time measured.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

import samix
from samix.evaluation.cost.measure import Calls
from stepping import write_result

NETWORKS: dict[str, dict[str, Any]] = {
    "resnet18, small stem": {"backbone": "resnet18", "stem": "small"},
    "vit_tiny_patch16_224, 96 px": {"backbone": "vit_tiny_patch16_224", "image_size": 96},
    "resnet50": {"backbone": "resnet50"},
}
PLAIN = "plain loop"
SETTINGS: dict[str, dict[str, Any]] = {
    PLAIN: {},
    "none": {"policy": "none"},
    "cutmix": {"policy": "cutmix"},
    "samix-p": {"policy": "samix-p"},
    "samix-fast": {"policy": "samix", "cost": "fast", "clean_branch": "off"},
    "samix-seldom": {"policy": "samix", "cost": "seldom", "clean_branch": "off"},
    "samix-full": {"policy": "samix", "cost": "full", "clean_branch": "off"},
}
WARM, STEPS, BATCH = 4, 8, 8


def calls(network: dict[str, Any], setting: dict[str, Any]) -> float:
    """Return the calls of a mean step; a setting without a policy is a loop without samix."""
    torch.manual_seed(0)
    method: Any = None
    if setting:
        method = samix.create_method("supervised", num_classes=10, **network, **setting)
        samix.networks.settle_weights(method)
        groups: Any = method.parameter_groups(0.01)
    else:
        model = samix.networks.create_backbone(**network, num_classes=10).train()
        groups = model.parameters()
    optimizer = torch.optim.SGD(groups, lr=0.01, momentum=0.9, foreach=True)
    size = network.get("image_size", 32)
    images, target = torch.randn(BATCH, 3, size, size), torch.arange(BATCH) % 10
    found = []
    for _ in range(WARM + STEPS):
        with Calls() as counted:
            loss = (
                F.cross_entropy(model(images), target)
                if method is None
                else method(images, target).loss
            )
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            if method is not None:
                method.update_momentum()
        found.append(counted.count)
    return sum(found[WARM:]) / STEPS


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, help="JSON file to write")
    arguments = parser.parse_args()
    print(f"| | {' | '.join(NETWORKS)} |\n|---|{'---|' * len(NETWORKS)}")
    counts: dict[str, dict[str, float]] = {}
    for name, setting in SETTINGS.items():
        cells = []
        for label, network in NETWORKS.items():
            count = calls(network, setting)
            counts.setdefault(label, {})[name] = count
            cells.append(f"{count:,.0f}, {count / counts[label][PLAIN]:.2f}")
        print(f"| {name} | {' | '.join(cells)} |", flush=True)
    write_result(arguments.output, batch=BATCH, steps=STEPS, calls_of_a_mean_step=counts)


if __name__ == "__main__":
    main()
