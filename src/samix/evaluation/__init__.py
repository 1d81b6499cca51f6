"""How good a trained network is (classifiers, probes of encoders), and what training costs."""

from .cost import CostOptions, RunPlan, Workload, estimates, measure_cost
from .embeddings import Machine
from .encoder import Encoder, open_encoder
from .evaluate import EvaluateOptions, evaluate
from .finetune import FinetuneOptions
from .metrics import ClassificationResult, evaluate_classifiers

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
