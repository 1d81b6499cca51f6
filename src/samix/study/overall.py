"""One verdict for the manager, from the verdicts of all modes and budgets.

One question is the main one, and it is chosen before anything is trained: `primary` of the plan, or
the most labels in supervised learning (in self-supervised learning where that was not planned). Its
verdict is the overall one. No other answer can turn it into a recommendation: a study that asks
eight questions recommends a policy without an effect as rarely as a study that asks one. What the
others may do is to restrict:

1. The other mode at its largest budget is told in the same sentence, whichever way it went. A
   policy that gains in one and loses in the other is said to do so; the two are never averaged.
2. A budget at which the policy is worse than plain training (interval below zero) is a risk.
3. A question beside the main one that would be "adopt" on its own is called a hint.
4. A main question without an answer is "not proven", whatever the others say.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import stats

from samix.errors import InputError
from samix.study.grid import LEARNED, base_of
from samix.study.statistics.candidates import ERROR, VerdictLimits
from samix.study.statistics.effects import Effect, Reason, reason
from samix.study.statistics.intervals import Floats
from samix.study.statistics.looks import LEAST_SEEDS
from samix.study.statistics.tables import MODES, Question
from samix.study.verdict import Verdict

ADOPTED = ("adopt", "adopt-light")
RECOMMENDED = (*ADOPTED, "use-simple")
BASELINE = "none"


@dataclass(frozen=True)
class Overall:
    """The overall verdict.

    Attributes:
        verdict: Kind, policy, reasons with all that was said, numbers and risks.
        mode: Of the main question.
        labels: Of the main question.
    """

    verdict: Verdict
    mode: str
    labels: int

    @property
    def kind(self) -> str:
        """The verdict's kind."""
        return self.verdict.kind


def primary_question(
    planned: Collection[Question], asked: Mapping[str, object] | None = None
) -> Question:
    """Return the main question.

    Args:
        planned: All modes and budgets that were planned, finished or not.
        asked: `primary` of the plan, with `mode`, `labels` or both; None is the default.

    Raises:
        InputError: The study has no such question, or none at all.
    """
    asked = asked or {}
    unknown = [name for name in asked if name not in ("mode", "labels")]
    if unknown:
        raise InputError(f"primary has an unknown key '{unknown[0]}'; expected mode and labels.")
    if not planned:
        raise InputError("The table of cells has no row: nothing was planned.")
    modes = [mode for mode in MODES if any(mode == one for one, _ in planned)]
    mode = str(asked.get("mode", modes[0] if modes else ""))
    if mode not in modes:
        raise InputError(f"primary: mode '{mode}' was not planned; expected {' or '.join(modes)}.")
    budgets = sorted(labels for one, labels in planned if one == mode)
    labels = asked.get("labels", budgets[-1])
    if labels == "all":
        labels = budgets[-1]
    if labels not in budgets:
        some = ", ".join(str(one) for one in budgets)
        raise InputError(f"primary: {labels} labels were not planned ({mode}); expected {some}.")
    return mode, int(str(labels))


def overall_verdict(
    verdicts: Mapping[Question, Verdict], primary: Question, *, full: str = "samix"
) -> Overall:
    """Join the verdicts of all modes and budgets; the rules stand above.

    Args:
        verdicts: By mode and labels; those that could be judged.
        primary: The main question, see :func:`primary_question`.
        full: The policy in question.
    """
    if primary not in verdicts:
        mode, labels = primary
        why = reason("verdict-unanswered", mode=mode, labels=labels)
        return Overall(Verdict("not-proven", full, (why,)), *primary)
    main = verdicts[primary]
    risks, reasons = list(main.risks), list(main.reasons)
    for mode in (one for one in MODES if one != primary[0]):
        budgets = [labels for one, labels in verdicts if one == mode]
        if not budgets:
            continue
        there = _gain(verdicts[mode, max(budgets)], main.policy)
        if there is not None:
            told = {"mode": mode, "labels": max(budgets), "gain": there}
            advised = main.kind in RECOMMENDED
            reasons.append(reason("elsewhere", main=primary[0], advised=advised, **told))
    for question, verdict in verdicts.items():
        if question == primary:
            continue
        mode, labels = question
        gain = _gain(verdict, main.policy)
        if gain is not None and gain.high < 0:
            risks.append(reason("risk-loss", mode=mode, labels=labels, gain=gain))
        if verdict.kind in ADOPTED and main.kind not in ADOPTED:
            named = {"policy": verdict.policy, "questions": len(verdicts)}
            risks.append(reason("risk-hint", mode=mode, labels=labels, **named))
    joined = replace(main, reasons=tuple(reasons), risks=tuple(risks))
    return Overall(joined, *primary)


def _gain(verdict: Verdict, policy: str) -> Effect | None:
    return next((effect for effect in verdict.effects if effect.policy == policy), None)


LEAST = 3  # policies below which there is nothing to rank
ORDERS = 10_000  # that are tried: all of up to seven policies


@dataclass(frozen=True)
class Consistency:
    """Gains over plain training in both modes, by policy."""

    supervised: Mapping[str, Effect]  # by policy
    self_supervised: Mapping[str, Effect]  # by the same policies
    # Spearman's of the gains, in [-1, 1]; NaN below three policies or where all of one mode are
    # alike
    correlation: float
    p: float  # two-sided, over orders of the policies; 1 where the correlation is unknown

    def same_sign(self, policy: str) -> bool | None:
        """Say whether a policy gains in both or loses in both; None where an interval holds 0."""
        both = (self.supervised[policy], self.self_supervised[policy])
        if any(one.low <= 0 <= one.high for one in both):
            return None
        return (both[0].points > 0) == (both[1].points > 0)

    def reason(self, learned: Sequence[str]) -> Reason:
        """Return what there is to say, with the signs of the learned policies."""
        names = [name for name in learned if name in self.supervised]
        signs = tuple((name, self.same_sign(name)) for name in names)
        return reason(
            "ranks", count=len(self.supervised), correlation=self.correlation, p=self.p,
            signs=signs,
        )  # fmt: skip


def consistency(
    supervised: Mapping[str, Effect], self_supervised: Mapping[str, Effect]
) -> Consistency | None:
    """Compare the gains of the policies that both modes have; None where there is none.

    The gains of one mode share its baseline, which moves all of them alike and no rank. The p-value
    is about these policies as they were measured, not about other policies: with three it is at
    least 1/3.
    """
    both = [name for name in supervised if name in self_supervised]
    if not both:
        return None
    one = np.array([supervised[name].points for name in both])
    other = np.array([self_supervised[name].points for name in both])
    correlation, p = rank_correlation(one, other)
    return Consistency(
        {name: supervised[name] for name in both},
        {name: self_supervised[name] for name in both}, correlation, p,
    )  # fmt: skip


def rank_correlation(one: Floats, other: Floats) -> tuple[float, float]:
    """Return Spearman's correlation with the two-sided p-value over orders of the second.

    All orders up to seven values, 10,000 drawn beyond.
    """
    if len(one) < LEAST or np.ptp(one) == 0 or np.ptp(other) == 0:
        return math.nan, 1.0
    centred = stats.rankdata(one) - (len(one) + 1) / 2

    def size(order: Floats, axis: int = -1) -> Floats:
        sizes: Floats = np.round(np.abs(order @ centred), 6)  # so that equal ones tie
        return sizes

    drawn = stats.permutation_test(
        (stats.rankdata(other),), size, permutation_type="pairings", n_resamples=ORDERS,
        alternative="greater", vectorized=True, rng=0,
    )  # fmt: skip
    return float(stats.spearmanr(one, other).statistic), float(drawn.pvalue)


def free_choice(rows: Sequence[Mapping[str, Any]], mode: str) -> str:
    """Return the policy to use where a study recommends none: it has no Mixer.

    The one with the largest gain over plain training at the most labels, of those without a Mixer
    whose gain is proven (p < 0.05 after Holm's correction), at least one point, and seen with three
    seeds or more; plain training where there is none.
    """
    here = [row for row in rows if row["mode"] == mode]
    most = max((row["labels"] for row in here), default=0)
    able = [
        row
        for row in here
        if row["labels"] == most and base_of(row["policy"]) not in LEARNED
        and row["gain"] is not None and row["p_holm"] is not None
        and row["gain"] >= VerdictLimits().worth and row["p_holm"] < ERROR
        and row["seeds"] >= LEAST_SEEDS
    ]  # fmt: skip
    best = max(able, key=lambda row: float(row["gain"]), default=None)
    return BASELINE if best is None else str(best["policy"])
