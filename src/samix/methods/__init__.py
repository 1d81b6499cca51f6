"""Methods: plain modules from a batch to a StepOutput. No trainer, no files."""

from .factory import METHODS, create_method
from .step import StepOutput
from .supervised import SupervisedMethod, SupervisedOptions

__all__ = ["METHODS", "StepOutput", "SupervisedMethod", "SupervisedOptions", "create_method"]
