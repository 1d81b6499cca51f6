"""Trains the Mixers that come with the package, and writes them into src/samix/mixers.

Run it with ``python benchmarks/train_builtin_mixers.py --cifar10 FOLDER``; see ``--help``. A run
that was stopped goes on where it was; a folder that is there already is only replaced once the new
Mixer is finished.

No label is learned from, and no photo of a test split is opened: of CIFAR-10 the train file alone
is read, and the demo's photos come from another seed of its generator than ``samix train demo``
has, so that no part of that set is among them. 5 % of the photos are held out, to show the loss on
them.
"""

from __future__ import annotations

import argparse
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from samix.networks import PretrainedMixer
from samix.networks.pretrained_mixer import WEIGHTS
from samix.presets import load_preset
from samix.training import PretrainConfig, Terminal, from_dict, pretrain, resume
from samix.training.mixer_export import mixer_of_run, mixer_remarks

MIXERS = Path(__file__).parents[1] / "src" / "samix" / "mixers"
PRESET = "mixer"
DEMO = "demo:photos_per_class=1000,size=32,seed=1"
ONLY_DEMO = "demo:photos_per_class=3000,size=32,seed=1"
HELD_OUT = {"val_fraction": 0.05, "test_fraction": 0.01}
SEED = 0
LICENCE = "apache-2.0"
MOST_BYTES = 2_000_000


def recipes(cifar10: Path | None) -> dict[str, dict[str, Any]]:
    """Return what each Mixer is trained on and how long; those that can be trained here."""
    found: dict[str, dict[str, Any]] = {
        "demo": {"data": ONLY_DEMO, "epochs": 2, "batch_size": 256},
    }
    if cifar10 is not None:
        train = sorted(cifar10.glob("train-*.parquet"))
        if len(train) != 1:
            raise SystemExit(f"'{cifar10}' must hold one file train-*.parquet, got {len(train)}")
        found["cifar10-demo"] = {"data": str(train[0]), "more_data": (DEMO,), "epochs": 1}
    return found


def train(name: str, recipe: Mapping[str, Any], runs: Path, mixers: Path) -> None:
    """Train one Mixer, or finish it, and write it."""
    output = runs / f"mixer-{name}"
    settings = {**load_preset(PRESET), **HELD_OUT, "precision": "bf16", **recipe}
    config = from_dict(
        {**settings, "preset": PRESET, "seed": SEED, "device": "cpu", "output": str(output)},
        PretrainConfig,
    )
    begun = (output / "config.yaml").is_file()
    display = Terminal()
    result = resume(output, display=display) if begun else pretrain(config, display=display)
    display.rest()
    if result.status != "finished":
        raise SystemExit(f"'{output}' is not finished; run this again to go on")
    mixer = mixer_of_run(output, licence=LICENCE)
    for remark in mixer_remarks(mixer):
        print(remark)
    write(mixer, mixers / name)


def write(mixer: PretrainedMixer, folder: Path) -> None:
    """Put a finished Mixer in the place of the one that is there."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    fresh = folder.with_name(f".{folder.name}.{os.getpid()}")
    mixer.save_pretrained(fresh)
    size = (fresh / WEIGHTS).stat().st_size
    if size > MOST_BYTES:
        raise SystemExit(f"{size:,} bytes are more than the {MOST_BYTES:,} that may be shipped")
    shutil.rmtree(folder, ignore_errors=True)
    fresh.rename(folder)
    print(f"{folder}: {size:,} bytes, largest distance in its compatibility test "
          f"{PretrainedMixer.from_pretrained(str(folder)).compatibility():.2g}")  # fmt: skip


def main() -> None:
    """Train the Mixers that are named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="cifar10-demo, demo; all that can be trained")
    parser.add_argument("--cifar10", type=Path, help="folder that holds train-*.parquet")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="where runs are kept")
    parser.add_argument(
        "--output", type=Path, default=MIXERS, help="where Mixers are written (src/samix/mixers)"
    )
    parser.add_argument("--epochs", type=int, help="instead of those of the recipe, for a trial")
    arguments = parser.parse_args()
    known = recipes(arguments.cifar10)
    for name in arguments.names or known:
        if name not in known:
            parser.error(f"unknown name '{name}', or no --cifar10; expected {', '.join(known)}")
    for name in arguments.names or known:
        changed = {} if arguments.epochs is None else {"epochs": arguments.epochs}
        train(name, {**known[name], **changed}, arguments.runs, arguments.output)


if __name__ == "__main__":
    main()
