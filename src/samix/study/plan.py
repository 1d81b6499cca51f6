"""The plan of a study: what is asked, timed, chosen and written down before anything is trained.

:func:`open_study` opens the photos and chooses network and recipe, and :func:`plan_study` times the
policies and chooses the richest grid that fits.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from samix.data import ImageSet, Splits, open_images
from samix.data.health import TOO_FEW
from samix.errors import InputError
from samix.evaluation.seen import SeenBefore, run_of, seen_by
from samix.networks import backbone_of
from samix.presets import TUNE, load_preset
from samix.progress import Announce
from samix.study.engine import Engine
from samix.study.grid import (
    FROM_RANDOM,
    FROM_WEIGHTS,
    FROM_WEIGHTS_ELSEWHERE,
    SELF_SUPERVISED,
    SUPERVISED,
    Design,
    Length,
    Timing,
    Timings,
    choose,
    first_seeds,
    jobs_of,
    ladder,
    long_factors,
    steps_of,
)
from samix.study.statistics.looks import LEAST_SEEDS, MOST_SEEDS, shares_of
from samix.study.statistics.power import smallest_difference
from samix.study.statistics.trained import VERSION, effective_parts, measure_of
from samix.study.timing import BUSY, STEPS, plain_step, time_policies
from samix.study.wish import FRACTIONS, POLICY_NAMES, Wish, good_of, names_weights
from samix.training import TrainConfig
from samix.training.config import FROZEN
from samix.training.prepare import kept_for, resolve, split
from samix.training.probe import fitted_size
from samix.training.progress import clock
from samix.training.run_folder import MIXER

# lam is drawn as the hand-made rivals draw it: a lead is not to come from another alpha
_OPTIONS: Mapping[str, Mapping[str, Any]] = {"samix": {"alpha": 1.0}, "samix-p": {"alpha": 1.0}}
_RESERVE = 0.12  # of the time, for a machine that is slower later and for the report
_TRIAL = 0.03  # of the time, that policies take turns for, where their times do not agree before
_WIDER = 1.5  # of the least time, for a study that takes what it needs
REPORT = 30.0  # seconds for findings, pictures and report
LEAST_LABELS = 3  # of the smallest class at a budget
SKEWED = 3.0  # times as many training photos of the largest class as of the smallest
_BALANCE = 0.5  # of skewed classes
_LABELS = ("labels", "label_column")
_OPENED = ("data", "data_root", "skip_corrupt", "max_megapixels", *_LABELS)
_SMALL = 100  # px: photos below this median side are looked at with a small network input
_CPU_SIZE = 96  # px of larger photos: on a CPU, more training is worth more than more pixels
_CPU_SIZE_FROM_WEIGHTS = 128  # px: a trained network needs fewer steps, and it knows larger things
_LEFT_TO_THE_STUDY = ("image_size", "fit_size", "steps", "fit_steps", "policy")
_LOOKED = 200  # photos whose size is read
_SSL_BATCH = 128
_SMALL_NET: Mapping[str, Any] = {
    "layers": [1, 1, 1, 1], "channels": [16, 32, 64, 128], "stem_type": "deep", "stem_width": 8,
}  # fmt: skip
_FROZEN_SIZES = (128, 224)  # px that the frozen encoder sees of small and of other photos
_FROZEN_PHOTO = 0.05  # seconds of a photo at 224 px, with its mirror image
__all__ = ["FRACTIONS", "POLICY_NAMES", "Opened", "Wish", "open_study", "plan_study"]


@dataclass(frozen=True)
class Opened:
    """The photos of a study and the training that suits them."""

    images: ImageSet  # all photos
    splits: Splits  # their parts and groups
    train: dict[str, Any]  # settings of supervised training
    pretrain: dict[str, Any]  # settings of self-supervised training
    labels: dict[float, int]  # labelled training photos of each share, descending
    left_out: tuple[float, ...]  # shares at which the smallest class has too few labels
    device: str  # that is trained on
    notes: tuple[str, ...]  # sentences for the user
    good: tuple[str, ...]  # classes that are good parts
    frozen: dict[str, Any]  # settings of the frozen encoder
    # the same photos with smaller networks from random weights, where time may not suffice for
    # trained ones that nobody asked for
    otherwise: Opened | None = None
    seen: int = 0  # test photos that weights or Mixers have learned from

    @property
    def length(self) -> Length:
        """How many steps a training has."""
        if not names_weights(self.train):
            return FROM_RANDOM
        return FROM_WEIGHTS.get(self.device, FROM_WEIGHTS_ELSEWHERE)

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
    """Open and divide the photos, and choose size, network and recipe."""
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
        keep=replace(kept_for(config), sides=None),
    )
    stray = [name for name in wish.good if name not in images.classes]
    if stray:
        raise InputError(
            f"good: '{stray[0]}' is no class of '{images.name}'; expected of "
            f"{', '.join(images.classes)}"
        )
    splits, notes = split(images, config, announce)
    notes = (*images.notes, *notes)
    if photos.get("group_by"):
        notes = (*notes, *_lots_note(images, splits))
    before = _seen_before(wish, config.data, images)
    notes = (*notes, *(one.sentence(splits.test) for one in before))
    seen = len({i for one in before for i in one.of(splits.test)})
    labels, left_out = _budgets(images, splits, wish.fractions)
    device = device_of(wish)
    good = wish.good or good_of(images.classes)
    if good != wish.good:
        notes = (
            *notes,
            f"Class '{good[0]}' is taken to be the good parts, by its name; `good` names others.",
        )
    small = _median_side(images) < _SMALL

    def begun(*, trained: bool, otherwise: Opened | None = None) -> Opened:
        train = _train_settings(
            config, images, splits, device, wish.network, trained=trained, small=small
        )
        return Opened(
            images, splits, train, _pretrain_settings(train, len(splits.train)), labels, left_out,
            device, notes, good, _frozen_settings(train), otherwise, seen,
        )  # fmt: skip

    if wish.start is None or (wish.start == "at-hand" and small):
        return begun(trained=False)
    return begun(trained=True, otherwise=begun(trained=False) if wish.start == "at-hand" else None)


def _lots_note(images: ImageSet, splits: Splits) -> tuple[str, ...]:
    """Say where groups that the user gave can hardly be parts: most hold several classes."""
    kinds: dict[str, set[int]] = {}
    for group, target in zip(splits.groups, images.targets, strict=True):
        if group is not None:
            kinds.setdefault(group, set()).add(target)
    several = sum(len(found) > 1 for found in kinds.values())
    if 2 * several <= len(kinds):
        return ()
    return (
        f"{several} of {len(kinds)} groups hold photos of several classes. A group counts as one "
        "part, which is defective where any of its photos is: if yours are lots or modules, "
        "divide the photos with `splits` instead.",
    )


def _seen_before(wish: Wish, data: str, images: ImageSet) -> list[SeenBefore]:
    """Return what weights and Mixers have learned from that are those of runs."""
    brought = [Path(source) for source in wish.sources.values()]
    files = [folder / MIXER for folder in brought if folder.is_absolute()]  # others are names
    if (weights := wish.network.get("weights")) is not None:
        files.append(Path(weights))
    runs = dict.fromkeys(map(run_of, files))
    return [seen_by(run, images, (data,)) for run in runs if run]


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
            f"{LEAST_LABELS}; give larger `labels` or more photos"
        )
    return labels, tuple(left_out)


def device_of(wish: Wish) -> str:
    """Return the device that is trained on."""
    given = {name: wish.network[name] for name in ("device",) if name in wish.network}
    return resolve(TrainConfig(data=wish.data, **given)).device


def _train_settings(
    config: TrainConfig,
    images: ImageSet,
    splits: Splits,
    device: str,
    chosen: Mapping[str, Any],
    *,
    trained: bool,
    small: bool,
) -> dict[str, Any]:
    names = (*_OPENED, "duplicates")
    settings: dict[str, Any] = {name: getattr(config, name) for name in names}
    settings = {n: v for n, v in settings.items() if v is not None or n not in _LABELS}
    settings |= {"cost": "fast", "device": device, "precision": "auto"}
    if trained:
        return {**settings, **_from_weights(config, images, device, chosen), **chosen}
    if device == "cpu":
        settings |= {"model_kwargs": dict(_SMALL_NET), "image_size": 32 if small else _CPU_SIZE}
    else:
        settings |= {"image_size": 32 if small else 224}
    counts = Counter(images.targets[i] for i in splits.train)
    skewed = max(counts.values()) > SKEWED * min(counts.values())
    settings |= {
        "backbone": "resnet18", "stem": "small" if small else None, "batch_size": 64,
        "optimizer": "sgd", "lr": 0.1, "mixer_lr": 0.2, "weight_decay": 5e-4,
        "balance": _BALANCE if skewed else 0.0,
    }  # fmt: skip
    if "backbone" in chosen:
        settings.pop("model_kwargs", None)
        if "stem" not in chosen:
            settings["stem"] = None
    return {**settings, **chosen}


def _from_weights(
    config: TrainConfig, images: ImageSet, device: str, chosen: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the recipe of ``samix train`` for a network that is trained already."""
    recipe = load_preset(TUNE, "train")
    for name in _LEFT_TO_THE_STUDY:
        del recipe[name]
    if names_weights(chosen):
        del recipe["weights"], recipe["backbone"]
        told = backbone_of(chosen["weights"]) if "weights" in chosen else None
        recipe["backbone"] = told or config.backbone
    network = str(chosen.get("backbone", recipe["backbone"]))
    most = {"most": _CPU_SIZE_FROM_WEIGHTS} if device == "cpu" else {}
    fitted = fitted_size(replace(config, backbone=network, fit_size=True), images, **most)
    return {**recipe, "image_size": fitted.image_size}


def _pretrain_settings(train: Mapping[str, Any], photos: int) -> dict[str, Any]:
    kept = (
        *_OPENED, "duplicates", "model_kwargs", "image_size", "backbone", "stem", "cost", "device",
        "guard", "pretrained", "weights", "tap",
    )  # fmt: skip
    settings = {name: train[name] for name in kept if name in train}
    return {
        **settings, "method": "moco",
        "method_options": {"queue_size": min(1024, max(photos // 2, _SSL_BATCH))},
        "batch_size": _SSL_BATCH, "optimizer": "adamw", "weight_decay": 0.01,
        "lr": 3e-4 if names_weights(train) else 3e-3,
        "view_size": 5 * train["image_size"] // 8 // 4 * 4, "precision": "auto",
    }  # fmt: skip


def _frozen_settings(train: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of the frozen encoder: the one that is asked for, or that at hand."""
    kept = (*_OPENED, "duplicates", "device")
    size = _FROZEN_SIZES[train["image_size"] > _SMALL // 2]
    settings = {name: train[name] for name in kept if name in train}
    if names_weights(train):
        named = ("backbone", "pretrained", "weights", "model_kwargs")
        settings |= {name: train[name] for name in named if name in train}
        size = max(size, train["image_size"])
    return {**settings, "image_size": size, "precision": "auto"}


def _median_side(images: ImageSet) -> float:
    """Return the median of the smaller sides of some photos in px."""
    step = max(1, len(images) // _LOOKED)
    sides = sorted(min(images.read_for(i, _SMALL).size) for i in range(0, len(images), step))
    return float(sides[len(sides) // 2])


def plan_study(
    wish: Wish,
    opened: Opened,
    engine: Engine,
    trials: Path,
    announce: Announce,
    *,
    begun: float | None = None,
) -> dict[str, Any]:
    """Time the policies and choose the richest grid that fits: all but the origin in poc.yaml.

    ``trials`` is a folder for short trainings, which is removed. The budget began at ``begun``, a
    time of :func:`time.monotonic`; None is now. Where it suffices for nothing an InputError says
    what would. Where it does not suffice for trained networks that nobody asked for, smaller ones
    from random weights are planned with, and a note says so. A study of so many steps takes the
    time that it needs, with a note where that is more.
    """
    begun = time.monotonic() if begun is None else begun
    try:
        return _planned(wish, opened, engine, trials, announce, begun)
    except _TooLittleError as error:
        if wish.steps is not None:
            note = f"This machine is too slow, or too busy, to do this in {clock(wish.budget)}."
            wider = replace(wish, budget=_WIDER * error.least)
            noted = replace(opened, notes=(*opened.notes, note))
            return _planned(wider, noted, engine, trials, announce, begun)
        if opened.otherwise is None:
            raise
        note = (
            f"Networks that begin with the weights '{opened.train['weights']}' would need "
            f"{clock(error.least)} or more here. In less time smaller networks from random weights "
            "are trained; what mixing adds to trained ones may differ."
        )
    smaller = replace(opened.otherwise, notes=(*opened.notes, note))
    return _planned(wish, smaller, engine, trials, announce, begun)


class _TooLittleError(InputError):
    """The budget suffices for nothing; ``least`` is what would, in seconds."""

    def __init__(self, message: str, least: float) -> None:
        super().__init__(message)
        self.least = least


def _planned(
    wish: Wish, opened: Opened, engine: Engine, trials: Path, announce: Announce, begun: float
) -> dict[str, Any]:
    designs = ladder(
        wish.trained, tuple(opened.labels), wish.modes, wish.subjects, wish.steps, opened.length
    )
    seeds = seeds_of(wish)
    looks = shares_of(len(seeds)) if wish.design == "sequential" else {}
    first = min(looks, default=len(seeds))
    frozen = _frozen_seconds(opened) if wish.frozen else 0.0

    def fit(timings: Timings) -> tuple[Design | None, float]:
        usable = (1 - _RESERVE) * (wish.budget - (time.monotonic() - begun)) - REPORT
        usable -= frozen / engine.workers
        return choose(
            designs, timings, opened.labels, seconds=usable, workers=engine.workers,
            seeds=first, more=len(looks) > 1 and wish.steps is None,  # minutes show each mode first
            length=opened.length,
        )  # fmt: skip

    least = 2 * first * designs[-1].steps / engine.workers  # steps of plain training and another
    least *= plain_step(trials, opened, designs[-1].modes[0])
    if time.monotonic() - begun + least + REPORT > wish.budget:
        raise _too_little(wish, designs[-1], time.monotonic() - begun + least, first)
    timings: dict[str, dict[str, Timing]] = {}
    share = 1.0
    for mode in wish.modes:
        if mode != wish.modes[0]:
            hoped, _ = fit({**timings, mode: timings[wish.modes[0]]})
            if hoped is not None and mode not in hoped.modes:
                continue  # no time for it even if it took no longer than the first
        named = {name for one in designs for name in one.policies[mode]}
        timings[mode], got = time_policies(
            trials, opened, mode, [name for name in wish.trained if name in named],
            {"options": _OPTIONS, "sources": wish.sources}, engine, announce=announce,
            turn=STEPS if wish.steps is None else STEPS // 2, seconds=_TRIAL * wish.budget,
        )  # fmt: skip
        share = min(share, got)
    design, seconds = fit(timings)
    spent = time.monotonic() - begun
    if design is None:
        raise _too_little(wish, designs[-1], spent + seconds, first)
    plan = _plan(wish, opened, design, timings, engine.workers)
    plan |= {"seeds": seeds, "looks": {str(n): round(a, 6) for n, a in looks.items()}}
    seconds += frozen / engine.workers
    plan |= {
        "budget_seconds": wish.budget, "expected_seconds": round(spent + seconds + REPORT),
        "frozen_seconds": round(frozen, 1), "core_share": round(share, 2),
    }  # fmt: skip
    splits, images = opened.splits, opened.images
    parts = {side: getattr(splits, side) for side in ("train", "val", "test")}
    study = {
        "version": VERSION,
        "data": {
            "source": wish.data, "name": images.name, "classes": list(images.classes),
            "photos": {side: len(part) for side, part in parts.items()},
            "parts": {side: opened.parts(part) for side, part in parts.items()},
            "test_parts": opened.test_parts(), "image_size": opened.train["image_size"],
            "good": list(opened.good), "seen": opened.seen,
            "notes": [*opened.notes, *_busy_note(opened, share)],
        },
        "plan": plan,
        "train": opened.train,
        "pretrain": opened.pretrain if SELF_SUPERVISED in design.modes else None,
        "frozen": opened.frozen if wish.frozen else None,
    }  # fmt: skip
    sure = [job for job in jobs_of(study) if job.seed in seeds[: first_seeds(plan)]]
    plan |= {"cells": sum(len(job.cells) for job in sure), "trainings": len(sure)}
    return study


def _too_little(wish: Wish, leanest: Design, seconds: float, seeds: int) -> _TooLittleError:
    """Return what is said of a budget below the seconds that the leanest design takes."""
    least = 60 * math.ceil((seconds + REPORT) / (1 - _RESERVE) / 60)
    return _TooLittleError(
        f"budget={clock(wish.budget)} is too little to tell anything on this machine: plain "
        f"training, its rivals and {wish.subjects[-1]} for {leanest.steps} steps with {seeds} "
        f"seeds take about {clock(least)} or more; give more time, fewer `policies`, or a "
        "smaller image_size",
        least,
    )


def _frozen_seconds(opened: Opened) -> float:
    """Return the seconds that the frozen encoder probably takes, on one worker."""
    size = opened.frozen["image_size"] / _FROZEN_SIZES[1]
    photo = _FROZEN_PHOTO * size**2 if opened.device == "cpu" else _FROZEN_PHOTO / 10
    return 10.0 + photo * len(opened.images)


def _busy_note(opened: Opened, share: float) -> tuple[str, ...]:
    """Say that other work keeps the machine busy; times are then those beside it."""
    if share >= BUSY or opened.device != "cpu":
        return ()
    return (
        f"Other work keeps this machine busy: a training got {100 * share:.0f} % of a core. The "
        "plan is right as long as that stays so; the ratios of times are right in any case.",
    )


def seeds_of(wish: Wish) -> list[int]:
    """Return the seeds that a study may train, of which a sequential one rarely needs the last."""
    usual = MOST_SEEDS if wish.design == "sequential" else LEAST_SEEDS
    return list(range(wish.seeds or usual))


def _plan(wish: Wish, opened: Opened, design: Design, timings: Any, workers: int) -> dict[str, Any]:
    budgets = sorted(design.fractions)
    labels = [opened.labels[share] for share in budgets]
    most, photos = max(opened.labels.values()), len(opened.splits.train)
    steps = {str(n): steps_of(design.steps, n, most) for n in labels}
    batch, ssl_batch = opened.train["batch_size"], opened.pretrain["batch_size"]
    epochs = {n: _epochs(count, int(n), batch) for n, count in steps.items()}
    pretrain_epochs = _epochs(design.steps * design.alone, photos, ssl_batch)
    main = SUPERVISED if SUPERVISED in design.modes else design.modes[0]
    rivals = [name for name in design.named(main) if name not in wish.subjects]
    counts = opened.test_parts()
    measured = measure_of(counts, good=opened.good)
    parts = min(int(effective_parts(measured, counts)), opened.parts(opened.splits.test))
    sure = len(seeds_of(wish)) if wish.design == "fixed" else LEAST_SEEDS
    shown = smallest_difference(sure, parts, rivals=len(rivals)) if parts >= 2 else math.inf
    policies = {mode: design.named(mode) for mode in design.modes}
    if wish.frozen:
        policies[SUPERVISED] = [FROZEN, *policies[SUPERVISED]]
    sources = {label: source for label, source in wish.sources.items() if label != source}
    return {
        "policies": policies, "sources": sources, "subjects": list(wish.subjects),
        "design": wish.design,
        "modes": list(design.modes), "labels": labels, "fractions": budgets,
        "steps": {n: epochs[n] * _batches(int(n), batch) for n in epochs}, "epochs": epochs,
        "pretrain_epochs": pretrain_epochs,
        "pretrain_steps": pretrain_epochs * _batches(photos, ssl_batch),
        "long": long_factors(design, timings),
        "long_labels": labels if design.long_everywhere else labels[-1:],
        "options": {name: dict(given) for name, given in _OPTIONS.items()},
        "primary": {"mode": main, "labels": labels[-1]},
        "measure": measured.name, "timings": _plain(timings), "workers": workers,
        "smallest_difference": round(shown, 2), "weak_classes": opened.weak(),
        "left_out": sorted(opened.left_out),
        "not_planned": sorted(set(opened.labels) - set(design.fractions)),
    }  # fmt: skip


def _plain(timings: Timings) -> dict[str, Any]:
    return {mode: {name: asdict(one) for name, one in of.items()} for mode, of in timings.items()}


def _epochs(steps: float, photos: int, batch: int) -> int:
    return math.ceil(steps / _batches(photos, batch))


def _batches(photos: int, batch: int) -> int:
    return max(1, math.ceil(photos / min(batch, photos)))
