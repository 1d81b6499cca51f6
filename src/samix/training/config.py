"""What decides what a run does: RunConfig, and the TrainConfig and PretrainConfig made of it.

Each setting is declared once; its help serves the command line and the documents.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from samix.errors import InputError
from samix.files import MAX_MEGAPIXELS
from samix.methods.options import MixOptions, SupervisedOptions
from samix.options import option

if TYPE_CHECKING:
    from samix.data import Augmentation, DuplicateUse, RecipeName

Optimizer = Literal["sgd", "adamw"]
Precision = Literal["32", "bf16", "16", "auto"]
_PRETRAINED_LR = 0.1  # of the default: weights that are good already are changed slowly
FROZEN = "frozen"
"""The policy of a run that trains no network, only a linear head on a trained encoder."""
_LR_BATCH = 256  # photos for which the default learning rate of pre-training holds


def _rates(kind: type[RunConfig]) -> str:
    return f"{_by_optimizer(kind.rates)}{kind.rates_also}"


def _decays(kind: type[RunConfig]) -> str:
    return _by_optimizer(kind.decays)


def _batch(kind: type[RunConfig]) -> str:
    return str(kind.default_batch_size)


def _by_optimizer(numbers: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {f'{number:f}'.rstrip('0')}" for name, number in numbers.items())


def _check_size(size: int) -> None:
    from samix.networks.described import check_image_size  # noqa: PLC0415 - help needs none of it

    check_image_size(size)


def _check_model(options: Mapping[str, Any]) -> None:
    from samix.networks.described import check_model_options  # noqa: PLC0415

    check_model_options(options)


@dataclass(frozen=True, kw_only=True)
class RunConfig(MixOptions):
    """Data, network, mixing, optimiser and machine of a run of any kind."""

    default_batch_size: ClassVar[int]
    rates: ClassVar[Mapping[str, float]]  # default learning rate by optimiser
    rates_also: ClassVar[str]  # what the help says of them besides
    decays: ClassVar[Mapping[str, float]]  # default weight decay by optimiser

    data: str = option(
        help="folder, parquet folder, timm name, or 'demo'", group="run", metavar="DATA"
    )
    preset: str | None = option(None, "settings to start from", group="run", metavar="NAME")
    output: str | None = option(
        None, "run folder to create", group="run", metavar="RUN", shown="a free name below runs/"
    )
    seed: int = option(0, "seed of everything random", group="run", least=0, most=2**62)
    data_root: str | None = option(
        None, "folder of the data for timm names", group="data", metavar="DIR"
    )
    download: bool = option(False, "let timm names fetch their data", group="data")
    skip_corrupt: bool = option(
        False, "leave out photos that cannot be read, instead of stopping", group="data"
    )
    max_megapixels: int = option(
        MAX_MEGAPIXELS,
        "largest photo that is read, in millions of pixels; each takes 4 to 8 MB",
        group="data",
    )
    labels: str | None = option(
        None,
        "table with the path and the label of each photo below DATA: CSV, JSON lines or Parquet",
        group="data",
        metavar="TABLE",
        shown="folders say the classes",
    )
    label_column: str | None = option(
        None,
        "column of the labels, in that table or in Parquet files",
        group="data",
        metavar="NAME",
        shown="found",
    )
    group_by: str | None = option(
        None,
        "which photos belong together and stay on one side of every split: a regular expression "
        "that finds the group in a photo's path, or a table with columns path, group",
        group="data",
        metavar="REGEX|TABLE",
    )
    duplicates: DuplicateUse = option(
        "group",
        "near-duplicate photos: 'group' keeps them on one side of a new split, 'ignore' does not "
        "look for them; group_by comes before it",
        group="data",
        metavar="group|ignore",
    )
    splits: str | None = option(
        None,
        "the train, val and test photos of an earlier run: its splits.csv",
        group="data",
        metavar="CSV",
        shown="they are divided anew",
    )
    val_fraction: float = option(0.15, "share for validation", group="data", above=0, below=1)
    test_fraction: float = option(0.2, "share for the test", group="data", above=0, below=1)
    image_size: int = option(
        224, "side in pixels that the network sees", group="data", least=1, check=_check_size
    )
    backbone: str = option("resnet18", "any timm model", group="network", metavar="NAME")
    pretrained: bool = option(False, "start from timm's weights of that backbone", group="network")
    weights: str | None = option(
        None,
        "weights to start from: a .safetensors or .pth file, the name of a timm model "
        "(tf_efficientnet_lite0 needs no download), or of a set of torchvision such as "
        "ResNet18_Weights.IMAGENET1K_V1",
        group="network",
        metavar="FILE|NAME",
    )
    stem: Literal["small"] | None = option(
        None, "'small' for photos of up to 64 pixels", group="network", metavar="small"
    )
    model_kwargs: Mapping[str, Any] = option(
        {},
        "arguments of the timm model, e.g. layers=[1,1,1,1] drop_path_rate=0.1",
        group="network",
        check=_check_model,
    )
    mixer_from: str | None = None
    freeze_mixer: bool = option(
        False, "do not train the Mixer that policy=RUN brings", group="mixing"
    )
    mix_epochs: float | None = option(
        None,
        "passes over the photos, from the first, in which they are mixed",
        group="mixing",
        shown="all",
        least=0,
    )
    epochs: int = option(100, "passes over the photos", group="training", least=1, most=10**7)
    steps: int | None = option(
        None,
        "steps instead of `epochs`, to the next full pass",
        group="training",
        least=1,
        most=10**9,
    )
    batch_size: int | None = option(
        None, "photos per step, all processes", group="training", shown=_batch, least=1, most=2**24
    )
    shrink_batch: bool = False
    fit_size: bool = False  # image_size may be made to suit photos and network
    fit_steps: bool = False  # steps may be made to suit photos and machine
    optimizer: Optimizer = option("sgd", "sgd or adamw", group="training", metavar="NAME")
    lr: float | None = option(None, "learning rate", group="training", shown=_rates, above=0)
    mixer_lr: float | None = option(
        None, "learning rate of the Mixer", group="training", shown="that of the network", above=0
    )
    weight_decay: float | None = option(
        None, "weight decay of the network", group="training", shown=_decays, least=0
    )
    mixer_weight_decay: float = option(0.0, "weight decay of the Mixer", group="training", least=0)
    warmup: float = option(
        0.05, "share of steps with rising rate", group="training", least=0, below=1
    )
    final_lr: float = option(
        0.0, "share of the rate left at the end", group="training", least=0, most=1
    )
    validate_every: int | None = option(
        None,
        "epochs from one look at validation, with a checkpoint, to the next",
        group="training",
        shown="chosen; mostly 1",
        least=1,
    )
    clip: float | None = option(None, "largest norm of the gradient", group="training", above=0)
    accumulate: int = option(1, "batches per step", group="training", least=1, most=2**24)
    device: str = option("auto", "auto, cpu, cuda, cuda:1 or mps", group="machine", metavar="NAME")
    precision: Precision = option(
        "auto",
        "32, bf16, 16, or auto: bf16 where the machine is quicker in it",
        group="machine",
        metavar="BITS",
    )
    compile: bool = option(
        False,
        "let torch.compile take over the blocks of the networks, which takes a minute or more",
        group="machine",
    )
    devices: int = option(1, "processes on this machine", group="machine", least=1, most=1024)
    nodes: int = option(1, "machines, started by torchrun", group="machine", least=1, most=2**16)
    workers: int | None = option(
        None, "processes that load photos", group="machine", shown="chosen", least=0, most=1024
    )

    def __post_init__(self) -> None:
        if not self.data:
            raise InputError("data: expected a folder, a data set or 'demo', got an empty name")
        try:
            super().__post_init__()
        except (ValueError, TypeError) as error:
            raise InputError(str(error)) from error
        if (self.batch_size or 0) % self.processes and not self.shrink_batch:
            raise InputError(
                f"batch_size={self.batch_size} cannot be shared by {self.processes} processes; "
                "choose a multiple"
            )
        if self.weights is not None and self.pretrained:
            raise InputError(
                "weights: expected None beside pretrained=True, as both say where the weights come "
                f"from, got '{self.weights}'; leave one out"
            )
        if self.splits is not None and self.group_by is not None:
            raise InputError(
                "splits: expected None beside group_by, as both say which photos belong together, "
                f"got '{self.splits}'; leave one out"
            )

    @classmethod
    def types(cls) -> Mapping[str, Any]:
        """Return the types of fields that are imported only where a record is made."""
        from samix.data import Augmentation, DuplicateUse, RecipeName  # noqa: PLC0415 - help needs none of it

        own = {"Augmentation": Augmentation, "DuplicateUse": DuplicateUse, "RecipeName": RecipeName}
        return {**super().types(), **own}

    @cached_property
    def processes(self) -> int:
        """Number of processes over all machines."""
        return self.devices * self.nodes

    @property
    def name_parts(self) -> tuple[str, ...]:
        """Words that tell runs on the same data apart, for the name of a folder."""
        return (Path(self.policy).name.replace(":", "-"),)

    def default_lr(self, batch_size: int) -> float:
        """Return the largest learning rate where none is given."""
        raise NotImplementedError

    def default_weight_decay(self) -> float:
        """Return the weight decay where none is given."""
        return self.decays[self.optimizer]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for a file; :func:`samix.options.from_plain` reads them."""
        values = asdict(self)
        return {name: dict(v) if isinstance(v, Mapping) else v for name, v in values.items()}


@dataclass(frozen=True, kw_only=True)
class TrainConfig(RunConfig, SupervisedOptions):
    """What supervised training does; what is None and can be derived is filled in later."""

    command: ClassVar[str] = "train"
    default_batch_size: ClassVar[int] = 100
    rates: ClassVar[Mapping[str, float]] = {"sgd": 0.1, "adamw": 1e-3}
    rates_also: ClassVar[str] = "; a tenth of it with pretrained, weights or init"
    decays: ClassVar[Mapping[str, float]] = {"sgd": 5e-4, "adamw": 0.05}

    labels_per_class: int | None = option(
        None, "use only N labels of each class", group="data", least=1
    )
    label_fraction: float | None = option(
        None, "use only this share of labels", group="data", above=0, most=1
    )
    balance: float = option(
        0.0,
        "how evenly classes are drawn: 0 as often as they are, 1 equally often, 0.5 between",
        group="data",
        least=0,
        most=1,
    )
    augmentation: Augmentation | None = option(
        None,
        "none, light (flip, small shift), standard (flip, crop) or strong (and RandAugment)",
        group="data",
        metavar="NAME",
        shown="by image size",
    )
    init: str | None = option(
        None,
        "run of samix pretrain or samix train whose encoder is the start; its network settings are "
        "taken, its split too where the data is the same",
        group="network",
        metavar="RUN",
    )
    probe: bool = option(
        False,
        "let the classifier begin as the best linear head on the trained network as it is, then "
        "learn all weights",
        group="network",
    )
    layer_decay: float = option(
        1.0,
        "learning rate of a layer as a share of that of the next one, so that early layers of a "
        "trained network change little",
        group="training",
        above=0,
        most=1,
    )
    final: bool = option(
        False,
        "learn from the test photos too: the model then has no test figure of its own",
        group="final model",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.init is not None and (self.pretrained or self.weights is not None):
            other = "pretrained=True" if self.pretrained else f"weights={self.weights}"
            raise InputError(
                f"init: expected None beside {other}, as both say where the weights come from, "
                f"got '{self.init}'; leave one out"
            )
        if self.probe and not self.has_weights:
            raise InputError(
                "probe: expected False for a network with random weights, which a linear head "
                "learns nothing from, got True; give weights, pretrained or init"
            )

    @property
    def has_weights(self) -> bool:
        """Whether the network begins with trained weights."""
        return self.pretrained or self.weights is not None or self.init is not None

    def default_lr(self, batch_size: int) -> float:
        """Return the largest learning rate where none is given; the batch does not matter."""
        return self.rates[self.optimizer] * (_PRETRAINED_LR if self.has_weights else 1.0)


@dataclass(frozen=True, kw_only=True)
class PretrainConfig(RunConfig):
    """What self-supervised training does; labels are not part of it."""

    command: ClassVar[str] = "pretrain"
    default_batch_size: ClassVar[int] = 256
    rates: ClassVar[Mapping[str, float]] = {"sgd": 0.06, "adamw": 1.5e-4}
    rates_also: ClassVar[str] = f", times batch size / {_LR_BATCH}"
    decays: ClassVar[Mapping[str, float]] = {"sgd": 5e-4, "adamw": 0.1}

    method: str = option(
        "moco", "moco, simclr, byol, or mocov3 for transformers", group="method", metavar="NAME"
    )
    method_options: Mapping[str, Any] = option(
        {},
        "options of the method, e.g. temperature=0.1 queue_size=16384 cross_view=true",
        group="method",
    )
    more_data: tuple[str, ...] = ()
    views: RecipeName | None = option(
        None,
        "how the two views of a photo are made: moco, simclr or byol",
        group="data",
        metavar="NAME",
        shown="that of the method",
    )
    view_size: int | None = option(
        None,
        "side of the views in pixels, at most image_size; smaller views are quicker to learn from",
        group="data",
        shown="the same",
        least=1,
    )
    standardise: bool = option(
        False,
        "show the network each photo with mean 0 and deviation 1, as a pre-trained Mixer sees it",
        group="data",
    )

    def __post_init__(self) -> None:
        object.__setattr__(self, "more_data", tuple(self.more_data))  # a list in config.yaml
        super().__post_init__()
        if self.more_data and self.labels is not None:
            raise InputError(
                "labels: expected None for several sets of photos, whose classes are not looked "
                f"at, got '{self.labels}'; leave it out"
            )
        if self.view_size is not None and self.view_size > self.image_size:
            raise InputError(
                f"view_size: expected at most image_size ({self.image_size}), as views are cut "
                f"from photos of that size, got {self.view_size}"
            )
        if self.batch_size is not None and self.batch_size < 2 * self.processes:
            raise InputError(
                f"batch_size: expected at least 2 for each of {self.processes} process(es), as a "
                f"photo alone has nothing to be told apart from, got {self.batch_size}"
            )

    @property
    def name_parts(self) -> tuple[str, ...]:
        """Method and policy."""
        return (self.method, Path(self.policy).name.replace(":", "-"))

    def default_lr(self, batch_size: int) -> float:
        """Return the largest learning rate where none is given, which follows the batch."""
        return self.rates[self.optimizer] * batch_size / _LR_BATCH


CONFIGS: dict[str, type[RunConfig]] = {kind.command: kind for kind in (TrainConfig, PretrainConfig)}
"""The configuration of each kind of run, by the command that starts it."""


def whole_path(data: str) -> str:
    """Return an existing path as an absolute one, so that a run can be resumed from anywhere."""
    return str(Path(data).resolve()) if Path(data).exists() else data
