"""The yardstick: mixing policies on CIFAR-10 with 2,000 labels, at equal steps and equal wall time.

Run it as ``python benchmarks/yardstick.py free samix wall long controls why vit fast
fast-wall without-cifar cost every objective ideas guard catalogue catalogue-vit frozen``; on a GPU
with ``--device cuda``, an output file of its own, and also ``rivals vit-long whole``; see
``--help``.
What the cells are stands in ``yardstick_cells.py``.
A cell is one training; a finished cell is one row, and a second run skips what is finished. Several
processes may share one output file; each takes the next cell that no other is at.

200 labels a class from the train files (4,500 in the cells of ``whole``), 200 other train photos of
each for validation, the whole test set. A policy's alpha is chosen from one short list by the
validation accuracy at seed 0, never by the test columns. Training and evaluation run under bfloat16
autocast; on a CPU without instructions for it that takes ten times as long, so that ``--precision
32`` is better there, with an output file of its own: the rounding changes a cell as much as a seed
does. "Equal wall time" gives the free policies as many epochs as SAMix's time allows.
"""

from __future__ import annotations

import io
import json
import math
import time
from copy import deepcopy
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor
from torch.optim.swa_utils import update_bn

import samix
from cells import add_choices, add_places, file_name, parser_of, run_missing, wanted
from ideas import IDEAS
from stepping import batches, learn
from yardstick_cells import GROUPS, Cell, planned

MEAN = torch.tensor([0.4914, 0.4822, 0.4465]).view(1, 3, 1, 1)
DEVIATION = torch.tensor([0.2470, 0.2435, 0.2616]).view(1, 3, 1, 1)
RESNET = {
    "backbone": "resnet18",
    "stem": "small",
    "model_kwargs": {
        "layers": (1, 1, 1, 1),
        "channels": (16, 32, 64, 128),
        "stem_type": "deep",
        "stem_width": 8,
    },
}
VIT = {
    "backbone": "vit_tiny_patch16_224",
    "stem": "small",
    "image_size": 32,
    "model_kwargs": {"depth": 6, "embed_dim": 96, "num_heads": 3},
}


NETWORKS: dict[str, dict[str, Any]] = {
    "resnet": RESNET,
    "resnet18": {"backbone": "resnet18", "stem": "small"},
    "vit": VIT,
}
BATCH = {"resnet": 100, "resnet18": 250, "vit": 100}
Part = tuple[Tensor, Tensor]


def load_cifar(
    folder: Path, seed: int, *, labels: int = 200, device: str = "cpu"
) -> dict[str, Part]:
    """Return train (``labels`` a class), val (200 a class) and test: uint8 images, targets."""
    train = pd.read_parquet(folder / "train-00000-of-00001.parquet")
    test = pd.read_parquet(folder / "test-00000-of-00001.parquet")
    order = np.random.default_rng(seed).permutation(len(train))
    classes = train["label"].to_numpy()[order]
    rank = np.zeros(len(order), dtype=int)
    for label in range(10):
        rank[classes == label] = np.arange((classes == label).sum())
    parts = {
        "train": train.iloc[order[rank < labels]],
        "val": train.iloc[order[(rank >= labels) & (rank < labels + 200)]],
        "test": test,
    }
    found = {name: decode(rows) for name, rows in parts.items()}
    return {name: (x.to(device), y.to(device)) for name, (x, y) in found.items()}


def decode(rows: pd.DataFrame) -> Part:
    """Return the photos of a CIFAR-10 table as (N,3,32,32) uint8, and their classes."""
    images = [
        np.asarray(Image.open(io.BytesIO(cell["bytes"])).convert("RGB")) for cell in rows["image"]
    ]
    pixels = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)
    return pixels.contiguous(), torch.tensor(rows["label"].to_numpy())


def augment(pixels: Tensor, generator: torch.Generator) -> Tensor:
    """Shift by up to four pixels with reflected borders, flip, and normalise a uint8 batch."""
    batch = F.pad(pixels.float(), (4, 4, 4, 4), mode="reflect").permute(0, 2, 3, 1)
    corner = torch.randint(0, 9, (2, len(batch), 1), generator=generator)
    flip = torch.rand(len(batch), 1, generator=generator) < 0.5
    along = torch.arange(32)
    rows, columns = corner[0] + along, corner[1] + torch.where(flip, along.flip(0), along)
    sample = torch.arange(len(batch)).view(-1, 1, 1)
    place = (sample, rows.unsqueeze(2), columns.unsqueeze(1))
    batch = batch[tuple(part.to(batch.device) for part in place)]
    return normalise(batch.permute(0, 3, 1, 2))


def normalise(pixels: Tensor) -> Tensor:
    """Return a batch of 0 to 255 with zero mean and unit deviation, channels last."""
    batch = (pixels.float() / 255 - MEAN.to(pixels.device)) / DEVIATION.to(pixels.device)
    return batch.to(memory_format=torch.channels_last)


@torch.no_grad()
def accuracy(network: torch.nn.Module, data: Part, *, bfloat16: bool = True) -> float:
    """Return the top-1 accuracy in per cent."""
    network.eval()
    with torch.autocast(data[0].device.type, torch.bfloat16, enabled=bfloat16):
        hits = [
            network(normalise(x)).argmax(1).eq(y)
            for x, y in zip(*(part.split(500) for part in data), strict=True)
        ]
    network.train()
    return 100 * torch.cat(hits).float().mean().item()


def clock(device: torch.device) -> float:
    """Return the processor time of this thread, or on a GPU the time when all work is done."""
    if device.type == "cpu":  # wall time on a free core, whatever else the machine does
        return time.process_time()
    torch.cuda.synchronize(device)
    return time.perf_counter()


def run(
    cell: Cell, data: dict[str, Part], log: Path | None, *, bfloat16: bool = True
) -> dict[str, Any]:
    """Train one cell and return its row."""
    images, target = data["train"]
    batch, device = BATCH[cell.network], images.device
    steps = cell.epochs * (len(images) // batch)
    torch.manual_seed(cell.seed)
    method = samix.create_method(
        "supervised",
        num_classes=10,
        policy=cell.policy,
        steps=steps,
        seed=cell.seed,
        **NETWORKS[cell.network],
        **{"cost": "full", "clean_branch": "off", **cell.options},
    ).to(device, memory_format=torch.channels_last)
    if cell.idea is not None:
        IDEAS[cell.idea](method)
    if cell.network == "vit":
        groups = method.parameter_groups(1e-3, weight_decay=0.05, mixer_lr=cell.mixer_lr)
        optimizer: Any = torch.optim.AdamW(groups)
    else:
        groups = method.parameter_groups(0.1, weight_decay=5e-4, mixer_lr=cell.mixer_lr)
        optimizer = torch.optim.SGD(groups, momentum=0.9, nesterov=True)
    warm = max(steps // 20, 1)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda t: min((t + 1) / warm, 0.5 * (1 + math.cos(math.pi * t / steps)))
    )
    generator = torch.Generator().manual_seed(cell.seed)
    signs: list[dict[str, float]] = []
    probe = normalise(images[:: len(images) // 200]), target[:: len(images) // 200]
    start, measured = clock(device), 0.0
    for step, pick in enumerate(batches(len(images), batch, steps, generator)):
        shown = augment(images[pick], generator)
        loss = learn(method, optimizer, schedule, shown, target[pick], bfloat16=bfloat16)
        if (step + 1) % max(steps // 20, 1) == 0:
            pause = clock(device)
            values = {name: value.item() for name, value in method.signs_of_life(*probe).items()}
            signs.append({"step": step + 1, "loss": loss.item(), **values})
            measured += clock(device) - pause
    seconds = clock(device) - start - measured
    if log is not None:
        log.mkdir(parents=True, exist_ok=True)
        (log / f"{file_name(cell)}.json").write_text(json.dumps(signs, indent=1))
    average = method.average.module if method.average is not None else None
    early = signs[1]  # after 10 % of the steps
    judged = partial(accuracy, bfloat16=bfloat16)
    return {
        "cell": cell.name,
        "policy": cell.policy,
        "seed": cell.seed,
        "network": cell.network,
        "epochs": cell.epochs,
        "steps": steps,
        "options": json.dumps(cell.options, default=str),
        "seconds": round(seconds, 1),
        "val": round(judged(method.encoder, data["val"]), 2),
        "test": round(judged(method.encoder, data["test"]), 2),
        "val_average": round(judged(average, data["val"]), 2) if average is not None else "",
        "test_average": round(judged(average, data["test"]), 2) if average is not None else "",
        "mask_deviation_10": round(early["mask_deviation"], 3) if "mask_deviation" in early else "",
        "correlation_10": round(early["area_lam_correlation"], 3)
        if "mask_deviation" in early
        else "",
        "mask_deviation_end": round(signs[-1]["mask_deviation"], 3)
        if "mask_deviation" in early
        else "",
        "test_remeasured": round(judged(remeasured(method.encoder, images), data["test"]), 2),
    }


def remeasured(network: torch.nn.Module, images: Tensor) -> torch.nn.Module:
    """Return a copy whose batch-norm statistics are those of clean images as they are.

    Args:
        network: Trained on mixes.
        images: (N,3,32,32) uint8.
    """
    copy = deepcopy(network)
    update_bn((normalise(part) for part in images.split(100)), copy)
    return copy


def main() -> None:
    """Run the cells that are still missing."""
    parser = parser_of(__doc__)
    parser.add_argument("groups", nargs="+", choices=GROUPS)
    add_places(parser, "yardstick")
    add_choices(parser)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu", help="of torch, such as cuda (cpu)")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)

    @lru_cache
    def photos(seed: int, labels: int) -> dict[str, Part]:
        return load_cifar(arguments.data, seed, labels=labels, device=arguments.device)

    def plan(rows: pd.DataFrame) -> list[Cell]:
        cells = planned(rows, arguments.groups, arguments.seeds)
        return [cell for cell in cells if wanted(arguments, cell)]

    def work(cell: Cell) -> dict[str, Any]:
        data = photos(cell.seed, cell.labels)
        return run(cell, data, arguments.log, bfloat16=arguments.precision == "bf16")

    run_missing(plan, work, arguments)


if __name__ == "__main__":
    main()
