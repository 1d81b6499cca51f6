"""From measured seconds to ratios and rates, and what a whole run will cost."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from samix.errors import InputError
from samix.options import Options, option

COMPILED = ", compiled"  # ends the name of a setting whose step is compiled
BLOCKS = 8  # into how many pieces the rounds are divided for the quartiles
_HOUR = 3600.0  # seconds
_MEBIBYTE = 2.0**20  # bytes


@dataclass(frozen=True)
class PeakMemory:
    """What training holds at its highest point, in bytes."""

    weights: int  # parameters and buffers of all networks
    steps: int  # what steps add to them

    @property
    def peak(self) -> int:
        """All of it."""
        return self.weights + self.steps


def _check_power(watts: float | None) -> None:
    if watts is not None and not 0 <= watts < math.inf:
        raise InputError(f"power: expected a number of at least 0, got {watts}")


@dataclass(frozen=True, kw_only=True)
class RunPlan(Options):
    """The run whose cost is estimated.

    Attributes:
        images: Photos to train on.
        epochs: Passes over them.
        price: Price of the machine for an hour, or None.
        watts: Power that the machine draws while it trains, or None.
        currency: Word to write after an amount of money.
    """

    images: int = option(least=1)
    epochs: int = option(least=1)
    price: float | None = option(None, least=0)
    watts: float | None = option(None, check=_check_power)
    currency: str = ""


def ratio_over(seconds: Sequence[float], reference: Sequence[float]) -> tuple[float, float, float]:
    """Return how many times as long a setting takes as the reference, with quartiles.

    The value is the ratio of the totals: what a run pays, whatever share of its steps is dear. A
    median over single steps would leave out whichever kind is rarer, such as steps that train the
    Mixer where not every step does. The quartiles are those of the ratios within up to
    :data:`BLOCKS` blocks of consecutive rounds; they show how much the machine wavered.
    """
    pieces = blocks(len(seconds))
    ratios = [sum(seconds[piece]) / sum(reference[piece]) for piece in pieces]
    value = sum(seconds) / sum(reference)
    if len(ratios) < 2:
        return value, value, value
    low, _, high = statistics.quantiles(ratios, n=4, method="inclusive")
    return value, low, high


def blocks(rounds: int) -> list[slice]:
    """Return consecutive pieces of some rounds, nearly equal, at most :data:`BLOCKS` of them."""
    pieces = min(BLOCKS, rounds)
    edges = [rounds * number // pieces for number in range(pieces + 1)]
    return [slice(start, end) for start, end in itertools.pairwise(edges)]


def cost_rows(
    seconds: Mapping[str, Sequence[float]],
    memory: Mapping[str, PeakMemory],
    batch_size: int,
    *,
    reference: str,
    quick: str,
) -> dict[str, dict[str, Any]]:
    """Return the row of each setting from what was measured."""
    rows: dict[str, dict[str, Any]] = {}
    for name, spent in seconds.items():
        ratio, low, high = ratio_over(spent, seconds[reference])
        row: dict[str, Any] = {
            "milliseconds": 1000.0 * sum(spent) / len(spent),
            "images_per_second": batch_size * len(spent) / sum(spent),
            "time_ratio": ratio,
            "time_ratio_low": low,
            "time_ratio_high": high,
            "time_ratio_to_faster_plain": ratio_over(spent, seconds[quick])[0],
        }
        if name.endswith(COMPILED):
            plain = seconds[f"{reference}{COMPILED}"]
            row["time_ratio_to_compiled_plain"] = ratio_over(spent, plain)[0]
        if name in memory:
            own, other = memory[name], memory[reference]
            row |= {
                "mebibytes": own.peak / _MEBIBYTE,
                "memory_ratio": own.peak / max(other.peak, 1),
                "weights_mebibytes": own.weights / _MEBIBYTE,
                "step_mebibytes": own.steps / _MEBIBYTE,
                "step_memory_ratio": own.steps / max(other.steps, 1),
            }
        rows[name] = {**row, "seconds": list(spent)}
    return rows


def estimate(plan: RunPlan, images_per_second: float) -> dict[str, float | None]:
    """Return what a run costs that only trains, at a measured rate.

    Returns:
        ``hours``; ``money`` in the currency of the price, and ``kilowatt_hours``, or None where
        price or power are not known.
    """
    hours = plan.images * plan.epochs / images_per_second / _HOUR
    return {
        "hours": hours,
        "money": None if plan.price is None else hours * plan.price,
        "kilowatt_hours": None if plan.watts is None else hours * plan.watts / 1000.0,
    }
