"""What stands for and against each policy that a verdict may recommend."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from samix.data.health import TOO_FEW
from samix.errors import InputError
from samix.study.statistics.effects import Effect, compare, compare_all, holm, seed_spread
from samix.study.statistics.looks import LEAST_SEEDS, Looks
from samix.study.statistics.tables import CELLS, PartScores, require

ERROR = 0.05  # of saying adopt where nothing is better, over all candidates
FULL_SHARE = 0.8  # of it for the full policy; the light versions have the rest

Pools = Mapping[str, tuple[float, int] | None]


@dataclass(frozen=True)
class Roles:
    """Which policy is what.

    Attributes:
        baseline: Plain training.
        full: The learned policy in question.
        light: Cheaper forms of it, the preferred one first; those without outcomes are left out.
        free: Rivals that cost next to nothing, longer plain training among them; None is every
            other policy.
        always: Rivals that count whatever they took: no step of theirs is trained.
    """

    baseline: str = "none"
    full: str = "samix"
    light: tuple[str, ...] = ("samix-p", "samix-fast")
    free: tuple[str, ...] | None = None
    always: tuple[str, ...] = ("frozen",)


@dataclass(frozen=True)
class VerdictLimits:
    """What counts as much. Points are percentage points of the measure.

    Attributes:
        worth: Least gain over plain training that is worth a learned policy, above 0.
        margin: By less than this a policy is not ahead of another; a light version may be worse by
            less.
        same_time: Wall times that differ by this share at most are equal; a shared machine's waver
            by a tenth either way.
        looks: Share of the error of each look at a study that may stop early, by seeds; None is one
            look at the end.
    """

    worth: float = 1.0
    margin: float = 1.0
    same_time: float = 0.2
    looks: Looks | None = None

    def __post_init__(self) -> None:
        if not (self.worth > 0 and self.margin > 0 and self.same_time >= 0):
            raise InputError(
                f"Expected worth and margin above 0 and same_time of 0 or more, got {self.worth}, "
                f"{self.margin} and {self.same_time}."
            )


@dataclass(frozen=True)
class PolicyCost:
    """What one policy cost.

    Attributes:
        seconds: Mean wall time of a cell, of the seeds that all policies have.
        alive: Share of its cells whose Mixer was alive at the end; None without a Mixer.
    """

    seconds: float
    alive: float | None = None


@dataclass(frozen=True)
class Candidate:
    """What is known of one policy."""

    policy: str
    gain: Effect  # over the baseline, corrected over all policies
    # over each free rival that took no more wall time. Not corrected: it must be better than every
    # one of them, which is stricter than any
    over: tuple[Effect, ...]
    same_time: bool  # a rival or the baseline had as much wall time
    # classes with enough parts whose recall is proven lower than the baseline's, by `worth` or
    # more; Holm over the classes
    harmed: tuple[Effect, ...]
    # the same as :attr:`p`, corrected over the candidates by :func:`corrected`
    p_ahead: float = 1.0

    @property
    def p(self) -> float:
        """One-sided p-value of not being ahead of the baseline and of every free rival.

        The largest of theirs: where any one of them is level, it is below 0.05 in at most 5 % of
        the studies, whatever the others are (an intersection of tests, Berger 1982).
        """
        return max(effect.p_better for effect in (self.gain, *self.over))

    def unbeaten(self, margin: float) -> tuple[Effect, ...]:
        """Return the free rivals that it is not proven to beat, or by less than `margin`.

        The strongest first.
        """
        open_ = [one for one in self.over if one.p_better >= ERROR or one.points < margin]
        return tuple(sorted(open_, key=lambda effect: effect.points))

    def proven(self, limits: VerdictLimits) -> bool:
        """Whether it may be recommended."""
        return (
            self.gain.seeds >= LEAST_SEEDS
            and self.p_ahead < ERROR
            and self.gain.points >= limits.worth
            and self.same_time
            and not self.unbeaten(limits.margin)
            and not self.harmed
        )

    def hopeless(self, worth: float) -> bool:
        """Whether plain training is better, no worthwhile gain is possible, or it does harm."""
        return self.gain.worse or self.gain.high < worth or bool(self.harmed)


@dataclass(frozen=True)
class Case:
    """Everything that the rules look at."""

    candidates: tuple[Candidate, ...]  # learned policies with a live Mixer, the full one first
    rivals: tuple[Candidate, ...]  # free rivals, as candidates
    scores: Mapping[str, PartScores]  # by policy
    costs: Mapping[str, PolicyCost]  # by policy
    gains: Mapping[str, Effect]  # over the baseline, by policy
    roles: Roles  # which policy is what
    limits: VerdictLimits  # what counts as much
    measure: str  # what is compared
    # what :func:`samix.study.statistics.effects.seed_spread` found in it
    pool: tuple[float, int] | None = None

    @property
    def full(self) -> Candidate | None:
        """The full policy, where its Mixer is alive."""
        return next((one for one in self.candidates if one.policy == self.roles.full), None)

    def against(self, policy: str, other: str) -> Effect:
        """Compare two policies in the measure of the case."""
        return compare(
            policy, other, self.scores, measure=self.measure, pool=self.pool,
            looks=self.limits.looks,
        )  # fmt: skip


def costs_of(cells: pd.DataFrame, *, mode: str, labels: int) -> dict[str, PolicyCost]:
    """Return the cost of each policy, on the seeds that all have: others ran at other times.

    Where no seed is common to all, each policy's own count.
    """
    require(cells, CELLS, "cells")
    here = cells[(cells["mode"] == mode) & (cells["labels"] == labels)]
    trained = [set(rows["seed"]) for _, rows in here.groupby("policy")]
    common = set.intersection(*trained) if trained else set()
    found = {}
    for name, rows in here.groupby("policy"):
        seconds = rows["seconds"].to_numpy(dtype=float)
        if not np.isfinite(seconds).all() or (seconds <= 0).any():
            raise InputError(
                f"A cell of policy '{name}' has no wall time above 0; without it rivals of equal "
                "wall time cannot be told."
            )
        known = rows["alive"].dropna()
        alive = float(known.astype(bool).mean()) if len(known) else None
        counted = rows["seed"].isin(common or rows["seed"]).to_numpy()
        found[str(name)] = PolicyCost(float(seconds[counted].mean()), alive)
    return found


def candidate(
    policy: str,
    gains: Mapping[str, Effect],
    scores: Mapping[str, PartScores],
    costs: Mapping[str, PolicyCost],
    *,
    roles: Roles,
    limits: VerdictLimits,
    pools: Pools,
) -> Candidate:
    """Gather what is known of one policy; see :class:`Candidate` and :func:`pools_of`."""
    pool = pools[gains[policy].measure]
    budget = costs[policy].seconds
    free = [name for name in free_rivals(scores, roles) if name != policy]
    always = [name for name in free if name in roles.always]
    timed = [name for name in free if name not in always]
    rivals = [*always, *within(timed, costs, budget, limits, plain=roles.baseline)]
    over = tuple(
        compare(policy, name, scores, measure=gains[policy].measure, pool=pool, looks=limits.looks)
        for name in rivals
    )
    as_long = any(
        costs[name].seconds >= (1 - limits.same_time) * budget for name in (*rivals, roles.baseline)
    )
    return Candidate(
        policy, gains[policy], over, as_long, harmed_classes(policy, scores, roles, limits, pools)
    )


def corrected(candidates: Sequence[Candidate], full: str) -> tuple[Candidate, ...]:
    """Return the candidates with their p-values corrected over all of them.

    Holm's method with most of the error for the full policy, see :func:`share_of`: so "adopt" of
    any of them is said in at most 5 % of the studies where none is ahead.
    """
    shares = [share_of(one.policy, candidates, full) for one in candidates]
    found = holm([one.p for one in candidates], shares)
    return tuple(replace(one, p_ahead=p) for one, p in zip(candidates, found, strict=True))


def share_of(policy: str, candidates: Sequence[Candidate], full: str) -> float:
    """Return a candidate's share of the error."""
    light = [one.policy for one in candidates if one.policy != full]
    if len(light) in (0, len(candidates)):
        return 1 / len(candidates)
    return FULL_SHARE if policy == full else (1 - FULL_SHARE) / len(light)


def within(
    rivals: Sequence[str],
    costs: Mapping[str, PolicyCost],
    budget: float,
    limits: VerdictLimits,
    *,
    plain: str,
) -> list[str]:
    """Return the rivals that had no more wall time.

    Where none of them, nor plain training, had as much, those that had a little more count too:
    to be better than they are is harder.
    """
    spent = {name: costs[name].seconds for name in rivals}
    able = [name for name in rivals if spent[name] <= (1 + limits.same_time) * budget]
    if any(costs[name].seconds >= (1 - limits.same_time) * budget for name in (*able, plain)):
        return able
    least = min((spent[name] for name in rivals if name not in able), default=0.0)
    return [name for name in rivals if spent[name] <= (1 + limits.same_time) * max(least, budget)]


def free_rivals(scores: Mapping[str, PartScores], roles: Roles) -> list[str]:
    """Return the free rivals that have outcomes."""
    if roles.free is not None:
        return [name for name in roles.free if name in scores]
    others = (roles.baseline, roles.full, *roles.light)
    return [name for name in scores if name not in others]


def harmed_classes(
    policy: str, scores: Mapping[str, PartScores], roles: Roles, limits: VerdictLimits, pools: Pools
) -> tuple[Effect, ...]:
    """Return the recalls of judgeable classes that a policy is proven to lower."""
    found = [
        compare(policy, roles.baseline, scores, measure=measure, pool=pool, looks=limits.looks)
        for measure, pool in pools.items()
        if measure.startswith("recall:")
    ]
    p_values = holm([effect.p for effect in found])
    found = [replace(effect, p_holm=p) for effect, p in zip(found, p_values, strict=True)]
    return tuple(
        effect
        for effect in found
        if effect.worse and effect.points <= -limits.worth and effect.seeds >= LEAST_SEEDS
    )


def pools_of(scores: Mapping[str, PartScores], measure: str) -> Pools:
    """Return the seeds' spread in a measure, and in the recall of each class with enough parts."""
    one = next(iter(scores.values()))
    counts = np.bincount(one.target, minlength=len(one.classes))
    judged = [name for name, count in zip(one.classes, counts, strict=True) if count >= TOO_FEW]
    measures = (measure, *(f"recall:{name}" for name in judged))
    return {each: seed_spread(scores, each) for each in measures}


def gains_of(
    scores: Mapping[str, PartScores], roles: Roles, measure: str, looks: Looks | None = None
) -> dict[str, Effect]:
    """Return every policy's gain over the baseline, corrected over all."""
    found = compare_all(scores, baseline=roles.baseline, measure=measure, looks=looks)
    return {effect.policy: effect for effect in found}
