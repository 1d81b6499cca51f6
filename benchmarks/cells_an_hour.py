"""How many trainings of a study two versions of samix do in an hour, on the same photos.

Run it as ``python benchmarks/cells_an_hour.py FOLDER OLD/src src``; see ``--help``. Plain training
must leave room on these photos, since newer versions end a study where it does not. Each version
plans a study from random weights, is stopped before its first training, gets the same policies and
epochs written into its plan, and goes on with ``samix poc --resume``. What is counted is that
second command as a whole, with its start, imports, decoding, validation, checkpoints, tests and
report. A step of SAMix is not the same work in both: newer versions train on clean images, too.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pandas as pd
import yaml


def command(source: Path, *words: str) -> tuple[list[str], dict[str, str]]:
    """Return the words and the environment of a command of one version."""
    environment = {**os.environ, "PYTHONPATH": str(source.resolve())}
    return [sys.executable, "-m", "samix", "poc", *words], environment


def plan(source: Path, photos: Path, study: Path, epochs: int, seeds: int) -> None:
    """Let a version plan a study, stop it, and write the number of epochs into its plan."""
    words, environment = command(
        source, str(photos), "--output", str(study), "--policies", "none", "mixup", "samix",
        "--modes", "supervised", "--labels", "100", "--seeds", str(seeds), "--workers", "1",
        "--budget", "3h", "--lang", "en", "--no-pretrained",
    )  # fmt: skip
    running = subprocess.Popen(words, env=environment, stdout=subprocess.DEVNULL)
    while not (study / "poc.yaml").exists() and running.poll() is None:
        time.sleep(0.05)
    running.terminate()
    running.wait()
    held = yaml.safe_load((study / "poc.yaml").read_text())
    settled = held["plan"]
    settled["epochs"] = dict.fromkeys(settled["epochs"], epochs)
    settled["policies"] = {"supervised": ["none", "mixup", "samix"]}
    settled["seeds"] = list(range(seeds))
    if "design" in settled:
        settled["design"] = "fixed"
    (study / "poc.yaml").write_text(yaml.safe_dump(held, sort_keys=False, allow_unicode=True))


def processor_seconds() -> float:
    """Return the processor time of all finished children."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def finish(source: Path, study: Path) -> dict[str, Any]:
    """Let a version train its study; return what that took, and what a training took."""
    words, environment = command(source, "--resume", "--output", str(study), "--workers", "1")
    began, used = time.perf_counter(), processor_seconds()
    subprocess.run(words, env=environment, check=True, stdout=subprocess.DEVNULL)
    wall, used = time.perf_counter() - began, processor_seconds() - used
    cells = pd.read_parquet(study / "cells.parquet")
    return {
        "wall_seconds": round(wall, 1),
        "processor_seconds": round(used, 1),
        "trainings": len(cells),
        "an_hour_of_wall": round(3600 * len(cells) / wall, 1),
        "an_hour_of_processor": round(3600 * len(cells) / used, 1),
        "seconds_of_a_training": cells.groupby("policy")["seconds"].mean().round(1).to_dict(),
    }


def main() -> None:
    """Measure each version in turn and print one line for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", type=Path, help="folder with a folder for each class")
    parser.add_argument("sources", type=Path, nargs="+", help="the src folder of each version")
    parser.add_argument("--epochs", type=int, default=18)
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    for source in arguments.sources:
        with tempfile.TemporaryDirectory() as folder:
            study = Path(folder) / "study"
            plan(source, arguments.photos.resolve(), study, arguments.epochs, arguments.seeds)
            print(source, finish(source, study), flush=True)


if __name__ == "__main__":
    main()
