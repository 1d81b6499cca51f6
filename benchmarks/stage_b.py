"""Where users stand: a trained network, few labels, and whether mixing adds anything on top.

Run it with ``python benchmarks/stage_b.py``; see ``--help``. A finished cell is one row, a second
run skips what is finished, and several processes may share one table. ``--table`` prints means and
paired differences of the rows that there are.

Each cell is a run as ``samix train`` makes it: "frozen" is ``--policy frozen``, "scratch" the
ten-layer ResNet from random weights, four times as many steps; all others are the preset "tune"
(linear probe, then all weights) with a policy and 100 steps. 160 px for all, so that a cell takes
minutes of one core, but for two rows at 224 px, which is what both commands take for photos that
are large enough. Sets:

- garments: SAMIX_DATA/clothing, ten classes, its own division;
- tiles: SAMIX_DATA/magnetic-tile, six classes, parts on one side; three seeds test every part once;
- solar: ``pip install elpv-dataset`` into any folder that --solar names (its package folder): cells
  that are called defective with a probability above 1/2 against the others, blocks of 60 file
  numbers on one side, a third of them the test;
- cifar10: 400 + 200 photos of each class, drawn once.

So many labels of each class may be learned from, where the class has them, and so many others are
for validation, which chooses the head and the epoch. A seed decides labels, and the test part where
there is no given one.
"""

from __future__ import annotations

import csv
import itertools
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold

from cells import add_places, data_folder, finished, interval, line_of, parser_of, run_missing
from samix.data import ImageSet, open_images
from samix.data.store import reuse_photos
from samix.options import from_plain
from samix.presets import load_preset
from samix.training import TrainConfig, train
from tiles_photos import GOOD, part_of_each
from yardstick import RESNET

SIZE, STEPS = 160, 100
LARGE = 224  # px
POLICIES: dict[str, dict[str, Any]] = {
    "frozen": {},
    f"frozen at {LARGE} px": {},
    "none": {},
    "mixup": {},
    "cutmix": {},
    "mixup-cutmix": {},
    "samix-p": {},
    "samix": {"policy_options": {"alpha": 2.0}, "clean_branch": "off"},
    "mixup + clean": {"clean_branch": "branch"},
    "samix + clean": {"policy_options": {"alpha": 2.0}, "clean_branch": "cheap"},
    f"none at {LARGE} px": {},
    "scratch": {},
}
FIRST = ["frozen", f"frozen at {LARGE} px", "none", "mixup", "mixup-cutmix", "samix-p", "samix"]
ALL = "all"
_BLOCK = 60  # file numbers of solar cells that are on one side
_CIFAR = {"train": 400, "test": 200}  # photos of each class


@dataclass(frozen=True)
class Cell:
    """One training."""

    set: str
    labels: str
    policy: str
    seed: int

    @property
    def name(self) -> str:
        """What its lock file is called."""
        return f"{self.set} {self.labels} {self.policy}"


@dataclass(frozen=True)
class Photos:
    """One set.

    Attributes:
        folder: Of the photos.
        good: The class that all others are defects of; None where there is none.
        groups: One number a photo; photos of one number are on one side. None where the data is
            divided already.
    """

    folder: Path
    images: ImageSet
    good: str | None
    groups: np.ndarray[Any, Any] | None


def cells(seeds: int) -> Iterator[Cell]:
    """Yield all cells, those that decide most first; some more than once."""
    deciding = ("garments", "tiles"), ("25",)
    quick = ("garments", "tiles", "solar"), ("10", "25")
    for (sets, labels), policies in (
        (deciding, FIRST),
        (deciding, [policy for policy in POLICIES if policy not in FIRST]),
        (quick, FIRST[:2]),  # frozen: seconds
        ((("garments", "tiles", "solar"), ("10", "25", "100", ALL)), POLICIES),
        ((("cifar10",), ("25", "10", "100", ALL)), POLICIES),
    ):
        for count, seed, name in itertools.product(labels, range(seeds), sets):
            for policy in policies:
                yield Cell(name, count, policy, seed)


def open_set(name: str, solar: Path, log: Path) -> Photos:
    """Return the photos of a set; those that are no folder of photos are written into one."""
    if name == "garments":
        folder = data_folder("clothing")
        return Photos(folder, open_images(folder, need_labels=True), None, None)
    if name == "tiles":
        folder = data_folder("magnetic-tile/images")
        images = open_images(folder, need_labels=True)
        return Photos(folder, images, GOOD, part_of_each(images.keys, images.targets).numpy())
    folder = log / "photos" / name
    if not folder.is_dir():
        partial = Path(tempfile.mkdtemp(dir=log))
        (_write_solar(solar, partial) if name == "solar" else _write_cifar10(partial))
        folder.parent.mkdir(exist_ok=True)
        partial.rename(folder)
    images = open_images(folder, need_labels=True)
    if name == "cifar10":
        return Photos(folder, images, None, None)
    numbers = np.array([int(Path(key).stem.removeprefix("cell")) for key in images.keys])
    return Photos(folder, images, "good", numbers // _BLOCK)


def _write_solar(package: Path, folder: Path) -> None:
    """Copy the photos of solar cells into a folder of two classes."""
    table = next(package.rglob("labels.csv"))
    for line in table.read_text().splitlines():
        file, probability, *_ = line.split()
        name = "defective" if float(probability) > 0.5 else "good"
        (folder / name).mkdir(exist_ok=True)
        shutil.copy(table.parent / file, folder / name)


def _write_cifar10(folder: Path) -> None:
    """Write a part of CIFAR-10 as photos."""
    images = open_images(data_folder("cifar10"))
    rng = np.random.default_rng(0)
    targets, parts = np.array(images.targets), np.array(images.given_split)
    for part, count in _CIFAR.items():
        for target, name in enumerate(images.classes):
            there = np.flatnonzero((targets == target) & (parts == part))
            (folder / part / name).mkdir(parents=True)
            for at in rng.choice(there, count, replace=False):
                images.read(int(at)).save(folder / part / name / f"{at}.png")


def sides(photos: Photos, seed: int) -> list[str]:
    """Return "train", "val" or "test" for each photo."""
    targets = np.array(photos.images.targets)
    if photos.groups is None:
        side = np.array([part or "train" for part in photos.images.given_split], dtype=object)
        if "val" not in side:
            rng = np.random.default_rng(0)
            train = rng.permutation(np.flatnonzero(side == "train"))
            side[train[: len(train) // 4]] = "val"
        return list(side)
    side = np.full(len(targets), "train", dtype=object)
    folds = StratifiedGroupKFold(3, shuffle=True, random_state=seed // 3)
    rest, test = list(folds.split(targets, targets, photos.groups))[seed % 3]
    side[test] = "test"
    inner = StratifiedGroupKFold(4, shuffle=True, random_state=seed)
    _, val = next(iter(inner.split(rest, targets[rest], photos.groups[rest])))
    side[rest[val]] = "val"
    return list(side)


def write_split(path: Path, photos: Photos, cell: Cell) -> None:
    """Write which photos are learned from, chosen by and judged."""
    side, targets = sides(photos, cell.seed), photos.images.targets
    rng = np.random.default_rng(cell.seed)
    most = len(side) if cell.labels == ALL else int(cell.labels)
    left = {(part, t): most for part in ("train", "val") for t in set(targets)}
    for at in rng.permutation(len(side)):
        key = (side[at], targets[at])
        if key in left:
            left[key] -= 1
            if left[key] < 0:
                side[at] = "unused"
    groups = [""] * len(side) if photos.groups is None else photos.groups.tolist()
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "split", "group"])
        writer.writerows(zip(photos.images.keys, side, groups, strict=True))


def size_of(cell: Cell) -> int:
    """Return the side of the images of a cell in px."""
    return LARGE if cell.policy.endswith(f" at {LARGE} px") else SIZE


def config_of(cell: Cell, photos: Photos, folder: Path) -> TrainConfig:
    """Return the configuration of a cell's run, as `samix train` would have it."""
    own: dict[str, Any] = {
        "data": str(photos.folder), "splits": str(folder / "splits.csv"), "seed": cell.seed,
        "output": str(folder / "run"), "device": "cpu", "image_size": size_of(cell), "workers": 0,
    }  # fmt: skip
    policy = cell.policy.partition(" at ")[0].partition(" + ")[0]
    if policy == "frozen":
        return from_plain({**own, "policy": "frozen"}, TrainConfig)
    if cell.policy == "scratch":
        network = {name: RESNET[name] for name in ("backbone", "model_kwargs")}
        plain = {"policy": "none", "steps": 4 * STEPS, "optimizer": "adamw", "lr": 2e-3}
        more = {"batch_size": 32, "shrink_batch": True, "balance": 1.0}
        return from_plain({**own, **network, **plain, **more}, TrainConfig)
    preset = {
        **load_preset("tune", "train"),
        "fit_size": False,
        "fit_steps": False,
        "policy_options": {},
    }
    chosen = {"policy": policy, "steps": STEPS, **POLICIES[cell.policy]}
    return from_plain({**preset, "shrink_batch": True, **own, **chosen}, TrainConfig)


def run(cell: Cell, photos: Photos) -> dict[str, Any]:
    """Train one cell and return its row."""
    with tempfile.TemporaryDirectory(prefix="stage_b_") as place:
        folder = Path(place)
        write_split(folder / "splits.csv", photos, cell)
        begin, processor = time.monotonic(), time.process_time()
        result = train(config_of(cell, photos, folder))
        seconds, processor = time.monotonic() - begin, time.process_time() - processor
        metrics = result.metrics
        if result.status != "finished" or metrics is None:
            raise SystemExit(f"{cell} was stopped")
        said = pd.read_csv(result.run.path / "predictions.csv")
    test, val = metrics["test"]["encoder"], metrics["val"]["encoder"]
    probe, mixer = metrics.get("probe"), metrics["mixer"]
    judged = {"accuracy": test["top1"], "balanced": test["balanced_accuracy"]}
    return {
        **vars(cell),
        "size": size_of(cell),
        **{name: round(100 * value, 2) for name, value in judged.items()},
        "auc": _auc(said, photos.good),
        "nll": round(test["nll"], 4),
        "ece": round(100 * test["ece"], 2),
        "val balanced": round(100 * val["balanced_accuracy"], 2),
        "probe val": round(100 * probe["val"]["balanced_accuracy"], 2) if probe else "",
        "mask deviation": round(mixer["at_end"]["mask_deviation"], 3) if mixer else "",
        "epoch": f"{metrics['checkpoint']['epoch']} of {metrics['epochs']['planned']}",
        "steps": metrics["cost"]["steps"],
        "seconds": round(seconds, 1),
        "processor": round(processor, 1),
        **{f"{part} photos": metrics["photos"][part] for part in ("train", "val", "test")},
    }


def _auc(said: pd.DataFrame, good: str | None) -> float | str:
    """Return how well good photos of the test part are told from others, in per cent."""
    if good is None:
        return ""
    test = said[said["split"] == "test"]
    return round(100 * float(roc_auc_score(test["target"] != good, 1 - test[f"p_{good}"])), 2)


def print_table(path: Path) -> None:
    """Print means by set, labels and policy, and paired differences from two rivals."""
    rows = pd.read_csv(path, dtype={"labels": str})
    print(line_of("set", "labels", "policy", "seeds", "balanced", "minus frozen", "minus none",
                  "accuracy", "AUC", "ECE", "processor s"))  # fmt: skip
    print(line_of(*["---"] * 11))
    for (name, labels), part in rows.groupby(["set", "labels"], sort=False):
        by_seed = part.pivot_table(index="seed", columns="policy", values="balanced")
        for policy in [policy for policy in POLICIES if policy in by_seed]:
            own = part[part["policy"] == policy]
            against = [
                interval(by_seed[policy] - by_seed[rival]) if rival in by_seed else ""
                for rival in ("frozen", "none")
            ]
            means = [own[column].mean() for column in ("accuracy", "auc", "ece", "processor")]
            shown = ["" if np.isnan(mean) else f"{mean:.1f}" for mean in means]
            print(line_of(name, labels, policy, len(own), f"{own['balanced'].mean():.1f}",
                          *against, *shown))  # fmt: skip


def main() -> None:
    """Run the cells that are still missing."""
    parser = parser_of(__doc__)
    add_places(parser, "stage_b", data=None)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", default="", help="cells whose name has these words")
    parser.add_argument("--solar", type=Path, default=Path("runs/elpv_dataset"))
    parser.add_argument("--table", action="store_true", help="print what there is, run nothing")
    arguments = parser.parse_args()
    if arguments.table:
        print_table(arguments.output)
        return
    torch.set_num_threads(1)
    reuse_photos(2**30)
    arguments.log.mkdir(parents=True, exist_ok=True)
    opened: dict[str, Photos] = {}

    def work(cell: Cell) -> dict[str, Any]:
        if cell.set not in opened:
            opened[cell.set] = open_set(cell.set, arguments.solar, arguments.log)
        return run(cell, opened[cell.set])

    wanted = [cell for cell in cells(arguments.seeds) if arguments.only in cell.name]
    run_missing(lambda _: wanted, work, arguments, known=finished)


if __name__ == "__main__":
    main()
