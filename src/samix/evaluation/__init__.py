"""How good a trained network is: classifiers on a part of the data, encoders by probes."""

from .classification import ClassificationResult, evaluate_classifiers
from .embeddings import Machine
from .finetune import FinetuneOptions
from .options import EvaluateOptions
from .protocols import evaluate
from .source import Encoder, open_encoder

__all__ = [
    "ClassificationResult",
    "Encoder",
    "EvaluateOptions",
    "FinetuneOptions",
    "Machine",
    "evaluate",
    "evaluate_classifiers",
    "open_encoder",
]
