"""What a guard costs: step time of CutMix with it over the same without, side by side.

Run it with ``python benchmarks/guard_time.py``; see ``--help``. Both are stepped in turn in one
process; the ratio is that of processor time round by round, median with quartiles.
"""

from __future__ import annotations

import argparse
import statistics
import time
from functools import partial
from typing import Any

import torch

import samix
from stepping import ratios_in_turn
from tiles_accuracy import NETWORK, SIZE
from yardstick import RESNET

NETWORKS: dict[str, dict[str, Any]] = {
    "small ResNet, 32 px": {**RESNET, "image_size": 32},
    "small ResNet, 128 px": {**NETWORK, "image_size": SIZE},
    "resnet18, 32 px": {"backbone": "resnet18", "stem": "small", "image_size": 32},
    "resnet18, 224 px": {"backbone": "resnet18", "image_size": 224},
}
BATCH = {
    "small ResNet, 32 px": 100,
    "small ResNet, 128 px": 64,
    "resnet18, 32 px": 100,
    "resnet18, 224 px": 16,
}


def main() -> None:
    """Print the ratio for each network and each kind of saliency."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("names", nargs="*", help=f"{', '.join(NETWORKS)}; all")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--policy", default="cutmix")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    guards = {
        "default": True,
        "good named": {"good": ["0"], "share": 0.65},
        "attention": {"saliency": "attention"},
        "plausibility": {"plausibility": 0.3},
    }
    for name in arguments.names or NETWORKS:
        methods = {
            label: samix.create_method(
                "supervised",
                num_classes=10,
                policy=arguments.policy,
                guard=guard,
                classes=[str(number) for number in range(10)],
                **NETWORKS[name],
            ).to(memory_format=torch.channels_last)
            for label, guard in {"without": None, **guards}.items()
        }
        size = NETWORKS[name]["image_size"]
        images = torch.randn(BATCH[name], 3, size, size).to(memory_format=torch.channels_last)
        target = torch.randint(0, 10, (BATCH[name],))
        steps = {label: partial(_step, method, images, target) for label, method in methods.items()}
        ratios = ratios_in_turn(steps, "without", arguments.rounds)
        for label in guards:
            low, middle, high = statistics.quantiles(ratios[label], n=4)
            print(f"{name}: guard {label} {middle:.3f} ({low:.3f} to {high:.3f})", flush=True)


def _step(method: samix.SupervisedMethod, images: torch.Tensor, target: torch.Tensor) -> float:
    begin = time.process_time()
    method(images, target).loss.backward()
    method.update_momentum()
    spent = time.process_time() - begin
    method.zero_grad()
    return spent


if __name__ == "__main__":
    main()
