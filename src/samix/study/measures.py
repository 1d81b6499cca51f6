"""What a study compares: accuracy, balanced accuracy, or how well two sides are told apart."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from samix.data.health import TOO_FEW
from samix.errors import InputError

from .tables import part_scores, two_sides
from .trained import Scores, Trained
from .wording import WHAT

SKEWED = 3.0  # times as many test parts of the largest class as of the smallest judgeable one


@dataclass(frozen=True)
class Measured:
    """What is compared, and why.

    Attributes:
        name: "accuracy", "balanced_accuracy" or "detection".
        skew: Largest and smallest class, where they decided for balanced accuracy.
        side: Of detection, the classes of one side: the good ones, or else the largest.
    """

    name: str
    skew: tuple[str, str] | None = None
    side: tuple[str, ...] = ()


def measure_of(
    counts: Mapping[str, int], asked: str | None = None, *, good: Collection[str] = ()
) -> Measured:
    """Return what is compared.

    - Balanced accuracy where the largest class has more than three times the test parts of the
      smallest judgeable one;
    - detection where fewer than two classes can be judged, but two sides can: good parts against
      all others, or, where no class is known to be good, the largest class against all others;
    - accuracy otherwise.

    Args:
        counts: Independent test parts of each class; no answer decides.
        asked: What the plan says; None is the above.
        good: Classes that are good parts.

    Raises:
        InputError: The plan asks for something else, or for detection where one side is empty.
    """
    if asked is not None and asked not in WHAT:
        raise InputError(f"plan: measure '{asked}' is unknown; expected {', '.join(WHAT)}.")
    counts = {name: count for name, count in counts.items() if count}
    if not counts:
        raise InputError("no test part shows a class: there is nothing to measure")
    largest = max(counts, key=lambda name: counts[name])
    side = tuple(name for name in counts if name in good) or (largest,)
    there = sum(count for name, count in counts.items() if name not in side)
    if asked == "detection" and not there:
        raise InputError(f"plan: measure 'detection' needs test parts beside {', '.join(side)}.")
    able = [name for name, count in counts.items() if count >= TOO_FEW]
    smallest = min(able, key=lambda name: counts[name], default=largest)
    if len(able) < 2:
        two = min(there, sum(counts.values()) - there) >= TOO_FEW and len(counts) > 2
        fitting = Measured("detection", side=side) if two else Measured("accuracy")
    elif counts[largest] > SKEWED * counts[smallest]:
        fitting = Measured("balanced_accuracy", skew=(largest, smallest))
    else:
        fitting = Measured("accuracy")
    if asked in (None, fitting.name):
        return fitting
    return Measured(str(asked), side=side if asked == "detection" else ())


def effective_parts(measured: Measured, counts: Mapping[str, int]) -> float:
    """Return how many test parts would show as much by accuracy as these do by a measure.

    The variance of a mean of K shares of n_1 to n_K parts is that of one share of
    ``K^2 / (1/n_1 + ... + 1/n_K)`` parts.

    Args:
        measured: What is compared.
        counts: Independent test parts of each class.
    """
    sizes = [count for count in counts.values() if count]
    if measured.name == "accuracy":
        return float(sum(sizes))
    if measured.name == "detection":
        here = sum(count for name, count in counts.items() if name in measured.side)
        sizes = [here, sum(sizes) - here]
    return len(sizes) ** 2 / sum(1 / size for size in sizes)


def scores_by(measured: Measured, trained: Trained) -> Scores:
    """Return the scores on test parts as a measure sees them: of detection those of two classes."""
    if measured.name != "detection":
        return trained.scores
    return {
        (mode, labels): {
            name: part_scores(
                two_sides(table, measured.side), policy=name, mode=mode, labels=labels
            )
            for name, table in of_policy.items()
        }
        for (mode, labels), of_policy in trained.test.items()
    }
