"""How good a trained network is, as fractions and per class."""

from .classification import ClassificationResult, evaluate_classifiers

__all__ = ["ClassificationResult", "evaluate_classifiers"]
