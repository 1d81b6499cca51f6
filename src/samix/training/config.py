"""What decides what a run does: RunConfig, and the TrainConfig and PretrainConfig made of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar, get_args

import torch

from samix.data import Augmentation, DuplicateUse, RecipeName
from samix.data.reading import MAX_MEGAPIXELS
from samix.errors import InputError
from samix.methods import COSTS, DEFAULT_COST
from samix.methods.mix_step import Label
from samix.mixing import Pairing
from samix.networks import Statistics
from samix.networks.described import MOST_PIXELS, check_model_options

from .plain_values import fits, kind_words, plain_kinds

_PRETRAINED_LR = 0.1  # of the default: weights that are good already are changed slowly
_LR_BATCH = 256  # photos for which the default learning rate of pre-training holds
Optimizer = Literal["sgd", "adamw"]
Precision = Literal["32", "bf16", "16", "auto"]
_MOST = {
    "image_size": MOST_PIXELS, "batch_size": 2**24, "epochs": 10**7, "accumulate": 2**24,
    "devices": 1024, "nodes": 2**16, "workers": 1024, "seed": 2**62,
}  # fmt: skip
AUTOCAST = {"32": None, "bf16": torch.bfloat16, "16": torch.float16}


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """Data, network, mixing, optimiser and machine of a run of any kind.

    Attributes:
        data: "demo", a folder, a parquet folder, or a timm name.
        output: Run folder; None takes the first free name below ``runs``.
        preset: Name of the preset that the values came from, for the record.
        data_root: Folder of the data for timm names.
        download: Let timm names fetch data.
        skip_corrupt: Leave out photos that cannot be read, instead of refusing them.
        max_megapixels: Photos of more million pixels are not read.
        group_by: Regular expression or CSV that says which photos belong together.
        duplicates: "group" keeps near-duplicates on one side of a new split, "ignore" does not look
            for them; see :func:`samix.data.keep_together`.
        splits: File that says which photos are train, val and test, as splits.csv of a run; what
            is "unused" there stays so. None divides them.
        val_fraction: Share of the photos for validation where the data has no such part.
        test_fraction: The same for test.
        image_size: Side of the network's input in pixels.
        batch_size: Photos in an optimiser step's batch over all processes; None is the default.
        shrink_batch: Reduce a batch size that is larger than the data instead of refusing it.
        backbone: Name of a timm model.
        model_kwargs: Further arguments of ``timm.create_model``, of those in
            :data:`samix.networks.described.OPTIONS`, so that others can open the run safely.
        pretrained: Start from timm's weights of that backbone.
        weights: File or name of the weights to start from, see
            :func:`samix.networks.load_weights`; the classifier is fresh where it does not fit.
        stem: "small" for images of up to 64 pixels.
        tap: Where the Mixer reads; None is the default of :func:`samix.networks.find_tap`.
        policy: Name in :data:`samix.POLICIES`, the folder of a run whose Mixer is taken, or of a
            pre-trained Mixer.
        policy_options: Options of the policy, such as alpha and p.
        mixer_from: Folder of the run that the Mixer starts from; ``policy`` is resolved into it.
        freeze_mixer: The Mixer stays as it is; only for one from a run.
        guard: Options of the guard that checks mixes, fields of
            :class:`samix.guard.GuardOptions`; None checks nothing.
        mix_epochs: Passes over the photos, from the first, that mix them; None mixes in all.
        clean_branch: Whether and how the network also learns from unmixed photos, see
            :func:`samix.methods.find_clean`; None is the default of the kind of run and the policy.
        cost: A name of :data:`samix.methods.COSTS`: how much work a learned policy may cause.
        eta: Weight of the global term in the Mixer's loss.
        area_weight: Weight of the area loss in the Mixer's loss.
        epochs: Passes over the training photos.
        optimizer: "sgd" (Nesterov momentum 0.9) or "adamw".
        lr: Largest learning rate; None is the default of the kind of run.
        mixer_lr: Learning rate of the Mixer; None is ``lr``.
        mixer_weight_decay: Weight decay of the Mixer.
        weight_decay: None is the default of the kind of run.
        warmup: Share of the steps over which the learning rate rises linearly, in [0, 1).
        final_lr: Learning rate at the end as a share of the largest, in [0, 1]; cosine in between.
        clip: Largest norm of the gradient; None does not clip.
        accumulate: Batches whose gradients are added up for one optimiser step.
        validate_every: Epochs from one look at validation to the next, each with a checkpoint; None
            chooses, so that a run does not spend its time on judging.
        seed: Seed of weights, order, augmentation and mixes.
        device: "auto", "cpu", "cuda", "cuda:1" or "mps".
        precision: "32", "bf16" or "16" (mixed); "auto" is bf16 where the device computes in it.
        devices: Processes on this machine.
        nodes: Machines.
        workers: Loading processes; None chooses.
    """

    command: ClassVar[str]
    default_batch_size: ClassVar[int]

    data: str
    output: str | None = None
    preset: str | None = None
    data_root: str | None = None
    download: bool = False
    skip_corrupt: bool = False
    max_megapixels: int = MAX_MEGAPIXELS
    group_by: str | None = None
    duplicates: DuplicateUse = "group"
    splits: str | None = None
    val_fraction: float = 0.15
    test_fraction: float = 0.2
    image_size: int = 224
    batch_size: int | None = None
    shrink_batch: bool = False
    backbone: str = "resnet18"
    model_kwargs: Mapping[str, Any] = field(default_factory=dict)
    pretrained: bool = False
    weights: str | None = None
    stem: Literal["small"] | None = None
    tap: int | None = None
    policy: str = "samix"
    policy_options: Mapping[str, Any] = field(default_factory=dict)
    mixer_from: str | None = None
    freeze_mixer: bool = False
    guard: Mapping[str, Any] | None = None
    mix_epochs: float | None = None
    clean_branch: bool | str | Mapping[str, Any] | None = None
    cost: str = DEFAULT_COST
    eta: float = 0.5
    area_weight: float = 0.0
    epochs: int = 100
    optimizer: Optimizer = "sgd"
    lr: float | None = None
    mixer_lr: float | None = None
    mixer_weight_decay: float = 0.0
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
        if not self.data:
            raise InputError("DATA must name a folder, a data set or 'demo', got an empty name")
        check_at_least(
            self, 1, "image_size", "batch_size", "epochs", "accumulate", "devices", "nodes",
            "validate_every",
        )  # fmt: skip
        check_at_least(self, 0, "seed", "workers")
        for name, most in _MOST.items():
            _check_at_most(self, most, name)
        try:
            check_model_options(self.model_kwargs)
        except ValueError as error:
            raise InputError(str(error).replace("model_kwargs", "--model-kwargs", 1)) from error
        _check_ranges(self)
        if self.weights is not None and self.pretrained:
            raise InputError(
                "--weights and --pretrained both say where the weights come from; leave one out"
            )
        if self.splits is not None and self.group_by is not None:
            raise InputError(
                "--splits and --group-by both say which photos belong together; leave one out"
            )
        check_choice(self, "optimizer", get_args(Optimizer))
        check_choice(self, "precision", get_args(Precision))
        check_choice(self, "stem", ("small", None))
        check_choice(self, "cost", tuple(COSTS))
        check_choice(self, "duplicates", get_args(DuplicateUse))

    @property
    def processes(self) -> int:
        """Number of processes over all machines."""
        return self.devices * self.nodes

    @property
    def name_parts(self) -> tuple[str, ...]:
        """Words that tell runs on the same data apart, for the name of a folder."""
        return (Path(self.policy).name,)

    def default_lr(self, batch_size: int) -> float:
        """Return the largest learning rate where none is given."""
        raise NotImplementedError

    def default_weight_decay(self) -> float:
        """Return the weight decay where none is given."""
        raise NotImplementedError

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for a file; :func:`from_dict` reads them."""
        values = asdict(self)
        return {name: dict(v) if isinstance(v, Mapping) else v for name, v in values.items()}


Config = TypeVar("Config", bound=RunConfig)


@dataclass(frozen=True, kw_only=True)
class TrainConfig(RunConfig):
    """What supervised training does; :func:`resolve` fills in what is None and can be derived.

    Defaults: batch size 100; ``lr`` 0.1 for sgd and 1e-3 for adamw, a tenth of it from trained
    weights; ``weight_decay`` 5e-4 for sgd and 0.05 for adamw.

    Attributes:
        labels_per_class: Use so many labels of each class.
        label_fraction: Use this share of the labels of each class, in (0, 1].
        balance: How evenly classes are drawn, in [0, 1]: 0 as often as they are, 1 equally often,
            0.5 by the square root of their counts. Photos are then drawn with replacement.
        augmentation: "none", "light", "standard" or "strong"; None chooses by image size.
        init: Folder of the run whose encoder the network starts from; its classifier is fresh.
        pairing: Who is mixed with whom, see :func:`samix.mixing.draw_partners`.
        label: What the label of a mix uses instead of the policy's own: "area", "lam", "saliency"
            or "attention"; None leaves it to the policy.
        decoupled: Weight of the decoupled mixup loss, 0 or more.
        momentum_average: Keep an average; None only where the policy needs it.
        teacher_statistics: What batch norms of the average use, "auto", "averaged" or "batch"; see
            :class:`samix.networks.MomentumEncoder`.
        label_smoothing: Share of each label spread over all classes.
        final: The test photos are learned from too, so that the run has no test figure; validation
            still chooses the weights.
    """

    command: ClassVar[str] = "train"
    default_batch_size: ClassVar[int] = 100

    labels_per_class: int | None = None
    label_fraction: float | None = None
    balance: float = 0.0
    augmentation: Augmentation | None = None
    init: str | None = None
    pairing: Pairing = "any"
    label: Label | None = None
    decoupled: float = 0.0
    momentum_average: bool | None = None
    teacher_statistics: Statistics = "auto"
    label_smoothing: float = 0.0
    final: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_at_least(self, 1, "labels_per_class")
        check_share(self, "label_smoothing")
        check_choice(self, "augmentation", (*get_args(Augmentation), None))
        check_choice(self, "pairing", get_args(Pairing))
        check_choice(self, "label", (*get_args(Label), None))
        check_choice(self, "teacher_statistics", get_args(Statistics))
        if not 0 <= self.balance <= 1:
            raise InputError(f"--balance must be in [0, 1], got {self.balance}")
        if self.label_fraction is not None and not 0 < self.label_fraction <= 1:
            raise InputError(f"--label-fraction must be in (0, 1], got {self.label_fraction}")
        if self.init is not None and (self.pretrained or self.weights is not None):
            other = "--pretrained" if self.pretrained else "--weights"
            raise InputError(
                f"--init and {other} both say where the weights come from; leave one out"
            )

    def default_lr(self, batch_size: int) -> float:
        """Return the largest learning rate where none is given; the batch does not matter."""
        trained = self.pretrained or self.init is not None or self.weights is not None
        return {"sgd": 0.1, "adamw": 1e-3}[self.optimizer] * (_PRETRAINED_LR if trained else 1.0)

    def default_weight_decay(self) -> float:
        """Return the weight decay where none is given."""
        return {"sgd": 5e-4, "adamw": 0.05}[self.optimizer]


@dataclass(frozen=True, kw_only=True)
class PretrainConfig(RunConfig):
    """What self-supervised training does; labels are not part of it.

    Defaults: batch size 256; ``lr`` 0.06 for sgd and 1.5e-4 for adamw, times batch size / 256;
    ``weight_decay`` 5e-4 for sgd and 0.1 for adamw.

    Attributes:
        method: Name in :data:`samix.METHODS`, except "supervised".
        method_options: Options of the method, such as temperature and queue_size.
        more_data: Further sets of photos, as ``data``, that are learned from together with it. Each
            is split by itself, and no class is looked at any more.
        standardise: Show the network each photo with mean 0 and deviation 1 in each channel, as a
            pre-trained Mixer looks at photos, instead of normalised by what its backbone wants.
        views: "moco", "simclr" or "byol", see :func:`samix.data.two_views`; None chooses by method.
        view_size: Side of the views in pixels, at most ``image_size``, which it is where None.
            Small views are quicker to learn from, and a convolutional network can be used at a
            larger size than it was trained at (FixRes, arXiv 1906.06423).
    """

    command: ClassVar[str] = "pretrain"
    default_batch_size: ClassVar[int] = 256

    method: str = "moco"
    method_options: Mapping[str, Any] = field(default_factory=dict)
    more_data: tuple[str, ...] = ()
    standardise: bool = False
    views: RecipeName | None = None
    view_size: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "more_data", tuple(self.more_data))  # a list in config.yaml
        super().__post_init__()
        check_choice(self, "views", (*get_args(RecipeName), None))
        check_at_least(self, 1, "view_size")
        if self.view_size is not None and self.view_size > self.image_size:
            raise InputError(
                f"--view-size {self.view_size} must be at most --image-size {self.image_size}: "
                "views are cut from photos of that size"
            )
        if self.batch_size is not None and self.batch_size < 2 * self.processes:
            raise InputError(
                f"--batch-size {self.batch_size} must be at least 2 for each process, of which "
                f"there are {self.processes}: a photo alone has nothing to be told apart from"
            )

    @property
    def name_parts(self) -> tuple[str, ...]:
        """Method and policy."""
        return (self.method, Path(self.policy).name)

    def default_lr(self, batch_size: int) -> float:
        """Return the largest learning rate where none is given, which follows the batch."""
        return {"sgd": 0.06, "adamw": 1.5e-4}[self.optimizer] * batch_size / _LR_BATCH

    def default_weight_decay(self) -> float:
        """Return the weight decay where none is given."""
        return {"sgd": 5e-4, "adamw": 0.1}[self.optimizer]


CONFIGS: dict[str, type[RunConfig]] = {kind.command: kind for kind in (TrainConfig, PretrainConfig)}
"""The configuration of each kind of run, by the command that starts it."""


def from_dict(values: Mapping[str, Any], kind: type[Config] = TrainConfig) -> Config:  # type: ignore[assignment]
    """Return a configuration from plain values.

    Args:
        values: By the names of the fields.
        kind: Which configuration.

    Raises:
        InputError: An unknown name or a value outside its range.
    """
    known = plain_kinds(kind)
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise InputError(f"unknown setting '{unknown[0]}'; expected one of {', '.join(known)}")
    for name, value in values.items():
        if not fits(value, known[name]):
            raise InputError(
                f"{flag_of(name)} must be {kind_words(known[name])}, got {value!r:.80}"
            )
    return kind(**values)


def resolve(config: Config) -> Config:
    """Return the configuration with whole paths, device and, where the batch is known, rates.

    Raises:
        InputError: The device is not there, or does not do what is asked.
    """
    device = choose_device(config)
    config = replace(
        config,
        data=whole_path(config.data),
        splits=None if config.splits is None else str(Path(config.splits).expanduser().resolve()),
        device=device,
        precision=choose_precision(config, device),
    )
    if isinstance(config, PretrainConfig):
        config = replace(config, more_data=tuple(map(whole_path, config.more_data)))
    return fill_rates(config)


def fill_rates(config: Config) -> Config:
    """Return the configuration with learning rates and weight decay.

    Where the batch may still shrink, and the learning rate follows it, nothing is filled in.
    """
    if config.shrink_batch and config.default_lr(1) != config.default_lr(2):
        return config
    lr = config.lr
    if lr is None:
        lr = config.default_lr(config.batch_size or config.default_batch_size)
    decay = config.weight_decay
    return replace(
        config,
        lr=lr,
        mixer_lr=lr if config.mixer_lr is None else config.mixer_lr,
        weight_decay=config.default_weight_decay() if decay is None else decay,
    )


def flag_of(name: str) -> str:
    """Return the option of the command line that sets a field."""
    return f"--{name.replace('_', '-')}"


def check_at_least(config: RunConfig, least: int, *names: str) -> None:
    """Refuse fields below a number; None is never refused.

    Raises:
        InputError: One is; the message names it.
    """
    for name in names:
        value = getattr(config, name)
        if value is not None and value < least:
            raise InputError(f"{flag_of(name)} must be at least {least}, got {value}")


def _check_at_most(config: RunConfig, most: int, name: str) -> None:
    """Refuse a field above a number."""
    value = getattr(config, name)
    if value is not None and value > most:
        raise InputError(f"{flag_of(name)} must be at most {most}, got {value}")


def check_choice(config: RunConfig, name: str, known: tuple[str | None, ...]) -> None:
    """Refuse a word that is not known.

    Raises:
        InputError: It is not; the message has those that are.
    """
    if getattr(config, name) not in known:
        options = ", ".join(word for word in known if word is not None)
        raise InputError(f"{flag_of(name)} must be one of {options}, got {getattr(config, name)!r}")


def check_share(config: RunConfig, name: str) -> None:
    """Refuse what is not in [0, 1).

    Raises:
        InputError: It is not.
    """
    if not 0 <= getattr(config, name) < 1:
        raise InputError(f"{flag_of(name)} must be in [0, 1), got {getattr(config, name)}")


def _check_ranges(config: RunConfig) -> None:
    """Refuse numbers outside their range; written so that NaN is refused too."""
    infinity = float("inf")
    for name in ("lr", "mixer_lr", "clip"):
        value = getattr(config, name)
        if value is not None and not 0 < value < infinity:
            raise InputError(f"{flag_of(name)} must be a number above 0, got {value}")
    for name in (
        "eta",
        "area_weight",
        "weight_decay",
        "mixer_weight_decay",
        "mix_epochs",
        "decoupled",
    ):
        value = getattr(config, name, None)
        if value is not None and not 0 <= value < infinity:
            raise InputError(f"{flag_of(name)} must be a number of at least 0, got {value}")
    check_share(config, "warmup")
    if not 0 <= config.final_lr <= 1:
        raise InputError(f"--final-lr must be a share in [0, 1], got {config.final_lr}")
    for name in ("val_fraction", "test_fraction"):
        if not 0 < getattr(config, name) < 1:
            raise InputError(f"{flag_of(name)} must be in (0, 1), got {getattr(config, name)}")


def whole_path(data: str) -> str:
    """Return an existing path as an absolute one, so that a run can be resumed from anywhere."""
    return str(Path(data).resolve()) if Path(data).exists() else data


def choose_device(config: RunConfig) -> str:
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


def choose_precision(config: RunConfig, device: str) -> Precision:
    """Return the precision, with "auto" resolved for a device: bfloat16 where it is quicker.

    Args:
        config: Of the run.
        device: From :func:`choose_device`.
    """
    if config.precision != "auto":
        return config.precision
    return "bf16" if computes_bfloat16(device) else "32"


def computes_bfloat16(device: str) -> bool:
    """Return whether a device has instructions for bfloat16, and is quicker in it than in float32.

    GPUs of compute capability 8.0 and CPUs with AVX512-BF16 or AMX have. Others emulate it, which
    takes a CPU several times as long as float32.

    Args:
        device: From :func:`choose_device`.
    """
    if device.startswith("cuda"):
        return torch.cuda.get_device_capability(device) >= (8, 0)
    features = (torch.cpu._is_avx512_bf16_supported, torch.cpu._is_amx_tile_supported)
    return device == "cpu" and any(there() for there in features)


def emulation_notes(config: RunConfig) -> tuple[str, ...]:
    """Return what to tell where a run computes in a precision that its CPU only emulates."""
    if config.precision != "bf16" or config.device != "cpu" or computes_bfloat16("cpu"):
        return ()
    return (
        "This CPU has no instructions for bfloat16 and emulates it: steps take several times as "
        "long as with --precision 32, which --precision auto would choose.",
    )
