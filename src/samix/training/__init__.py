"""Training runs from a configuration to a run folder: the only place that imports lightning."""

from .config import TrainConfig, from_dict
from .interrupt import TrainingDivergedError
from .progress import Display, Silent, Terminal
from .runner import TrainResult, resume, train
from .runs import RunFolder, open_run, read_config

__all__ = [
    "Display",
    "RunFolder",
    "Silent",
    "Terminal",
    "TrainConfig",
    "TrainResult",
    "TrainingDivergedError",
    "from_dict",
    "open_run",
    "read_config",
    "resume",
    "train",
]
