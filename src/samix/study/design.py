"""Which grid fits a time: designs from rich to lean, and what each takes by the trials."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from .grid import LEARNED, LONG, LOOKS, SELF_SUPERVISED, SUPERVISED, base_of

STEPS = 1200  # of a training with all labels that is not short
LEAST_STEPS = 150  # below this a network from scratch has learned nothing that could be compared
SEEDS = 3  # at least
MOST_SEEDS = 5
FEW_LABELS = 0.3  # of the steps with all labels, that a small budget has at least
LONGEST = 3.0  # times as many steps, for a policy that is trained as long as SAMix takes
_CROWD = 2000  # photos from which on more labels do not mean more steps


@dataclass(frozen=True)
class Timing:
    """What one policy takes, from its trial.

    Attributes:
        start: Seconds of a training beside its steps and looks.
        step: Seconds of a step.
        look: Seconds of a look at validation.
        best: Seconds of a step in the quickest epoch, which other work on the machine disturbed
            least: for ratios of policies. 0 is the same as ``step``.
    """

    start: float
    step: float
    look: float
    best: float = 0.0

    @property
    def undisturbed(self) -> float:
        """Seconds of a step for ratios."""
        return self.best or self.step

    def seconds(self, steps: float) -> float:
        """Return the seconds of a training."""
        return self.start + steps * self.step + LOOKS * self.look

    def to_dict(self) -> dict[str, float]:
        """Return plain values."""
        return {name: round(getattr(self, name), 5) for name in ("start", "step", "look", "best")}


Timings = Mapping[str, Mapping[str, Timing]]  # by mode, then by policy


@dataclass(frozen=True)
class Design:
    """What a grid consists of.

    Attributes:
        modes: "supervised", "self-supervised" or both.
        fractions: Shares of the labels, descending.
        policies: By mode, without those that are trained longer.
        long: Free policies that are also trained as long as SAMix takes, by mode.
        long_everywhere: At each budget, not only at the largest.
        steps: Of a training with all labels.
        seeds: How many.
    """

    modes: tuple[str, ...]
    fractions: tuple[float, ...]
    policies: Mapping[str, tuple[str, ...]]
    long: Mapping[str, tuple[str, ...]]
    long_everywhere: bool
    steps: int
    seeds: int = SEEDS

    def named(self, mode: str) -> list[str]:
        """Return all policies of a mode by the names of the tables."""
        some = []
        for policy in self.policies[mode]:
            some.append(policy)
            if policy in self.long[mode]:
                some.append(policy + LONG)
        return some


def ladder(
    policies: Sequence[str], fractions: Sequence[float], modes: Sequence[str]
) -> list[Design]:
    """Return designs of one wish, from rich to lean.

    Args:
        policies: Asked for, plain training and a learned one among them.
        fractions: Shares of the labels that are asked for, the main one (the largest) included.
        modes: That are asked for.
    """
    shares = tuple(sorted(set(fractions), reverse=True))
    few = (shares[0], *shares[1:][-2:]) if len(shares) > 2 else shares
    two = (shares[0], shares[1]) if len(shares) > 1 else shares
    whole = tuple(policies)
    core = tuple(name for name in policies if name in ("none", "mixup", *LEARNED))
    pair = ("none", "samix" if "samix" in policies else "samix-p")
    both = tuple(modes)
    one = (SUPERVISED,) if SUPERVISED in both else both

    def design(
        some: tuple[str, ...], budgets: tuple[float, ...], ways: tuple[str, ...], steps: int, *,
        everywhere: bool = False, lean: bool = False,
    ) -> Design:  # fmt: skip
        here = {SUPERVISED: some, SELF_SUPERVISED: core if lean else some}
        free = {m: tuple(n for n in p if n not in LEARNED) for m, p in here.items()}
        if lean:
            free[SELF_SUPERVISED] = ("none",)
        return Design(ways, budgets, here, free, everywhere, steps)

    rungs = [
        design(whole, shares, both, 2 * STEPS, everywhere=True),
        design(whole, shares, both, STEPS, everywhere=True),
        design(whole, shares, both, STEPS),
        design(whole, shares, both, STEPS, lean=True),
        design(whole, few, both, STEPS, lean=True),
        design(whole, two, both, 2 * STEPS // 3, lean=True),
        design(core, two, both, 2 * STEPS // 3, lean=True),
        design(core, two, both, STEPS // 2, lean=True),
        design(core, two, one, STEPS),
        design(core, two, one, STEPS // 2),
        design(core, two, one, STEPS // 4),
        design(core, two, one, STEPS // 5),
        design(core, shares[:1], one, STEPS // 4),
        design(pair, shares[:1], one, STEPS // 4),
        design(pair, shares[:1], one, LEAST_STEPS),
    ]
    kept: list[Design] = []
    for rung in rungs:
        if rung not in kept:
            kept.append(rung)
    return kept


def steps_of(steps: int, labels: int, most: int) -> int:
    """Return the steps of a training with fewer labels: fewer, by the square root.

    Args:
        steps: With all labels.
        labels: The budget.
        most: All labels.
    """
    return math.ceil(steps * max(FEW_LABELS, math.sqrt(labels / min(most, _CROWD))))


def long_factors(design: Design, timings: Timings) -> dict[str, dict[str, float]]:
    """Return how many times more steps a free policy makes in the time that SAMix takes."""
    found: dict[str, dict[str, float]] = {}
    for mode in design.modes:
        of_mode = timings[mode]
        slowest = max(
            of_mode[name].undisturbed for name in design.policies[mode] if name in LEARNED
        )
        found[mode] = {
            name + LONG: round(min(max(slowest / of_mode[name].undisturbed, 1.0), LONGEST), 3)
            for name in design.long[mode]
        }
    return found


def seconds_of(
    design: Design, timings: Timings, labels: Mapping[float, int], most: int
) -> float:  # fmt: skip
    """Return the seconds of one seed of a design, one job after the other.

    Args:
        design: Which one.
        timings: From the trials.
        labels: Labels of each share.
        most: All labels.
    """
    long = long_factors(design, timings)
    total = 0.0
    for mode in design.modes:
        for name in design.named(mode):
            timing, factor = timings[mode][base_of(name)], long[mode].get(name, 1.0)
            if mode == SELF_SUPERVISED:
                total += timing.seconds(design.steps * factor)
                continue
            for at, fraction in enumerate(design.fractions):
                if name.endswith(LONG) and at > 0 and not design.long_everywhere:
                    continue
                total += timing.seconds(steps_of(design.steps, labels[fraction], most) * factor)
    return total


def choose(
    designs: Sequence[Design],
    timings: Timings,
    labels: Mapping[float, int],
    *,
    seconds: float,
    workers: int,
    seeds: int | None = None,
) -> tuple[Design | None, float]:
    """Return the richest design that fits, with as many seeds and steps as fit.

    Args:
        designs: From rich to lean.
        timings: From the trials.
        labels: Labels of each share.
        seconds: Of wall time.
        workers: Jobs at a time.
        seeds: How many; None is three or, where they fit, up to five.

    Returns:
        The design and its seconds; None and the least seconds where none fits.
    """
    most = max(labels.values())

    def wall(design: Design) -> float:
        one = seconds_of(design, timings, labels, most)
        jobs = sum(len(design.named(mode)) for mode in design.modes) * design.seeds
        rest = 0.5 * one / max(jobs / design.seeds, 1)  # the last jobs do not fill all workers
        return design.seeds * one / workers + rest

    able = [replace(one, seeds=seeds or SEEDS) for one in designs]
    able = [one for one in able if all(mode in timings for mode in one.modes)]
    fitting = next((one for one in able if wall(one) <= seconds), None)
    if fitting is None:
        return None, wall(able[-1])
    for factor in (2.0, 1.75, 1.5, 1.25):
        longer = replace(fitting, steps=int(fitting.steps * factor))
        if fitting.steps < STEPS and wall(longer) <= seconds:
            fitting = longer
            break
    for more in () if seeds else range(SEEDS + 1, MOST_SEEDS + 1):
        richer = replace(fitting, seeds=more)
        fitting = richer if wall(richer) <= seconds else fitting
    return fitting, wall(fitting)


def plain_timings(timings: Timings) -> dict[str, dict[str, Any]]:
    """Return timings as plain values."""
    return {mode: {n: t.to_dict() for n, t in of.items()} for mode, of in timings.items()}
