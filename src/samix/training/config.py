"""TrainConfig: everything that decides what a training run does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal, get_args

import torch

from samix.data.views import Augmentation
from samix.errors import InputError

Optimizer = Literal["sgd", "adamw"]
Precision = Literal["32", "bf16", "16"]

DEFAULT_LR: dict[str, float] = {"sgd": 0.1, "adamw": 1e-3}
DEFAULT_WEIGHT_DECAY: dict[str, float] = {"sgd": 5e-4, "adamw": 0.05}
DEFAULT_BATCH_SIZE = 100
_PRETRAINED_LR = 0.1  # of the default: weights that are good already are changed slowly


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """What a training run does; :func:`resolve` fills in what is None and can be derived.

    Attributes:
        data: "demo", a folder, a parquet folder, or a timm name.
        output: Run folder; None takes the first free name below ``runs``.
        preset: Name of the preset that the values came from, for the record.
        data_root: Folder of the data for timm names.
        download: Let timm names fetch data.
        skip_corrupt: Leave corrupt photos out instead of refusing them.
        group_by: Regular expression or CSV that says which photos belong together.
        val_fraction: Share of the photos for validation where the data has no such part.
        test_fraction: The same for test.
        labels_per_class: Use so many labels of each class.
        label_fraction: Use this share of the labels of each class, in (0, 1].
        image_size: Side of the network's input in pixels.
        augmentation: "none", "light", "standard" or "strong"; None chooses by image size.
        batch_size: Photos in an optimiser step's batch over all processes; None is 100.
        shrink_batch: Reduce a batch size that is larger than the data instead of refusing it.
        backbone: Name of a timm model.
        model_kwargs: Further arguments of ``timm.create_model``.
        pretrained: Start from timm's weights.
        stem: "small" for images of up to 64 pixels.
        tap: Where the Mixer reads; None is the default of :func:`samix.networks.find_tap`.
        policy: Name in :data:`samix.POLICIES`.
        policy_options: Options of the policy, such as alpha and p.
        eta: Weight of the global term in the Mixer's loss.
        area_weight: Weight of the area loss in the Mixer's loss.
        clean_branch: The encoder also learns from the unmixed images.
        momentum_average: Keep an average; None only where the policy needs it.
        label_smoothing: Share of each label spread over all classes.
        epochs: Passes over the training photos.
        optimizer: "sgd" (Nesterov momentum 0.9) or "adamw".
        lr: Largest learning rate; None is 0.1 for sgd, 1e-3 for adamw, a tenth when pretrained.
        mixer_lr: Learning rate of the Mixer; None is ``lr``.
        weight_decay: None is 5e-4 for sgd and 0.05 for adamw.
        warmup: Share of the steps over which the learning rate rises linearly, in [0, 1).
        final_lr: Learning rate at the end as a share of the largest, in [0, 1]; cosine in between.
        clip: Largest norm of the gradient; None does not clip.
        accumulate: Batches whose gradients are added up for one optimiser step.
        validate_every: Epochs from one look at validation to the next, each with a checkpoint; None
            chooses, so that a small label budget does not spend its time on judging.
        seed: Seed of weights, order, augmentation and mixes.
        device: "auto", "cpu", "cuda", "cuda:1" or "mps".
        precision: "32", "bf16" or "16" (mixed).
        devices: Processes on this machine.
        nodes: Machines.
        workers: Loading processes; None chooses.
    """

    data: str
    output: str | None = None
    preset: str | None = None
    data_root: str | None = None
    download: bool = False
    skip_corrupt: bool = False
    group_by: str | None = None
    val_fraction: float = 0.15
    test_fraction: float = 0.2
    labels_per_class: int | None = None
    label_fraction: float | None = None
    image_size: int = 224
    augmentation: Augmentation | None = None
    batch_size: int | None = None
    shrink_batch: bool = False
    backbone: str = "resnet18"
    model_kwargs: Mapping[str, Any] = field(default_factory=dict)
    pretrained: bool = False
    stem: Literal["small"] | None = None
    tap: int | None = None
    policy: str = "samix"
    policy_options: Mapping[str, Any] = field(default_factory=dict)
    eta: float = 0.5
    area_weight: float = 0.0
    clean_branch: bool = False
    momentum_average: bool | None = None
    label_smoothing: float = 0.0
    epochs: int = 100
    optimizer: Optimizer = "sgd"
    lr: float | None = None
    mixer_lr: float | None = None
    weight_decay: float | None = None
    warmup: float = 0.05
    final_lr: float = 0.0
    clip: float | None = None
    accumulate: int = 1
    validate_every: int | None = None
    seed: int = 0
    device: str = "auto"
    precision: Precision = "32"
    devices: int = 1
    nodes: int = 1
    workers: int | None = None

    def __post_init__(self) -> None:
        _check_counts(self)
        _check_ranges(self)
        for name, known in (
            ("optimizer", get_args(Optimizer)),
            ("precision", get_args(Precision)),
            ("augmentation", (*get_args(Augmentation), None)),
            ("stem", ("small", None)),
        ):
            if getattr(self, name) not in known:
                options = ", ".join(str(word) for word in known if word is not None)
                raise InputError(
                    f"{_flag(name)} must be one of {options}, got {getattr(self, name)!r}"
                )
        if not self.data:
            raise InputError("DATA must name a folder, a data set or 'demo', got an empty name")

    @property
    def processes(self) -> int:
        """Number of processes over all machines."""
        return self.devices * self.nodes

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for a file; :func:`from_dict` reads them."""
        values = asdict(self)
        return {name: dict(v) if isinstance(v, Mapping) else v for name, v in values.items()}


def from_dict(values: Mapping[str, Any]) -> TrainConfig:
    """Return a configuration from plain values.

    Raises:
        InputError: An unknown name or a value outside its range.
    """
    known = {f.name for f in fields(TrainConfig)}
    unknown = sorted(set(values) - known)
    if unknown:
        raise InputError(f"unknown setting '{unknown[0]}'; expected one of {', '.join(known)}")
    return TrainConfig(**values)


def resolve(config: TrainConfig) -> TrainConfig:
    """Return the configuration with learning rate, weight decay and device filled in.

    Raises:
        InputError: The device is not there, or does not do what is asked.
    """
    lr = config.lr
    if lr is None:
        lr = DEFAULT_LR[config.optimizer] * (_PRETRAINED_LR if config.pretrained else 1.0)
    decay = config.weight_decay
    return replace(
        config,
        data=whole_path(config.data),
        lr=lr,
        mixer_lr=lr if config.mixer_lr is None else config.mixer_lr,
        weight_decay=DEFAULT_WEIGHT_DECAY[config.optimizer] if decay is None else decay,
        device=choose_device(config),
    )


def whole_path(data: str) -> str:
    """Return an existing path as an absolute one, so that a run can be resumed from anywhere."""
    return str(Path(data).resolve()) if Path(data).exists() else data


def choose_device(config: TrainConfig) -> str:
    """Return "cpu", "cuda", "cuda:N" or "mps", checked to be there.

    Raises:
        InputError: No such device, or not so many of it.
    """
    there = ["cpu"]
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    there += ["cuda", *(f"cuda:{number}" for number in range(gpus))] if gpus else []
    there += ["mps"] if torch.backends.mps.is_available() else []
    name = config.device
    if name == "auto":
        name = "cuda" if gpus else ("mps" if "mps" in there and config.devices == 1 else "cpu")
    if name not in there:
        raise InputError(f"there is no device '{name}' here; choose one of {', '.join(there)}")
    if name == "cuda" and config.devices > gpus:
        raise InputError(f"--devices {config.devices} asks for more GPUs than the {gpus} here")
    if config.devices > 1 and name not in ("cpu", "cuda"):
        raise InputError(f"--devices {config.devices} needs --device cpu or cuda, got '{name}'")
    if config.precision == "16" and name == "cpu":
        raise InputError("--precision 16 does not work on the CPU; use 32 or bf16")
    return name


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _check_counts(config: TrainConfig) -> None:
    for name in (
        "labels_per_class", "image_size", "batch_size", "epochs", "accumulate", "devices",
        "nodes", "validate_every",
    ):  # fmt: skip
        value = getattr(config, name)
        if value is not None and value < 1:
            raise InputError(f"{_flag(name)} must be at least 1, got {value}")
    for name in ("seed", "workers"):
        value = getattr(config, name)
        if value is not None and value < 0:
            raise InputError(f"{_flag(name)} must be at least 0, got {value}")


def _check_ranges(config: TrainConfig) -> None:
    """Refuse numbers outside their range; written so that NaN is refused too."""
    infinity = float("inf")
    for name in ("lr", "mixer_lr", "clip"):
        value = getattr(config, name)
        if value is not None and not 0 < value < infinity:
            raise InputError(f"{_flag(name)} must be a number above 0, got {value}")
    for name in ("eta", "area_weight", "weight_decay"):
        value = getattr(config, name)
        if value is not None and not 0 <= value < infinity:
            raise InputError(f"{_flag(name)} must be a number of at least 0, got {value}")
    for name in ("label_smoothing", "warmup"):
        if not 0 <= getattr(config, name) < 1:
            raise InputError(f"{_flag(name)} must be in [0, 1), got {getattr(config, name)}")
    if not 0 <= config.final_lr <= 1:
        raise InputError(f"--final-lr must be a share in [0, 1], got {config.final_lr}")
    if config.label_fraction is not None and not 0 < config.label_fraction <= 1:
        raise InputError(f"--label-fraction must be in (0, 1], got {config.label_fraction}")
    for name in ("val_fraction", "test_fraction"):
        if not 0 < getattr(config, name) < 1:
            raise InputError(f"{_flag(name)} must be in (0, 1), got {getattr(config, name)}")
