"""How long `samix check` and `samix train` take on large JPEG photos, for two source trees in turn.

    python benchmarks/data_path.py draw /tmp/photos               # 3,000 photos of 1,000 px
    python benchmarks/data_path.py time /tmp/photos src OLD/src   # prints one row a run

Each run has a cache folder of its own, so that nothing is known from before. A processor time is
that of the command and of all processes that it starts.
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

from PIL import Image

from samix.data import open_images

_DRAWN = 250  # px: photos of the demo are drawn so large and enlarged, which draws 3,000 in minutes
COMMANDS = {
    "check": ("check", "--output", "{out}"),
    "train": (
        *("train", "--policy", "none", "--epochs", "10", "--image-size", "128"),
        *("--backbone", "lcnet_035", "--output", "{out}"),
    ),
}


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


def timed(source: Path, data: Path, command: str) -> tuple[float, float]:
    """Return processor and wall time in seconds of one command in a process of its own."""
    with tempfile.TemporaryDirectory() as scratch:
        kept = {"PYTHONPATH": str(source.resolve()), "SAMIX_CACHE": f"{scratch}/cache"}
        words = [word.format(out=f"{scratch}/out") for word in COMMANDS[command]]
        words.insert(1, str(data))
        before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-m", "samix", *words],
            env={**os.environ, **kept}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        wall, after = time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_CHILDREN)
        if done.returncode not in ((0, 1) if command == "check" else (0,)):
            raise SystemExit(f"{command} of '{source}' failed: {done.stderr[-2000:]}")
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, wall


def main() -> None:
    """Draw the photos, or time the commands."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("draw", "time"))
    parser.add_argument("photos", type=Path)
    parser.add_argument("sources", nargs="*", type=Path, help="folders that hold samix")
    parser.add_argument("--count", type=int, default=3000)
    parser.add_argument("--side", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--commands", nargs="+", choices=COMMANDS, default=list(COMMANDS))
    given = parser.parse_args()
    if given.what == "draw":
        shutil.rmtree(given.photos, ignore_errors=True)
        draw(given.photos, given.count, given.side)
        return
    print("command,round,source,processor_s,wall_s")
    for command in given.commands:
        for number in range(given.rounds):
            for source in given.sources:
                processor, wall = timed(source, given.photos, command)
                print(f"{command},{number},{source},{processor:.1f},{wall:.1f}", flush=True)


if __name__ == "__main__":
    main()
