"""Step time and peak memory of SAMix over plain training, side by side.

``python benchmarks/step_time.py``: small-stem resnet18, 32 pixels, batch 100, float32; with
``--method moco`` self-supervised, over a plain loop of MoCo v2. Steps of all settings are
interleaved in one process; each ratio is the median over the rounds of the ratio to the plain step
of the same round, with the quartiles. Memory is measured in a fresh process a setting: the highest
resident size minus the one after imports, data and model.
"""

from __future__ import annotations

import argparse
import copy
import json
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from lightly.models.modules.heads import MoCoProjectionHead

import samix
from samix.networks import create_backbone, update_average

SETTINGS: dict[str, dict[str, object]] = {
    "plain": {},
    "plain channels-last": {},
    "none": {"policy": "none"},
    "mixup": {"policy": "mixup"},
    "cutmix": {"policy": "cutmix"},
    "samix": {"policy": "samix"},
    "samix + clean branch": {"policy": "samix", "clean_branch": True},
}


def make_step(setting: str, arguments: argparse.Namespace) -> Callable[[], None]:
    """Return a function that does one whole training step of a setting."""
    torch.manual_seed(0)
    if arguments.method == "moco":
        return make_moco_step(setting, arguments)
    stem = "small" if arguments.image_size <= 64 else None
    images = torch.randn(arguments.batch, 3, arguments.image_size, arguments.image_size)
    target = torch.randint(0, 10, (arguments.batch,))
    common = {"num_classes": 10, "stem": stem, "image_size": arguments.image_size}
    if setting.startswith("plain"):  # what a person writes without samix
        model = create_backbone(arguments.backbone, **common)  # type: ignore[arg-type]
        if setting != "plain":
            model.to(memory_format=torch.channels_last)
            images = images.contiguous(memory_format=torch.channels_last)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)

        def plain_step() -> None:
            F.cross_entropy(model(images), target).backward()
            optimizer.step()
            optimizer.zero_grad()

        return plain_step
    method = samix.create_method(
        "supervised", backbone=arguments.backbone, **common, **SETTINGS[setting]
    )
    optimizer = torch.optim.SGD(method.parameter_groups(lr=0.1), momentum=0.9)

    def step() -> None:
        method(images, target).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        method.update_momentum()

    return step


def make_moco_step(setting: str, arguments: argparse.Namespace) -> Callable[[], None]:
    """Return a function that does one whole step of MoCo v2, plain or by samix."""
    size, batch = arguments.image_size, arguments.batch
    first, second = torch.randn(2, batch, 3, size, size)
    common: dict[str, Any] = {"stem": "small" if size <= 64 else None, "image_size": size}
    if setting.startswith("plain"):
        backbone = create_backbone(arguments.backbone, num_classes=0, **common)
        encoder = torch.nn.Sequential(backbone, MoCoProjectionHead(512, 512, 128))
        if setting != "plain":
            encoder.to(memory_format=torch.channels_last)
            first, second = (
                view.contiguous(memory_format=torch.channels_last) for view in (first, second)
            )
        average = copy.deepcopy(encoder).requires_grad_(False)
        queue = F.normalize(torch.randn(4096, 128), dim=1)
        optimizer = torch.optim.SGD(encoder.parameters(), lr=0.03, momentum=0.9)

        def plain_step() -> None:
            with torch.no_grad():
                key = F.normalize(average(second), dim=1)
            query = F.normalize(encoder(first), dim=1)
            logits = torch.cat([(query * key).sum(1, keepdim=True), query @ queue.t()], dim=1)
            F.cross_entropy(logits / 0.2, torch.zeros(batch, dtype=torch.int64)).backward()
            queue[:batch] = key
            optimizer.step()
            optimizer.zero_grad()
            update_average(average, encoder, 0.99)

        return plain_step
    method = samix.create_method("moco", backbone=arguments.backbone, **common, **SETTINGS[setting])
    optimizer = torch.optim.SGD(method.parameter_groups(lr=0.03), momentum=0.9)

    def step() -> None:
        method((first, second)).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        method.update_momentum()

    return step


def measure_time(arguments: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Return for each setting the median step time in ms, and its ratio to plain with quartiles."""
    steps = {name: make_step(name, arguments) for name in arguments.settings}
    rounds: list[dict[str, float]] = []
    for _ in range(arguments.rounds + 2):
        seconds = {}
        for name, step in steps.items():
            start = time.perf_counter()
            step()
            seconds[name] = time.perf_counter() - start
        rounds.append(seconds)
    rounds = rounds[2:]  # the first two warm up
    result = {}
    for name in steps:
        ratios = [one[name] / one["plain"] for one in rounds]
        low, middle, high = statistics.quantiles(ratios, n=4)
        result[name] = {
            "milliseconds": 1000 * statistics.median(one[name] for one in rounds),
            "time_ratio": middle,
            "time_ratio_low": low,
            "time_ratio_high": high,
        }
    return result


def resident(field: str) -> float:
    """Return a memory field of this process in MiB (Linux)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"{field} is not in /proc/self/status; memory is measured on Linux only")


def memory_of_one(setting: str, arguments: argparse.Namespace) -> float:
    """Return in this process the peak minus the level before the first step, in MiB."""
    step = make_step(setting, arguments)
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
    before = resident("VmRSS")
    for _ in range(4):
        step()
    return resident("VmHWM") - before


def measure_memory(arguments: argparse.Namespace) -> dict[str, float]:
    """Return the peak of each setting, each in a fresh process, in MiB."""
    peaks = {}
    for setting in arguments.settings:
        command = [sys.executable, __file__, "--child", setting]
        command += [
            f"--{name}={getattr(arguments, name)}" for name in ("backbone", "batch", "method")
        ]
        command += [f"--image-size={arguments.image_size}", f"--threads={arguments.threads}"]
        output = subprocess.run(command, check=True, capture_output=True, text=True)
        peaks[setting] = float(output.stdout)
    return peaks


def main() -> None:
    """Measure, print a table, and write it where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backbone", default="resnet18")
    parser.add_argument("--method", default="supervised", choices=["supervised", "moco"])
    parser.add_argument("--image-size", type=int, default=32)
    parser.add_argument("--batch", type=int, default=100)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--settings", nargs="+", default=list(SETTINGS), choices=list(SETTINGS))
    parser.add_argument("--no-memory", action="store_true")
    parser.add_argument("--output", type=Path, help="JSON file to write")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.child:
        print(memory_of_one(arguments.child, arguments))
        return
    rows = measure_time(arguments)
    if not arguments.no_memory:
        peaks = measure_memory(arguments)
        for name, row in rows.items():
            row |= {"mebibytes": peaks[name], "memory_ratio": peaks[name] / peaks["plain"]}
    print(f"{'':22}{'ms':>8}{'time':>8}  {'quartiles':15}{'MiB':>8}{'memory':>8}")
    for name, row in rows.items():
        spread = f"{row['time_ratio_low']:.2f} to {row['time_ratio_high']:.2f}"
        memory = f"{row['mebibytes']:8.0f}{row['memory_ratio']:8.2f}" if "mebibytes" in row else ""
        print(f"{name:22}{row['milliseconds']:8.0f}{row['time_ratio']:8.2f}  {spread:15}{memory}")
    if arguments.output:
        setup = {key: str(value) for key, value in vars(arguments).items() if key != "child"}
        hardware = (
            f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads"
        )
        document = {
            "date": date.today().isoformat(),
            "hardware": hardware,
            "torch": torch.__version__,
            "setup": setup,
            "rows": rows,
        }
        arguments.output.write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()
