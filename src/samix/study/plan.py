"""The plan of a study: what is asked, timed, chosen and written down before anything is trained.

:func:`open_study` opens the photos and chooses network and recipe, :func:`time_policies` trains
each policy for some steps, and :func:`plan_study` chooses the richest grid that fits.
"""

from __future__ import annotations

import math
import shutil
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from samix.data import ImageSet, Splits, open_images, write_splits
from samix.data.health import TOO_FEW
from samix.errors import InputError
from samix.policies import POLICIES
from samix.progress import Announce
from samix.study.cells import run_job
from samix.study.engine import Engine
from samix.study.grid import (
    LEARNED,
    LEAST_STEPS,
    SELF_SUPERVISED,
    SUPERVISED,
    Cell,
    Design,
    Job,
    Timing,
    Timings,
    choose,
    jobs_of,
    ladder,
    long_factors,
    plain_timings,
    steps_of,
)
from samix.study.statistics.power import smallest_difference
from samix.study.statistics.tables import MODES
from samix.study.statistics.trained import VERSION, effective_parts, measure_of
from samix.training import TrainConfig
from samix.training.prepare import resolve, split
from samix.training.progress import clock

# lam is drawn as the hand-made rivals draw it: a lead is not to come from another alpha
_OPTIONS: Mapping[str, Mapping[str, Any]] = {"samix": {"alpha": 1.0}, "samix-p": {"alpha": 1.0}}
_RESERVE = 0.12  # of the time, for a machine that is slower later and for the report
_REPORT = 30.0  # seconds for findings, pictures and report
_QUICK = 1800.0  # seconds of budget below which trials are quick
POLICY_NAMES = ("none", "mixup", "cutmix", "mixup-cutmix", "samix-p", "samix")
FRACTIONS = (0.05, 0.1, 0.25, 1.0)
LEAST_LABELS = 3  # of the smallest class at a budget
SKEWED = 3.0  # times as many training photos of the largest class as of the smallest
_BALANCE = 0.5  # of skewed classes
_LABELS = ("labels", "label_column")
_OPENED = ("data", "data_root", "skip_corrupt", "max_megapixels", *_LABELS)
_SMALL = 100  # px: photos below this median side are looked at with a small network input
_CPU_SIZE = 96  # px of larger photos: on a CPU, more training is worth more than more pixels
_LOOKED = 200  # photos whose size is read
_SSL_BATCH = 128
_SMALL_NET: Mapping[str, Any] = {
    "layers": [1, 1, 1, 1], "channels": [16, 32, 64, 128], "stem_type": "deep", "stem_width": 8,
}  # fmt: skip
_STEPS = 8  # of an epoch
_EPOCHS = 5  # the first one warms up and is not counted
_SHORT_EPOCHS = 4  # of a quick trial


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What is asked of a study.

    Attributes:
        data: As for :class:`samix.training.RunConfig`.
        policies: To compare; "none" and a learned one among them.
        modes: "supervised", "self-supervised" or both.
        fractions: Shares of the labels, in (0, 1].
        seeds: How many; None lets the plan choose.
        budget: Seconds of wall time that it may take.
        good: Classes that are good parts.
        photos: Further fields of :class:`samix.training.RunConfig` about the photos.
        network: Further fields of it about network, size and training, over what suits the photos.
    """

    data: str
    policies: tuple[str, ...] = POLICY_NAMES
    modes: tuple[str, ...] = MODES
    fractions: tuple[float, ...] = FRACTIONS
    seeds: int | None = None
    budget: float = 7200.0
    good: tuple[str, ...] = ()
    photos: Mapping[str, Any] = field(default_factory=dict)
    network: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        unknown = [name for name in self.policies if name not in POLICIES]
        if unknown:
            raise InputError(
                f"--policies: '{unknown[0]}' is no policy; expected some of {', '.join(POLICIES)}"
            )
        learned = [name for name in self.policies if name in LEARNED]
        if "none" not in self.policies or not learned:
            raise InputError(
                "--policies needs 'none', which everything is compared with, and 'samix' or "
                f"'samix-p', got {', '.join(self.policies)}"
            )
        if len(set(self.policies)) < len(self.policies):
            raise InputError(f"--policies names a policy twice: {', '.join(self.policies)}")
        strange = [mode for mode in self.modes if mode not in MODES]
        if strange or not self.modes:
            raise InputError(f"--modes must be some of {', '.join(MODES)}, got {self.modes}")
        if not self.fractions or not all(0 < share <= 1 for share in self.fractions):
            raise InputError(
                f"--labels must be percentages above 0 and up to 100, got "
                f"{', '.join(f'{100 * share:g}' for share in self.fractions)}"
            )
        if self.seeds is not None and self.seeds < 2:
            raise InputError(
                f"--seeds must be at least 2, got {self.seeds}: one training shows nothing about "
                "how trainings differ"
            )


@dataclass(frozen=True)
class Opened:
    """The photos of a study and the training that suits them.

    Attributes:
        images: All photos.
        splits: Their parts and groups.
        train: Settings of supervised training.
        pretrain: Settings of self-supervised training.
        labels: Labelled training photos of each share, descending.
        left_out: Shares at which the smallest class has too few labels.
        device: That is trained on.
        notes: Sentences for the user.
    """

    images: ImageSet
    splits: Splits
    train: dict[str, Any]
    pretrain: dict[str, Any]
    labels: dict[float, int]
    left_out: tuple[float, ...]
    device: str
    notes: tuple[str, ...]

    def parts(self, positions: Sequence[int]) -> int:
        """Return the number of independent parts that some photos show."""
        return len({self.splits.groups[i] or i for i in positions})

    def test_parts(self) -> dict[str, int]:
        """Return the independent test parts of each class."""
        return {
            name: self.parts([i for i in self.splits.test if self.images.targets[i] == target])
            for target, name in enumerate(self.images.classes)
        }

    def weak(self) -> dict[str, int]:
        """Return the classes with too few test parts to be judged alone."""
        return {name: count for name, count in self.test_parts().items() if count < TOO_FEW}


def open_study(wish: Wish, announce: Announce) -> Opened:
    """Open and divide the photos, and choose size, network and recipe.

    Args:
        wish: What is asked.
        announce: Called during long work.

    Raises:
        InputError: The photos or a setting cannot be used.
    """
    photos = wish.photos
    config = resolve(TrainConfig(data=wish.data, **photos))
    images = open_images(
        config.data,
        skip_corrupt=config.skip_corrupt,
        max_megapixels=config.max_megapixels,
        root=config.data_root,
        download=config.download,
        labels=config.labels,
        label_column=config.label_column,
        progress=lambda done, total: announce("checking photos", done, total),
    )
    stray = [name for name in wish.good if name not in images.classes]
    if stray:
        raise InputError(
            f"--good: '{stray[0]}' is no class of '{images.name}'; expected of "
            f"{', '.join(images.classes)}"
        )
    splits, notes = split(images, config, announce)
    notes = (*images.notes, *notes)
    labels, left_out = _budgets(images, splits, wish.fractions)
    device = resolve(TrainConfig(data=wish.data, **_only_device(wish.network))).device
    train = _train_settings(config, images, splits, device, wish.network)
    return Opened(images, splits, train, _pretrain_settings(train), labels, left_out, device, notes)


def label_count(images: ImageSet, splits: Splits, fraction: float) -> tuple[int, int]:
    """Return how many labels a share of each class is, and how many the smallest class has."""
    counts = Counter(images.targets[i] for i in splits.train)
    wanted = [math.ceil(fraction * count - 1e-9) for count in counts.values()]
    return sum(wanted), min(wanted)


def _budgets(
    images: ImageSet, splits: Splits, fractions: Sequence[float]
) -> tuple[dict[float, int], tuple[float, ...]]:
    """Return the labels of each share, the largest first, and the shares that are too small."""
    labels: dict[float, int] = {}
    left_out = []
    for fraction in sorted(set(fractions), reverse=True):
        whole, smallest = label_count(images, splits, fraction)
        if smallest < LEAST_LABELS:
            left_out.append(fraction)
        elif whole not in labels.values():
            labels[fraction] = whole
    if not labels:
        raise InputError(
            f"with {100 * max(fractions):g} % of the labels the smallest class has fewer than "
            f"{LEAST_LABELS}; give larger --labels or more photos"
        )
    return labels, tuple(left_out)


def _only_device(network: Mapping[str, Any]) -> dict[str, Any]:
    return {name: network[name] for name in ("device",) if name in network}


def _train_settings(
    config: TrainConfig,
    images: ImageSet,
    splits: Splits,
    device: str,
    chosen: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the settings of supervised training, those that were chosen before the others."""
    names = (*_OPENED, "duplicates")
    settings: dict[str, Any] = {name: getattr(config, name) for name in names}
    settings = {n: v for n, v in settings.items() if v is not None or n not in _LABELS}
    small = _median_side(images) < _SMALL
    if device == "cpu":
        settings |= {"model_kwargs": dict(_SMALL_NET), "image_size": 32 if small else _CPU_SIZE}
    else:
        settings |= {"image_size": 32 if small else 224}
    counts = Counter(images.targets[i] for i in splits.train)
    skewed = max(counts.values()) > SKEWED * min(counts.values())
    settings |= {
        "backbone": "resnet18", "stem": "small" if small else None, "batch_size": 64,
        "optimizer": "sgd", "lr": 0.1, "mixer_lr": 0.2, "weight_decay": 5e-4, "cost": "fast",
        "balance": _BALANCE if skewed else 0.0, "device": device,
    }  # fmt: skip
    if "backbone" in chosen:
        settings.pop("model_kwargs", None)
        if "stem" not in chosen:
            settings["stem"] = None
    return {**settings, **chosen}


def _pretrain_settings(train: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of self-supervised training on the same network."""
    kept = (
        *_OPENED, "duplicates", "model_kwargs",
        "image_size", "backbone", "stem", "cost", "device", "guard", "pretrained", "tap",
    )  # fmt: skip
    settings = {name: train[name] for name in kept if name in train}
    return {
        **settings, "method": "moco", "method_options": {"queue_size": 1024},
        "batch_size": _SSL_BATCH, "optimizer": "adamw", "lr": 3e-3, "weight_decay": 0.01,
        "view_size": 5 * train["image_size"] // 8 // 4 * 4, "precision": "auto",
    }  # fmt: skip


def _median_side(images: ImageSet) -> float:
    """Return the median of the smaller sides of some photos in px."""
    step = max(1, len(images) // _LOOKED)
    sides = sorted(min(images.read_for(i, _SMALL).size) for i in range(0, len(images), step))
    return float(sides[len(sides) // 2])


def time_policies(
    path: Path,
    opened: Opened,
    policies: Mapping[str, Sequence[str]],
    options: Mapping[str, Any],
    engine: Engine,
    announce: Announce,
    *,
    quick: bool = False,
) -> dict[str, dict[str, Timing]]:
    """Train each policy for some steps and return what it takes.

    Args:
        path: Folder for the trials; it is removed afterwards.
        opened: The photos and their training.
        policies: By mode.
        options: Of each policy.
        engine: Where the study will be trained too, as many at a time.
        announce: Called as trials end.
        quick: Shorter trials, and none of hand-made policies: they are taken to be as quick as
            plain training, from which they differ by a few percent.

    Returns:
        By mode, then by policy.

    Raises:
        InputError: A policy cannot be trained so.
    """
    todo = [
        (mode, name) for mode, names in policies.items() for name in names
        if not quick or name in ("none", *LEARNED)
    ]  # fmt: skip
    found: dict[str, dict[str, Timing]] = {mode: {} for mode in policies}
    running: dict[Future[Any], tuple[str, str]] = {}
    waiting = list(todo)
    try:
        for mode in policies:
            _write_few(path / mode, opened, _trial_settings(opened, mode)["batch_size"])
        while waiting or running:
            while waiting and len(running) < engine.workers:
                mode, name = waiting.pop(0)
                job = _job(opened, mode, name, options.get(name, {}), quick=quick)
                running[engine.submit(timed, str(path / mode), job)] = (mode, name)
            over, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in over:
                mode, name = running.pop(future)
                found[mode][name] = future.result()
            done = sum(map(len, found.values()))
            announce("timing the policies", done, len(todo))
    finally:
        shutil.rmtree(path, ignore_errors=True)
    return {
        mode: _without_first_time(
            {name: found[mode].get(name) or found[mode]["none"] for name in names}
        )
        for mode, names in policies.items()
    }


def _without_first_time(timings: Mapping[str, Timing]) -> dict[str, Timing]:
    """Return timings whose start is the quickest: the first trial of a worker loads the code."""
    start = min(timing.start for timing in timings.values())
    return {name: replace(timing, start=start) for name, timing in timings.items()}


def timed(path: str, job: Job) -> Timing:
    """Run a trial and return what it took.

    Raises:
        InputError: It failed.
    """
    begin = time.monotonic()
    ended = run_job(path, job)
    wall = time.monotonic() - begin
    if ended.status != "finished":
        raise InputError(f"{job.name} cannot be trained here: {ended.reason}")
    rows = pd.read_csv(Path(path) / job.folder / "history.csv")
    steps = int(rows["step"].iloc[-1]) / len(rows)
    epochs = rows["train_seconds"].iloc[1:]
    training = float(epochs.median())
    look = float((rows["seconds"] - rows["train_seconds"]).iloc[1:].median())
    start = wall - len(rows) * (training + look)
    return Timing(max(start, 0.0), training / steps, max(look, 0.0), float(epochs.min()) / steps)


def _trial_settings(opened: Opened, mode: str) -> Mapping[str, Any]:
    return opened.pretrain if mode == SELF_SUPERVISED else opened.train


def _job(opened: Opened, mode: str, policy: str, options: Mapping[str, Any], *, quick: bool) -> Job:
    command = "pretrain" if mode == SELF_SUPERVISED else "train"
    cell = Cell(policy, 1, mode, 0)
    settings = {
        **_trial_settings(opened, mode), "policy": policy, "policy_options": dict(options),
        "epochs": _SHORT_EPOCHS if quick else _EPOCHS, "validate_every": 1, "shrink_batch": True,
    }  # fmt: skip
    return Job(f"{cell.folder}-run", command, settings, (cell,), {1: 1.0})


def _write_few(path: Path, opened: Opened, batch: int) -> None:
    """Write a split with a few batches of training photos, some of each class."""
    path.mkdir(parents=True, exist_ok=True)
    splits, targets = opened.splits, opened.images.targets
    wanted = max(_STEPS * batch, 2 * len(opened.images.classes))
    train = list(splits.train)
    if len(train) > wanted:
        order = np.random.default_rng(0).permutation(len(train))
        first = {targets[train[i]]: train[i] for i in order[::-1]}  # one of each class
        train = sorted({*first.values(), *(train[i] for i in order[:wanted])})
    few = Splits(tuple(train), splits.val, splits.test, splits.groups)
    write_splits(path / "splits.csv", opened.images, few)


def plan_study(
    wish: Wish,
    opened: Opened,
    engine: Engine,
    trials: Path,
    announce: Announce,
    *,
    begun: float | None = None,
) -> dict[str, Any]:
    """Time the policies and choose the richest grid that fits.

    Args:
        wish: What is asked.
        opened: Photos and training.
        engine: Where the study will be trained.
        trials: Folder for short trainings; it is removed.
        announce: Called during long work.
        begun: Time of :func:`time.monotonic` at which the budget began; None is now.

    Returns:
        What poc.yaml holds, but for command, versions and machine.

    Raises:
        InputError: The time does not suffice for anything; the message says what would.
    """
    begun = time.monotonic() if begun is None else begun
    designs = ladder(wish.policies, tuple(opened.labels), wish.modes)

    def fit(timings: Timings) -> tuple[Design | None, float]:
        usable = (1 - _RESERVE) * (wish.budget - (time.monotonic() - begun)) - _REPORT
        return choose(
            designs, timings, opened.labels, seconds=usable, workers=engine.workers,
            seeds=wish.seeds,
        )  # fmt: skip

    timings: dict[str, dict[str, Timing]] = {}
    for mode in wish.modes:
        if mode != wish.modes[0]:
            hoped, _ = fit({**timings, mode: timings[wish.modes[0]]})
            if hoped is not None and mode not in hoped.modes:
                continue  # no time for it even if it took no longer than the first
        asked = {mode: wish.policies}
        timings |= time_policies(
            trials, opened, asked, _OPTIONS, engine, announce, quick=wish.budget < _QUICK
        )
    design, seconds = fit(timings)
    spent = time.monotonic() - begun
    if design is None:
        least = spent + (seconds + _REPORT) / (1 - _RESERVE)
        raise InputError(
            f"--budget {clock(wish.budget)} is too little to tell anything on this machine: plain "
            f"training, its rivals and SAMix for {LEAST_STEPS} steps with "
            f"{wish.seeds or 3} seeds take about {clock(60 * math.ceil(least / 60))}; give more "
            "time, fewer --policies, or a smaller --image-size"
        )
    plan = _plan(wish, opened, design, timings, engine.workers)
    plan |= {"budget_seconds": wish.budget, "expected_seconds": round(spent + seconds + _REPORT)}
    splits, images = opened.splits, opened.images
    parts = {side: getattr(splits, side) for side in ("train", "val", "test")}
    study = {
        "version": VERSION,
        "data": {
            "source": wish.data, "name": images.name, "classes": list(images.classes),
            "photos": {side: len(part) for side, part in parts.items()},
            "parts": {side: opened.parts(part) for side, part in parts.items()},
            "test_parts": opened.test_parts(), "image_size": opened.train["image_size"],
            "good": list(wish.good), "notes": list(opened.notes),
        },
        "plan": plan,
        "train": opened.train,
        "pretrain": opened.pretrain if SELF_SUPERVISED in design.modes else None,
    }  # fmt: skip
    plan["cells"] = sum(len(job.cells) for job in jobs_of(study))
    plan["trainings"] = len(jobs_of(study))
    return study


def _plan(wish: Wish, opened: Opened, design: Design, timings: Any, workers: int) -> dict[str, Any]:
    budgets = sorted(design.fractions)
    labels = [opened.labels[share] for share in budgets]
    most, photos = max(opened.labels.values()), len(opened.splits.train)
    steps = {str(n): steps_of(design.steps, n, most) for n in labels}
    batch, ssl_batch = opened.train["batch_size"], opened.pretrain["batch_size"]
    epochs = {n: _epochs(count, int(n), batch) for n, count in steps.items()}
    pretrain_epochs = _epochs(design.steps, photos, ssl_batch)
    main = SUPERVISED if SUPERVISED in design.modes else design.modes[0]
    rivals = [name for name in design.named(main) if name not in LEARNED]
    counts = opened.test_parts()
    measured = measure_of(counts, good=wish.good)
    parts = min(int(effective_parts(measured, counts)), opened.parts(opened.splits.test))
    seeds = list(range(design.seeds))
    shown = smallest_difference(len(seeds), parts, rivals=len(rivals)) if parts >= 2 else math.inf
    return {
        "policies": {mode: design.named(mode) for mode in design.modes},
        "modes": list(design.modes), "labels": labels, "fractions": budgets, "seeds": seeds,
        "steps": {n: epochs[n] * _batches(int(n), batch) for n in epochs}, "epochs": epochs,
        "pretrain_epochs": pretrain_epochs,
        "pretrain_steps": pretrain_epochs * _batches(photos, ssl_batch),
        "long": long_factors(design, timings),
        "long_labels": labels if design.long_everywhere else labels[-1:],
        "options": {name: dict(given) for name, given in _OPTIONS.items()},
        "primary": {"mode": main, "labels": labels[-1]},
        "measure": measured.name, "timings": plain_timings(timings), "workers": workers,
        "smallest_difference": round(shown, 2), "weak_classes": opened.weak(),
        "left_out": sorted(opened.left_out),
        "not_planned": sorted(set(opened.labels) - set(design.fractions)),
    }  # fmt: skip


def _epochs(steps: int, photos: int, batch: int) -> int:
    return math.ceil(steps / _batches(photos, batch))


def _batches(photos: int, batch: int) -> int:
    return max(1, math.ceil(photos / min(batch, photos)))
