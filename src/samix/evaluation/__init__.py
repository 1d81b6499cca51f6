"""How good a trained network is (classifiers, probes of encoders), and what training costs."""

from .classification import ClassificationResult, evaluate_classifiers
from .cost import CostOptions, estimates, measure_cost
from .cost_numbers import RunPlan
from .cost_step import Workload
from .embeddings import Machine
from .finetune import FinetuneOptions
from .options import EvaluateOptions
from .protocols import evaluate
from .source import Encoder, open_encoder

__all__ = [
    "ClassificationResult",
    "CostOptions",
    "Encoder",
    "EvaluateOptions",
    "FinetuneOptions",
    "Machine",
    "RunPlan",
    "Workload",
    "estimates",
    "evaluate",
    "evaluate_classifiers",
    "measure_cost",
    "open_encoder",
]
