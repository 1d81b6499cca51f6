"""Step time and peak memory of mixing over plain training, by the code of ``samix bench``.

``python benchmarks/step_time.py --output FILE`` measures small-stem resnet18 at 32 pixels (batch
100), resnet18 at 96 and vit_tiny_patch16_224 at 96 (batch 32 each), in float32, first supervised
and then with MoCo v2; with ``--backbone`` that network alone, with ``--method`` that method alone.
``--device cuda`` measures under bfloat16 autocast and in channels-last, and adds resnet50 and
vit_small_patch16_224 at 224 pixels, batch 64. The file is written anew after each configuration.
See docs/bench.md for how it is measured. On a machine that others use too, ``--processor`` takes
the processor time of one step of each in turn instead, and shows the median of the ratios over the
plain loop in channels-last; ``tf_efficientnet_lite0`` at 128 pixels is measured as well.
``--parts`` says where the processor time of fast SAMix goes, beside mixup with the same clean
images.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

import samix
from samix.cli.bench import print_costs, summary_sentence
from samix.evaluation import CostOptions, Workload, measure_cost
from samix.evaluation.cost.settings import PLAIN_CHANNELS_LAST, create_step
from samix.evaluation.cost.workload import TrainingStep
from samix.evaluation.embeddings import Machine
from samix.policies import POLICIES
from stepping import ratios_in_turn, write_result

CONFIGURATIONS = (
    Workload(backbone="resnet18", stem="small", image_size=32, batch_size=100),
    Workload(backbone="resnet18", image_size=96, batch_size=32),
    Workload(backbone="vit_tiny_patch16_224", image_size=96, batch_size=32),
)
LITE = Workload(backbone="tf_efficientnet_lite0", image_size=128, batch_size=32)
LARGE = (
    Workload(backbone="resnet50", image_size=224, batch_size=64),
    Workload(backbone="vit_small_patch16_224", image_size=224, batch_size=64),
)
SETTINGS = [
    "none", "cutmix", "samix-p", "samix-fast", "samix-seldom", "samix-full",
    "samix-full + clean branch",
]  # fmt: skip


def configurations(arguments: argparse.Namespace) -> Iterator[Workload]:
    """Yield what is asked for, supervised first."""
    wanted = CONFIGURATIONS if arguments.device == "cpu" else CONFIGURATIONS + LARGE
    if arguments.backbone:
        size = arguments.image_size or 32
        stem = "small" if size <= 64 else None
        wanted = (Workload(backbone=arguments.backbone, stem=stem, image_size=size),)
    for method in [arguments.method] if arguments.method else ["supervised", "moco"]:
        for work in wanted:
            yield replace(work, method=method, batch_size=arguments.batch or work.batch_size)


def processor_ratios(work: Workload, settings: list[str], rounds: int) -> dict[str, list[float]]:
    """Return quartiles of the processor time of a step over that of the plain loop, by setting."""
    torch.manual_seed(work.seed)
    steps = {name: create_step(name, work, Machine()) for name in (PLAIN_CHANNELS_LAST, *settings)}

    def spent(step: TrainingStep) -> float:
        begin = time.process_time()
        step()
        return time.process_time() - begin

    turns = {name: partial(spent, step) for name, step in steps.items()}
    ratios = ratios_in_turn(turns, PLAIN_CHANNELS_LAST, rounds)
    return {name: statistics.quantiles(ratios[name], n=4) for name in settings}


PARTS = {
    "_clean_pass": "clean pass",
    "_plans": "masks",
    "_mixer_loss": "judging the Mixer",
    "_encoder_loss": "mixed pass",
}  # functions of a supervised method, and what they do
BESIDE: dict[str, dict[str, Any]] = {
    "mixup": {"policy": "mixup", "clean_branch": True},
    "samix-fast": {"policy": "samix"},
}


def timed(call: Callable[..., Any], seconds: list[float]) -> Callable[..., Any]:
    """Return a function that notes the processor time of each of its calls."""

    def clocked(*given: Any, **named: Any) -> Any:
        begin = time.process_time()
        result = call(*given, **named)
        seconds.append(time.process_time() - begin)
        return result

    return clocked


def clocked_step(
    work: Workload, setting: dict[str, Any], bfloat16: bool
) -> tuple[Callable[[], None], dict[str, list[float]]]:
    """Return a training step, and the seconds of its parts, which grow with every call."""
    torch.manual_seed(0)
    size, spent = work.image_size, defaultdict[str, list[float]](list)
    images, target = torch.randn(work.batch_size, 3, size, size), torch.arange(work.batch_size) % 10
    sized = {} if work.stem or "vit" not in work.backbone else {"image_size": size}
    method = samix.create_method(
        "supervised", backbone=work.backbone, stem=work.stem, num_classes=10, **sized, **setting
    )
    samix.networks.settle_weights(method)  # as a run has them
    for function, part in PARTS.items():
        setattr(method, function, timed(getattr(method, function), spent[part]))
    optimizer = torch.optim.SGD(method.parameter_groups(0.01), momentum=0.9, foreach=True)

    def forward() -> Any:
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            return method(images, target).loss

    calls = {"optimiser": optimizer.step, "average": method.update_momentum}

    def step() -> None:
        loss = forward()
        timed(loss.backward, spent["backward"])()
        for name, call in calls.items():
            timed(call, spent[name])()
        optimizer.zero_grad()

    return timed(step, spent["step"]), spent


def part_times(work: Workload, rounds: int, bfloat16: bool) -> dict[str, dict[str, float]]:
    """Return the least processor seconds of each part of a step, by setting, taken in turn."""
    steps = {name: clocked_step(work, setting, bfloat16) for name, setting in BESIDE.items()}
    for _ in range(rounds + 1):
        for step, _ in steps.values():
            step()
    return {
        name: {part: min(seconds[1:]) for part, seconds in spent.items() if seconds}
        for name, (_, spent) in steps.items()
    }


def print_parts(arguments: argparse.Namespace, console: Console) -> None:
    """Measure and print the parts of every configuration, in float32 and under bfloat16."""
    results = []
    for work, bfloat16 in product(configurations(arguments), (False, True)):
        if work.supervised:
            found = part_times(work, arguments.steps, bfloat16)
            named = {"backbone": work.backbone, "image_size": work.image_size}
            results.append({**named, "bfloat16": bfloat16, "seconds": found})
            console.print(results[-1])
            write_result(arguments.output, rounds=arguments.steps, parts=results)


def main() -> None:
    """Measure, print tables, and write them where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backbone", help="this timm model instead of the three configurations")
    parser.add_argument("--method", choices=["supervised", "moco", "simclr", "byol", "mocov3"])
    parser.add_argument("--image-size", type=int, help="with --backbone (32)")
    parser.add_argument("--batch", type=int, help="photos in a step")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, default=32)
    parser.add_argument("--settings", nargs="+", default=SETTINGS)
    parser.add_argument("--device", default="cpu", help="of torch, such as cuda (cpu)")
    parser.add_argument("--no-memory", action="store_true")
    parser.add_argument("--processor", action="store_true", help="ratios of processor time alone")
    parser.add_argument("--parts", action="store_true", help="where the time of a step goes")
    parser.add_argument("--output", type=Path, help="JSON file to write")
    arguments = parser.parse_args()
    if arguments.image_size and not arguments.backbone:
        parser.error("--image-size goes with --backbone")
    torch.set_num_threads(arguments.threads)
    console, results = Console(highlight=False), []
    on_cpu = arguments.device == "cpu"
    machine = Machine(arguments.device, None if on_cpu else torch.bfloat16)
    if arguments.settings is SETTINGS:  # also where there is no built-in Mixer
        arguments.settings = [s for s in SETTINGS if s != "samix-p" or s in POLICIES]
    if arguments.parts:
        print_parts(arguments, console)
        return
    if arguments.processor:
        works = [work for work in configurations(arguments) if work.supervised]
        for work in works if arguments.backbone else [LITE, *reversed(works)]:
            found = processor_ratios(work, arguments.settings, arguments.steps)
            named = {"backbone": work.backbone, "image_size": work.image_size}
            results.append({**named, "batch_size": work.batch_size, "quartiles": found})
            console.print(results[-1])
            write_result(
                arguments.output, rounds=arguments.steps, over=PLAIN_CHANNELS_LAST, ratios=results
            )
        return
    for work in configurations(arguments):
        options = CostOptions(
            workload=work,
            settings=tuple(arguments.settings),
            steps=arguments.steps,
            threads=arguments.threads,
            memory=False if arguments.no_memory else None,
            channels_last=None if on_cpu else True,
        )
        result = measure_cost(options, machine=machine)
        result["summary"] = summary_sentence(result)
        results.append(result)
        console.print(f"\n{work.backbone} ({work.method}), {work.image_size} px")
        print_costs(result, console)
        write_result(arguments.output, configurations=results)


if __name__ == "__main__":
    main()
