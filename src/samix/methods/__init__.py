"""Methods: plain modules from a batch to a StepOutput. No trainer, no files."""

from .clean import CLEAN_BRANCHES, CleanBranch, find_clean
from .contrast import has_local_statistics
from .factory import METHODS, create_method
from .mix_step import check_views, scaled
from .rivals import RIVALS, Rival
from .self_supervised import SelfSupervisedMethod
from .self_supervised_factory import SELF_SUPERVISED, create_self_supervised, method_options
from .self_supervised_options import SelfSupervisedOptions
from .step import COSTS, DEFAULT_COST, Cost, StepOutput
from .supervised import SupervisedMethod, SupervisedOptions

__all__ = [
    "CLEAN_BRANCHES",
    "COSTS",
    "DEFAULT_COST",
    "METHODS",
    "RIVALS",
    "SELF_SUPERVISED",
    "CleanBranch",
    "Cost",
    "Rival",
    "SelfSupervisedMethod",
    "SelfSupervisedOptions",
    "StepOutput",
    "SupervisedMethod",
    "SupervisedOptions",
    "check_views",
    "create_method",
    "create_self_supervised",
    "find_clean",
    "has_local_statistics",
    "method_options",
    "scaled",
]
