"""A study: trainings of several policies, their statistics, and the verdict on learned mixing."""

from samix.pages.words import Words
from samix.study.findings import find
from samix.study.overall import Overall, overall_verdict, primary_question
from samix.study.statistics.candidates import PolicyCost, Roles, VerdictLimits
from samix.study.statistics.effects import Effect, effects, holm
from samix.study.statistics.inspection import (
    ClassRecall,
    Inspection,
    PartProbabilities,
    Prices,
    Rate,
    best_thresholds,
    class_recalls,
    inspect,
    part_probabilities,
    rarest_judgeable,
)
from samix.study.statistics.labels import LabelEfficiency, label_efficiency
from samix.study.statistics.power import Needed, needed, smallest_difference
from samix.study.statistics.tables import CELLS, MODES, OUTCOMES, PartScores, part_scores, two_sides
from samix.study.verdict import Verdict, judge, weigh

__all__ = [
    "CELLS",
    "MODES",
    "OUTCOMES",
    "ClassRecall",
    "Effect",
    "Inspection",
    "LabelEfficiency",
    "Needed",
    "Overall",
    "PartProbabilities",
    "PartScores",
    "PolicyCost",
    "Prices",
    "Rate",
    "Roles",
    "Verdict",
    "VerdictLimits",
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
