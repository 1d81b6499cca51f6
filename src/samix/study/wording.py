"""The words of a verdict."""

from __future__ import annotations

import math
from collections.abc import Sequence

from .candidates import Candidate, Case
from .effects import Effect

WHAT = {"accuracy": "accuracy", "balanced_accuracy": "balanced accuracy"}


def gain_words(case: Case, effect: Effect) -> str:
    """Say what a policy gains over the baseline, and on how many seeds and parts."""
    gained = effect.avoided[0]
    errors = f"{abs(gained):.0f} errors {'fewer' if gained >= 0 else 'more'} per 1,000 parts"
    if case.measure == "balanced_accuracy":
        errors += " with as many of each class"
    seeds = "1 seed" if effect.seeds == 1 else f"{effect.seeds} seeds"
    return (
        f"{effect.policy} {points_words(effect, WHAT[case.measure])} over {effect.baseline}, "
        f"{errors} ({seeds}, {effect.parts:,} test parts)"
    )


def points_words(effect: Effect, what: str = "") -> str:
    """Write a difference with its interval."""
    inside = "no interval"
    if not math.isinf(effect.high):
        inside = f"95 % interval {effect.low:+.1f} to {effect.high:+.1f}"
    return f"{effect.points:+.1f} points{' of ' if what else ''}{what} ({inside})"


def worth_words(points: float) -> str:
    """Write a number of points."""
    return f"{points:g} {'point' if points == 1 else 'points'}"


def dead_words(case: Case) -> str:
    """Say that the Mixer never came alive."""
    return f"The Mixer of {case.roles.full} never came alive, so SAMix itself was not tested."


def against_words(case: Case, one: Candidate) -> str:
    """Say why a candidate is hopeless."""
    if one.gain.worse:
        return f"{case.roles.baseline} is better than {one.policy}"
    if one.harmed:
        lost = listed([f"{class_words(e)} by {-e.points:.1f} points" for e in one.harmed])
        return f"{one.policy} lowers the recall of {lost}"
    return f"{one.policy} gains less than {worth_words(case.limits.worth)}, if anything"


def class_words(effect: Effect) -> str:
    """Name the class of a recall."""
    return f"'{effect.measure.removeprefix('recall:')}'"


def listed(words: Sequence[str]) -> str:
    """Join words."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
