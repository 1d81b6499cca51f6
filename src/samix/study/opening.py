"""What a study is about: its photos, their parts, and the training that suits them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from samix.data import ImageSet, Splits, open_images
from samix.data.health import TOO_FEW
from samix.errors import InputError
from samix.policies import POLICIES
from samix.training import TrainConfig
from samix.training.config import resolve
from samix.training.prepare import split
from samix.training.task import Announce

from .grid import LEARNED
from .tables import MODES

POLICY_NAMES = ("none", "mixup", "cutmix", "mixup-cutmix", "samix-p", "samix")
FRACTIONS = (0.05, 0.1, 0.25, 1.0)
LEAST_LABELS = 3  # of the smallest class at a budget
SKEWED = 3.0  # times as many training photos of the largest class as of the smallest
_BALANCE = 0.5  # of skewed classes
_SMALL = 100  # px: photos below this median side are looked at with a small network input
_CPU_SIZE = 96  # px of larger photos: on a CPU, more training is worth more than more pixels
_LOOKED = 200  # photos whose size is read
_SSL_BATCH = 128

_SMALL_NET: Mapping[str, Any] = {
    "layers": [1, 1, 1, 1], "channels": [16, 32, 64, 128], "stem_type": "deep", "stem_width": 8,
}  # fmt: skip


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
        progress=lambda done, total: announce("checking photos", done, total),
    )
    stray = [name for name in wish.good if name not in images.classes]
    if stray:
        raise InputError(
            f"--good: '{stray[0]}' is no class of '{images.name}'; expected of "
            f"{', '.join(images.classes)}"
        )
    splits, notes = split(images, config, announce)
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
    names = ("data", "data_root", "skip_corrupt", "max_megapixels", "duplicates")
    settings: dict[str, Any] = {name: getattr(config, name) for name in names}
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
        "data", "data_root", "skip_corrupt", "max_megapixels", "duplicates", "model_kwargs",
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
