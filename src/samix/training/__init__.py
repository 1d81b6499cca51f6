"""Training runs from a configuration to a run folder: the only place that imports lightning."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from samix.progress import Display, Silent

    from .config import PretrainConfig, RunConfig, TrainConfig
    from .progress import Terminal, TrainingDivergedError, WorkerDiedError
    from .run import TrainResult, pretrain, resume, train
    from .run_folder import RunFolder, open_run, read_config

_PARTS = ("config", "run_folder", "progress", "run")
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
    "open_run",
    "pretrain",
    "read_config",
    "resume",
    "train",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is asked for: configurations are read without lightning."""
    for part in _PARTS if name in __all__ else ():
        module = import_module(f".{part}", __name__)
        if hasattr(module, name):
            globals()[name] = value = getattr(module, name)
            return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
