"""Time of a policy's masks for one batch beside torchvision's CutMix of the same batch.

Run it with ``python benchmarks/mask_time.py``, and with ``--policy fmix saliencymix`` for others
than samix-p. CutMix is the whole of torchvision's transform, which draws, and mixes images and
targets; of a policy the plan alone (draws and masks), and the plan with blending and targets.
Rounds are interleaved; median and quartiles over rounds are shown. The goal for samix-p is a mask
generation of at most ten times CutMix. Step times in training: step_time.py.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torchvision.transforms import v2

import samix
from stepping import write_result

CLASSES = 10


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--size", type=int, default=224, help="side of the images in px")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--mixer", help="another Mixer for samix-p than the built-in one")
    parser.add_argument("--policy", nargs="+", default=["samix-p"], help="what is timed")
    parser.add_argument("--output", type=Path, help="JSON file to write, with every round")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    images = torch.rand(arguments.batch, 3, arguments.size, arguments.size)
    target = torch.arange(arguments.batch) % CLASSES
    cutmix = v2.CutMix(num_classes=CLASSES)

    def mixed(policy: samix.Policy) -> None:
        plan = policy.plan(images)
        samix.blend(images, plan)
        samix.mix_targets(target, plan, CLASSES)

    timed: dict[str, Callable[[], object]] = {
        "torchvision CutMix": lambda: cutmix(images, target),
    }
    for name in arguments.policy:
        options = {"mixer": arguments.mixer} if name == "samix-p" else {}
        policy = samix.create_policy(name, **options)
        timed[f"{name}, masks"] = partial(policy.plan, images)
        timed[f"{name}, masks and mixing"] = partial(mixed, policy)
    seconds: dict[str, list[float]] = {name: [] for name in timed}
    for number in range(arguments.rounds + 3):
        for name, call in timed.items():
            begin = time.perf_counter()
            call()
            if number >= 3:  # the first rounds warm up
                seconds[name].append(time.perf_counter() - begin)
    base = statistics.median(seconds["torchvision CutMix"])
    print(
        f"{arguments.batch} x 3 x {arguments.size} x {arguments.size}, {arguments.threads} threads"
    )
    for name, values in seconds.items():
        low, middle, high = statistics.quantiles(values, n=4)
        print(
            f"{name:<32}{1e3 * middle:8.1f} ms  ({1e3 * low:.1f} to {1e3 * high:.1f})  "
            f"{middle / base:5.2f} x CutMix"
        )
    write_result(
        arguments.output,
        batch=arguments.batch,
        size=arguments.size,
        threads=arguments.threads,
        milliseconds={
            name: [round(1e3 * value, 3) for value in values] for name, values in seconds.items()
        },
    )


if __name__ == "__main__":
    main()
