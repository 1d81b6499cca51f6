"""Training runs from a configuration to a run folder: the only place that imports lightning."""

from .config import PretrainConfig, TrainConfig, from_dict
from .interrupt import TrainingDivergedError, WorkerDiedError
from .progress import Display, Silent, Terminal
from .runner import TrainResult, pretrain, resume, train
from .runs import RunFolder, open_run, read_config
from .settings import RunConfig

__all__ = [
    "Display",
    "PretrainConfig",
    "RunConfig",
    "RunFolder",
    "Silent",
    "Terminal",
    "TrainConfig",
    "TrainResult",
    "TrainingDivergedError",
    "WorkerDiedError",
    "from_dict",
    "open_run",
    "pretrain",
    "read_config",
    "resume",
    "train",
]
