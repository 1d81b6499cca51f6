"""Label budgets: which photos of train and val may show their label."""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from samix.data import ImageSet, Splits, labelled_subset
from samix.errors import InputError

DEFAULT_BUDGETS = ("1%", "5%", "10%", "25%")


@dataclass(frozen=True)
class Budget:
    """How many labels may be used."""

    text: str  # as the user wrote it
    share: float | None = None  # of the labels of each class, in (0, 1]; None where it is a number
    per_class: int | None = None  # labels of each class; None where it is a share


def parse_budgets(words: Sequence[str]) -> tuple[Budget, ...]:
    """Return budgets from words such as 10% and 20, labels of each class; others are refused."""
    budgets = tuple(_parse(word) for word in words)
    known = [(budget.share, budget.per_class) for budget in budgets]
    for number, budget in enumerate(budgets):
        if known[number] in known[:number]:
            raise InputError(
                f"labels: expected each budget once, got {budget.text} twice; name it once"
            )
    return budgets


def _parse(word: str) -> Budget:
    text = word.strip()
    if re.fullmatch(r"[+-]?\d+(\.\d*)?%", text):
        percent = float(text[:-1])
        if not 0 < percent <= 100:
            raise InputError(f"labels={text} must be above 0% and at most 100%")
        return Budget(text, share=percent / 100)
    if re.fullmatch(r"[+-]?\d+", text):
        if int(text) < 1:
            raise InputError(f"labels={text} must be at least 1 label of each class")
        return Budget(text, per_class=int(text))
    raise InputError(
        "labels: expected shares such as 10% or whole numbers of labels of each class such as 20, "
        f"got '{word}'"
    )


@dataclass(frozen=True)
class Draw:
    """The labels of one draw of a budget."""

    train: tuple[int, ...]  # positions within the train part, ascending
    val: tuple[int, ...]  # positions within the val part, ascending


def draw_labels(images: ImageSet, splits: Splits, budget: Budget, seed: int) -> Draw:
    """Draw the labels of a budget.

    Draws of one seed are nested: a smaller budget is part of each larger one. Validation is cut to
    the same share, at least one photo a class, since labels that choose are labels too.

    Raises:
        InputError: More labels than a class has.
    """
    chosen = labelled_subset(
        images, splits, labels_per_class=budget.per_class, label_fraction=budget.share, seed=seed
    )
    share = budget.share or min(1.0, len(chosen) / len(splits.train))
    choosing = labelled_subset(
        images, replace(splits, train=splits.val), label_fraction=share, seed=seed
    )
    return Draw(_within(splits.train, chosen), _within(splits.val, choosing))


def _within(part: tuple[int, ...], chosen: tuple[int, ...]) -> tuple[int, ...]:
    """Return positions within a part of positions in the image set."""
    at = {photo: position for position, photo in enumerate(part)}
    return tuple(at[photo] for photo in chosen)


def spread_of(values: Sequence[float]) -> dict[str, Any]:
    """Return values of draws, their mean, and their standard deviation, None for one draw."""
    spread = statistics.stdev(values) if len(values) > 1 else None
    return {"values": list(values), "mean": math.fsum(values) / len(values), "spread": spread}
