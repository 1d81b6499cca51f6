"""Training runs from a configuration to a run folder: the only place that imports lightning."""

from samix.progress import Display, Silent

from .config import PretrainConfig, RunConfig, TrainConfig, from_dict
from .progress import Terminal, TrainingDivergedError, WorkerDiedError
from .run import TrainResult, pretrain, resume, train
from .run_folder import RunFolder, open_run, read_config

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
