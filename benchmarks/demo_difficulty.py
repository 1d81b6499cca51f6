"""How hard the demo's photos are: test accuracy with all labels and with few.

A small ResNet (resnet18 with one block a stage, 16 to 128 channels, 3x3 stem) is trained without
mixing, at the image size of the demo, for a fixed number of steps. The best epoch is chosen on
validation. Run with `--help` for the options; results go to benchmarks/results/demo_difficulty.csv.
"""

from __future__ import annotations

import argparse
import csv
import time
from dataclasses import replace
from pathlib import Path

import timm
import torch
from torch.nn import functional

from samix.data import (
    DEMO_IMAGE_SIZE,
    Loading,
    build_loaders,
    eval_view,
    labelled_subset,
    make_splits,
    open_images,
    train_view,
)
from samix.networks import small_stem

RESULTS = Path(__file__).parent / "results" / "demo_difficulty.csv"
COLUMNS = (
    "spec",
    "image_size",
    "labels_per_class",
    "seed",
    "steps",
    "train_photos",
    "test_photos",
    "test_accuracy",
    "cpu_seconds",
)


def build_network(classes: int, seed: int) -> torch.nn.Module:
    """Return the small ResNet."""
    torch.manual_seed(seed)
    model = timm.create_model(
        "resnet18", num_classes=classes, layers=(1, 1, 1, 1), channels=(16, 32, 64, 128)
    )
    small_stem(model)
    return model


@torch.no_grad()
def accuracy(model: torch.nn.Module, loader: torch.utils.data.DataLoader) -> float:
    """Return the share of photos whose class is found."""
    model.eval()
    right = [model(images).argmax(1) == target for images, target in loader]
    model.train()
    return torch.cat(right).double().mean().item()


def run(args: argparse.Namespace, labels: int | None, seed: int) -> dict[str, object]:
    """Train once and return one row of the table."""
    start = time.process_time()
    images = open_images(args.spec)
    splits = make_splits(images, seed=seed)
    splits = replace(
        splits, train=labelled_subset(images, splits, labels_per_class=labels, seed=seed)
    )
    loaders = build_loaders(
        images,
        splits,
        train=train_view(args.image_size),
        evaluation=eval_view(args.image_size),
        batch_size=min(args.batch_size, len(splits.train)),
        loading=Loading(seed=seed),
    )
    model = build_network(len(images.classes), seed)
    optimizer = torch.optim.SGD(
        model.parameters(), lr=args.lr, momentum=0.9, weight_decay=5e-4, nesterov=True
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, args.lr, total_steps=args.steps, pct_start=0.2
    )
    best, test, step, epoch = -1.0, 0.0, 0, 0
    every = max(1, args.steps // 20)
    while step < args.steps:
        loaders.train.sampler.set_epoch(epoch)
        epoch += 1
        for batch, target in loaders.train:
            loss = functional.cross_entropy(model(batch), target)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            step += 1
            if step % every == 0 or step == args.steps:
                chosen = accuracy(model, loaders.val)
                if chosen >= best:
                    best, test = chosen, accuracy(model, loaders.test)
            if step == args.steps:
                break
    return {
        "spec": args.spec,
        "image_size": args.image_size,
        "labels_per_class": "all" if labels is None else labels,
        "seed": seed,
        "steps": args.steps,
        "train_photos": len(splits.train),
        "test_photos": len(splits.test),
        "test_accuracy": f"{test:.4f}",
        "cpu_seconds": f"{time.process_time() - start:.1f}",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spec", default="demo")
    parser.add_argument("--image-size", type=int, default=DEMO_IMAGE_SIZE)
    parser.add_argument(
        "--labels", nargs="+", default=["all", "10"], help="all or a number a class"
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--lr", type=float, default=0.1)
    parser.add_argument("--output", type=Path, default=RESULTS)
    args = parser.parse_args()
    torch.set_num_threads(1)
    args.output.parent.mkdir(parents=True, exist_ok=True)
    with args.output.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        for labels in args.labels:
            for seed in args.seeds:
                row = run(args, None if labels == "all" else int(labels), seed)
                writer.writerow(row)
                file.flush()
                print(*(f"{name}={row[name]}" for name in COLUMNS), flush=True)


if __name__ == "__main__":
    main()
