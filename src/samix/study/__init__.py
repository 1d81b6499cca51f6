"""Statistics and verdict of a study: tables of finished cells in, numbers and words out."""

from .candidates import Cost, Limits, Roles
from .effects import Effect, effects, holm
from .findings import find
from .inspection import (
    Inspection,
    PartProbabilities,
    Prices,
    best_thresholds,
    inspect,
    part_probabilities,
)
from .labels import LabelEfficiency, label_efficiency
from .overall import Overall, overall_verdict, primary_question
from .power import Needed, needed, smallest_difference
from .rates import ClassRecall, Rate, class_recalls, rarest_judgeable
from .tables import CELLS, MODES, OUTCOMES, PartScores, part_scores, two_sides
from .verdict import Verdict, judge, weigh
from .words import Words

__all__ = [
    "CELLS",
    "MODES",
    "OUTCOMES",
    "ClassRecall",
    "Cost",
    "Effect",
    "Inspection",
    "LabelEfficiency",
    "Limits",
    "Needed",
    "Overall",
    "PartProbabilities",
    "PartScores",
    "Prices",
    "Rate",
    "Roles",
    "Verdict",
    "Words",
    "best_thresholds",
    "class_recalls",
    "effects",
    "find",
    "holm",
    "inspect",
    "judge",
    "label_efficiency",
    "needed",
    "overall_verdict",
    "part_probabilities",
    "part_scores",
    "primary_question",
    "rarest_judgeable",
    "smallest_difference",
    "two_sides",
    "weigh",
]
