"""Time of every policy beside torchvision and timm, on one batch, side by side in one run.

``python benchmarks/policies.py`` times on 64 x 3 x 224 x 224 with 2 threads: of each policy plan,
blending and targets of one batch, as multiples of a copy of the batch, which is the floor, and of
``torchvision.transforms.v2.MixUp`` and ``CutMix`` and ``timm.data.Mixup(mode="elem")``, whose lam
is drawn per sample, too. What a policy reads of a network is given; a policy that mixes inside the
network mixes such features. With ``--steps`` also whole training steps, as multiples of a plain
one: resnet18, and deit_tiny for policies that read attention.

``python benchmarks/policies.py --as-called`` times ``samix.BatchMix`` as a loop calls it, on images
and class numbers, beside the same two libraries in float32, bfloat16 and uint8: batches of 100 and
128 at 32 px and of 32 at 224 px, processor time of one thread. timm's ``mode="batch"``, its
default, draws one lam and one box for the whole batch; all of timm's write into the batch given.

Rounds are interleaved in changing order; shown is the least time of all rounds, which other work on
the machine disturbs least, and the median. ``--output benchmarks/results/policies`` writes .json
and .csv with the load of the machine before and after; use it on a quiet machine.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import json
import os
import platform
import random
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import timm
import torch
import torchvision
from timm.data import Mixup
from torch import Tensor
from torchvision.transforms import v2

import samix
from samix.evaluation.cost.settings import PLAIN, create_step
from samix.evaluation.cost.workload import TrainingStep, Workload
from samix.evaluation.embeddings import Machine
from samix.policies import Policy, policy_options

CLASSES = 1000
CHANNELS = 256  # of the features at the tap of a resnet18 at 224 px
GRID = 14  # of the tap, and of the patches of a transformer
PEERS = ("torchvision MixUp", "torchvision CutMix", "timm elem mixup", "timm elem cutmix")
COPY = "copy of the batch"
STATIC = ("mixup-cutmix", "resizemix", "smoothmix", "gridmix", "maskmix")


@dataclass
class Timed:
    """One thing that is timed, and its seconds in each round."""

    name: str
    call: Callable[[], object]
    seconds: list[float] = field(default_factory=list)

    @property
    def least(self) -> float:
        """Seconds of the quickest round."""
        return min(self.seconds)

    @property
    def median(self) -> float:
        """Seconds of the median round."""
        return statistics.median(self.seconds)


def limit_of(name: str, least: dict[str, float]) -> float | None:
    """Return the most seconds that a policy may take by its goal; None where there is none."""
    mixup, cutmix = least[PEERS[0]], least[PEERS[1]]
    if name == "mixup":
        return min(mixup, least[PEERS[2]])
    if name == "cutmix":
        return min(cutmix, least[PEERS[3]])
    if name in ("fmix", "saliencymix"):
        return 3.0 * mixup
    return 2.0 * mixup if name in STATIC else None


def main() -> None:
    """Measure, print tables, and write them where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--size", type=int, default=224, help="side of the images in px")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--policy", nargs="+", default=list(samix.POLICIES), help="what is timed")
    parser.add_argument("--steps", type=int, default=0, help="rounds of whole training steps (0)")
    parser.add_argument(
        "--as-called", action="store_true", help="static policies as loops call them"
    )
    parser.add_argument("--output", type=Path, help="files to write, without ending")
    arguments = parser.parse_args()
    unknown = sorted(set(arguments.policy) - set(samix.POLICIES))
    if unknown:
        parser.error(f"unknown --policy {', '.join(unknown)}; see samix policies")
    torch.set_num_threads(arguments.threads)
    load = os.getloadavg()[0]
    if arguments.as_called:
        called = list(called_rows(arguments.rounds))
        if arguments.output:
            write_table(arguments.output.with_suffix(".csv"), called)
        return
    rows = mixing_rows(arguments)
    print_mixing(rows, arguments)
    steps = step_rows(arguments) if arguments.steps else []
    for row in steps:
        print(f"{row['policy']:<20}{row['backbone']:<24}{row['over plain']:6.2f} x a plain step")
    if arguments.output:
        write(arguments, rows, steps, load)


CALLED = ("none", "mixup", "cutmix", "mixup-cutmix")
BATCHES = ((32, 100), (32, 128), (224, 32))  # side of the images in px, and how many


def called_rows(rounds: int) -> Iterator[dict[str, Any]]:
    """Yield, and print, processor time of static policies and their rivals as a loop calls them."""
    torch.set_num_threads(1)
    for dtype, (size, batch) in itertools.product(
        (torch.float32, torch.bfloat16, torch.uint8), BATCHES
    ):
        images = (torch.rand(batch, 3, size, size) * 255).to(dtype)
        images = images / 255 if dtype.is_floating_point else images
        timed = [entry for entry in called(images) if works(entry)]
        # a round takes ten times as long at 224 px
        count = rounds if size > 100 else 10 * rounds
        run_rounds(timed, count, warm_up=5, clock=time.process_time)
        for entry in timed:
            row = {
                "dtype": str(dtype).removeprefix("torch."),
                "px": size,
                "batch": batch,
                "name": entry.name,
                "least us": round(1e6 * entry.least),
                "median us": round(1e6 * entry.median),
            }
            print(*row.values(), sep="\t", flush=True)
            yield row


def called(images: Tensor) -> list[Timed]:
    """Return static policies and their rivals on a batch, with labels of ten classes."""
    target, own = torch.arange(len(images)) % 10, images.clone()
    shared: dict[str, Any] = {"num_classes": 10, "label_smoothing": 0.0}
    batch = {f"samix {name}": samix.BatchMix(name, 10) for name in CALLED}
    batch |= {
        "torchvision mixup": v2.MixUp(alpha=1.0, num_classes=10),
        "torchvision cutmix": v2.CutMix(alpha=1.0, num_classes=10),
    }
    timed = [Timed(name, partial(mix, images, target)) for name, mix in batch.items()]
    for mode in ("batch", "elem"):
        kinds = {"mixup": (1.0, 0.0), "cutmix": (0.0, 1.0), "mixup-cutmix": (0.8, 1.0)}
        for kind, (alpha, cut) in kinds.items():
            mix = Mixup(mixup_alpha=alpha, cutmix_alpha=cut, mode=mode, **shared)
            timed.append(Timed(f"timm {mode} {kind}", partial(mix, own, target)))
    return [*timed, Timed(COPY, images.clone)]


def works(entry: Timed) -> bool:
    """Say whether a transform takes images of this dtype at all."""
    try:
        for _ in range(5):  # timm's switch may take the other road
            entry.call()
    except (RuntimeError, TypeError):
        return False
    return True


def mixing_rows(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Return a row for each policy and peer: seconds and multiples."""
    images = torch.rand(arguments.batch, 3, arguments.size, arguments.size)
    target = torch.arange(arguments.batch) % CLASSES
    timed = [Timed(COPY, images.clone), *peers(images, target)]
    timed += [Timed(name, mixing(name, images, target)) for name in arguments.policy]
    run_rounds(timed, arguments.rounds, warm_up=2)
    least = {entry.name: entry.least for entry in timed}
    rows = []
    for entry in timed:
        limit = limit_of(entry.name, least)
        rows.append(
            {
                "name": entry.name,
                "least ms": 1e3 * entry.least,
                "median ms": 1e3 * entry.median,
                "over copy": entry.least / least[COPY],
                "over torchvision MixUp": entry.least / least[PEERS[0]],
                "goal ms": None if limit is None else 1e3 * limit,
                "within goal": None if limit is None else entry.least <= limit,
            }
        )
    return rows


def peers(images: Tensor, target: Tensor) -> list[Timed]:
    """Return the transforms of torchvision and timm on the batch."""
    # timm writes into the batch that it is given
    own = images.clone()
    shared: dict[str, Any] = {"mode": "elem", "num_classes": CLASSES, "label_smoothing": 0.0}
    mixes = {
        PEERS[0]: partial(v2.MixUp(alpha=1.0, num_classes=CLASSES), images, target),
        PEERS[1]: partial(v2.CutMix(alpha=1.0, num_classes=CLASSES), images, target),
        PEERS[2]: partial(Mixup(mixup_alpha=1.0, **shared), own, target),
        PEERS[3]: partial(Mixup(mixup_alpha=0.0, cutmix_alpha=1.0, **shared), own, target),
    }
    return [Timed(name, call) for name, call in mixes.items()]


def mixing(name: str, images: Tensor, target: Tensor) -> Callable[[], object]:
    """Return what a policy does with a batch: plan, blending and targets."""
    channels = {"channels": CHANNELS} if "channels" in policy_options(name) else {}
    policy = samix.create_policy(name, **channels)
    evidence = evidence_for(policy, images)
    generator = torch.Generator().manual_seed(0)
    if policy.traits.sources == "history":
        policy.after(images, torch.nn.functional.one_hot(target, CLASSES).float())
    features = torch.rand(len(images), 512, 7, 7)

    @torch.no_grad()
    def call() -> tuple[Tensor, Tensor]:
        plan = policy.plan(images, target=target, evidence=evidence, generator=generator)
        inside = policy.mix_inside(generator)
        mixed = samix.blend(images, plan) if inside is None else inside.mix(features, plan)
        return mixed, samix.mix_targets(target, plan, CLASSES)

    return call


def evidence_for(policy: Policy, images: Tensor) -> samix.Evidence:
    """Return stand-ins of what a policy reads of a network, of the sizes of a resnet18."""
    count, shares = len(images), torch.rand(len(images), 1, GRID, GRID)
    known = {
        "features": torch.rand(count, CHANNELS, GRID, GRID),
        "gradient": torch.rand(count, 1, *images.shape[2:]),
        "activation": shares / shares.sum((2, 3), keepdim=True),
        "attention": shares / shares.sum((2, 3), keepdim=True),
    }
    return samix.Evidence(**{need: known[need] for need in policy.traits.needs})


def run_rounds(
    timed: Sequence[Timed],
    rounds: int,
    *,
    warm_up: int,
    clock: Callable[[], float] = time.perf_counter,
) -> None:
    """Time everything once a round, in an order that changes from round to round."""
    order, shuffle = list(timed), random.Random(0)
    for number in range(rounds + warm_up):
        shuffle.shuffle(order)
        for entry in order:
            begin = clock()
            entry.call()
            if number >= warm_up:
                entry.seconds.append(clock() - begin)


def step_rows(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Return a row for each policy: its training step over a plain one of the same network."""
    rows, attended, others = [], [], []
    for name in arguments.policy:
        channels = {"channels": CHANNELS} if "channels" in policy_options(name) else {}
        traits = samix.create_policy(name, **channels).traits
        reads = traits.label == "attention" or "attention" in traits.needs
        (attended if reads else others).append(name)
    for backbone, names in (("resnet18", others), ("deit_tiny_patch16_224", attended)):
        if not names:
            continue
        workload = Workload(
            backbone=backbone, image_size=arguments.size, batch_size=arguments.batch, classes=100
        )
        timed = [Timed(name, step_of(name, workload)) for name in (PLAIN, *names)]
        run_rounds(timed, arguments.steps, warm_up=1)
        plain = timed[0]
        rows += [
            {
                "policy": entry.name,
                "backbone": backbone,
                "least s": entry.least,
                "median s": entry.median,
                "over plain": entry.median / plain.median,
            }
            for entry in timed
        ]
    return rows


def step_of(name: str, workload: Workload) -> TrainingStep:
    """Return a training step of a policy."""
    return create_step("samix-full" if name == "samix" else name, workload, Machine())


def print_mixing(rows: Sequence[dict[str, Any]], arguments: argparse.Namespace) -> None:
    """Print the table of mixing times."""
    side = arguments.size
    print(f"{arguments.batch} x 3 x {side} x {side}, {arguments.threads} threads")
    print(f"{'':<20}{'least':>10}{'median':>10}{'over copy':>11}{'over MixUp':>12}  goal")
    for row in rows:
        goal = ""
        if row["goal ms"] is not None:
            goal = f"{'kept' if row['within goal'] else 'MISSED'} ({row['goal ms']:.0f} ms)"
        print(
            f"{row['name']:<20}{row['least ms']:7.0f} ms{row['median ms']:7.0f} ms"
            f"{row['over copy']:11.2f}{row['over torchvision MixUp']:12.2f}  {goal}"
        )


def write(
    arguments: argparse.Namespace,
    rows: Sequence[dict[str, Any]],
    steps: Sequence[dict[str, Any]],
    load: float,
) -> None:
    """Write the numbers, and what they were measured on."""
    record = {
        "date": date.today().isoformat(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "load": [load, os.getloadavg()[0]],
        "versions": {
            "samix": samix.__version__,
            "torch": torch.__version__,
            "torchvision": torchvision.__version__,
            "timm": timm.__version__,
        },
        "batch": [arguments.batch, 3, arguments.size, arguments.size],
        "threads": arguments.threads,
        "rounds": arguments.rounds,
        "mixing": list(rows),
        "steps": list(steps),
    }
    path = arguments.output.with_suffix(".json")
    path.write_text(json.dumps(record, indent=2) + "\n")
    write_table(arguments.output.with_suffix(".csv"), rows)
    print(f"wrote {path} and .csv")


def write_table(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write rows with the same keys."""
    with path.open("w", newline="") as file:
        table = csv.DictWriter(file, list(rows[0]))
        table.writeheader()
        table.writerows(rows)


if __name__ == "__main__":
    main()
