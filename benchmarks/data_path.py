"""How long `samix check` and `samix train` take on large JPEG photos, for two source trees in turn.

    python benchmarks/data_path.py draw /tmp/photos               # 3,000 photos of 1,000 px
    python benchmarks/data_path.py time /tmp/photos src OLD/src   # prints one row a run
    python benchmarks/data_path.py time /tmp/photos src --loop    # beside a plain loop of timm

Each run has a cache folder of its own, so that nothing is known from before. A processor time is
that of the command and of all processes that it starts. The plain loop is what one writes with
timm: its loader with a worker for each core, its augmentation, the same network, batch, epochs and
looks at validation; it reads every photo anew in every epoch.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, cast

import timm
import torch
from PIL import Image
from timm.data import ImageDataset, create_loader
from torch.nn import functional
from torch.utils.data import Subset

from samix.data import open_images

_DRAWN = 250  # px: photos of the demo are drawn so large and enlarged, which draws 3,000 in minutes
COMMANDS = {
    "check": ("check", "--output", "{out}"),
    "train": (
        *("train", "--policy", "none", "--epochs", "10", "--image-size", "128"),
        *("--backbone", "lcnet_035", "--output", "{out}"),
    ),
    "loop": (),
}


_OURS = [name for name in COMMANDS if name != "loop"]


def draw(folder: Path, photos: int, side: int) -> None:
    """Write photos of the demo as JPEG files in class folders.

    Args:
        folder: Where to; made anew.
        photos: How many, of all classes together.
        side: Their side in px.
    """
    classes = len(open_images(f"demo:photos_per_class=1,size={_DRAWN},views=1").classes)
    images = open_images(f"demo:photos_per_class={-(-photos // classes)},size={_DRAWN}")
    for i, target in enumerate(images.targets[:photos]):
        path = folder / images.classes[target] / f"{i:05d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        images.read(i).resize((side, side), Image.Resampling.BICUBIC).save(path, quality=90)


def plain_loop(folder: Path) -> None:
    """Train as `samix train` does here, with timm's loader in a loop of one's own."""
    data = ImageDataset(folder, reader="folder")
    order = torch.randperm(len(data), generator=torch.Generator().manual_seed(0)).tolist()
    test, val = len(data) // 5, round(0.15 * len(data))
    parts = order[:test], order[test : test + val], order[test + val :]
    workers = len(os.sched_getaffinity(0))

    def loader(part: list[int], *, training: bool) -> Any:
        whole = ImageDataset(folder, reader="folder")
        some = Subset(whole, part)
        loaded = create_loader(
            some, (3, 128, 128), 100, is_training=training, num_workers=workers,
            use_prefetcher=False, persistent_workers=True, device=torch.device("cpu"),
        )  # fmt: skip
        whole.transform = cast("Any", some).transform  # timm gives it to the part, which has no use
        return loaded

    held, looked, learned = (loader(part, training=part is parts[2]) for part in parts)
    network = timm.create_model("lcnet_035", num_classes=len(data.reader.class_to_idx))
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)

    def judge(some: Any) -> float:
        network.eval()
        with torch.no_grad():
            right = [(network(images).argmax(1) == target).float() for images, target in some]
        network.train()
        return float(torch.cat(right).mean())

    for epoch in range(10):
        for images, target in learned:
            loss = functional.cross_entropy(network(images), target)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
        print(epoch, judge(looked), flush=True)
    print("test", judge(held))


def timed(source: Path, data: Path, command: str) -> tuple[float, float]:
    """Return processor and wall time in seconds of one command in a process of its own."""
    with tempfile.TemporaryDirectory() as scratch:
        kept = {"PYTHONPATH": str(source.resolve()), "SAMIX_CACHE": f"{scratch}/cache"}
        words = ["-m", "samix", *(word.format(out=f"{scratch}/out") for word in COMMANDS[command])]
        words.insert(3, str(data))
        if command == "loop":
            words = [__file__, "loop", str(data)]
        before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        done = subprocess.run(
            [sys.executable, *words],
            env={**os.environ, **kept}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        wall, after = time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_CHILDREN)
        if done.returncode not in ((0, 1) if command == "check" else (0,)):
            raise SystemExit(f"{command} of '{source}' failed: {done.stderr[-2000:]}")
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, wall


def main() -> None:
    """Draw the photos, or time the commands."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("draw", "time", "loop"))
    parser.add_argument("photos", type=Path)
    parser.add_argument("sources", nargs="*", type=Path, help="folders that hold samix")
    parser.add_argument("--count", type=int, default=3000)
    parser.add_argument("--side", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--commands", nargs="+", choices=_OURS, default=_OURS)
    parser.add_argument("--loop", action="store_true", help="also a plain loop, in turn")
    given = parser.parse_args()
    if given.what == "loop":
        plain_loop(given.photos)
        return
    if given.what == "draw":
        shutil.rmtree(given.photos, ignore_errors=True)
        draw(given.photos, given.count, given.side)
        return
    print("command,round,source,processor_s,wall_s")
    for command in given.commands:
        for number in range(given.rounds):
            for source in (*given.sources, *([Path("loop")] if given.loop else [])):
                what = "loop" if source == Path("loop") else command
                processor, wall = timed(source, given.photos, what)
                print(f"{what},{number},{source},{processor:.1f},{wall:.1f}", flush=True)


if __name__ == "__main__":
    main()
