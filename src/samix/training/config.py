"""TrainConfig and PretrainConfig: everything that decides what a run does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, TypeVar, get_args

from samix.data import Augmentation, RecipeName
from samix.errors import InputError
from samix.methods.mix_step import Label
from samix.mixing import Pairing
from samix.networks import Statistics

from .plain_values import fits, kind_words, plain_kinds
from .settings import (
    RunConfig,
    check_at_least,
    check_choice,
    check_share,
    choose_device,
    choose_precision,
    flag_of,
    whole_path,
)

_PRETRAINED_LR = 0.1  # of the default: weights that are good already are changed slowly
_LR_BATCH = 256  # photos for which the default learning rate of pre-training holds

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
        if self.init is not None and self.pretrained:
            raise InputError(
                "--init and --pretrained both say where the weights come from; leave one out"
            )

    def default_lr(self, batch_size: int) -> float:
        """Return the largest learning rate where none is given; the batch does not matter."""
        trained = self.pretrained or self.init is not None
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
