"""Methods: plain modules from a batch to a StepOutput. No trainer, no files."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .clean import CLEAN_BRANCHES, CleanBranch, find_clean
    from .compiled import CompiledStep, compile_regions, compile_step
    from .contrast import has_local_statistics
    from .factory import (
        METHODS,
        SELF_SUPERVISED,
        backbone_options,
        create_method,
        create_self_supervised,
        method_options,
    )
    from .mix_step import check_views, scaled
    from .options import DEFAULT_COST, MixOptions, SelfSupervisedOptions, SupervisedOptions
    from .rivals import RIVALS, Rival
    from .self_supervised import SelfSupervisedMethod
    from .step import COSTS, Cost, StepOutput
    from .supervised import SupervisedMethod

_PARTS = ("options", "clean", "mix_step", "step", "rivals", "contrast", "factory", "compiled")
__all__ = [
    "CLEAN_BRANCHES",
    "COSTS",
    "DEFAULT_COST",
    "METHODS",
    "RIVALS",
    "SELF_SUPERVISED",
    "CleanBranch",
    "CompiledStep",
    "Cost",
    "MixOptions",
    "Rival",
    "SelfSupervisedMethod",
    "SelfSupervisedOptions",
    "StepOutput",
    "SupervisedMethod",
    "SupervisedOptions",
    "backbone_options",
    "check_views",
    "compile_regions",
    "compile_step",
    "create_method",
    "create_self_supervised",
    "find_clean",
    "has_local_statistics",
    "method_options",
    "scaled",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is asked for: the options are read without torch."""
    for part in _PARTS if name in __all__ else ():
        module = import_module(f".{part}", __name__)
        if hasattr(module, name):
            globals()[name] = value = getattr(module, name)
            return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
