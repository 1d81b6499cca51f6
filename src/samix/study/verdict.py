"""The verdict on a learned policy, by rules that are written down here.

All numbers are of one mode and one budget, over independent test parts and seeds. The candidates
are the full policy and its light versions whose Mixer was alive at the end. The first rule that
holds decides:

1. **Adopt the light version**: a light version is proven, and either the full one is not, or the
   light one is worse than it by less than `margin` at the lower end of the interval (non-inferior).
2. **Adopt**: the full policy is proven.
3. **Use the simple rival**: a free rival within the candidates' wall time (or the frozen encoder,
   whatever it took) has a proven gain of at least `worth` without harm, and no candidate that rule
   5 leaves is ahead of it by `margin`.
4. **Mixer not alive**: the full policy's Mixer was alive at the end of no seed, and there is no
   light candidate. SAMix was not tested.
5. **Do not adopt**: for every candidate, plain training is proven better, or the upper end of its
   gain is below `worth`, or it does harm.
6. **Not proven**: everything else, with how many seeds or test parts would tell. So is what rules 1
   to 3 would recommend where it is not shown to be better than guessing, which is to say the most
   frequent class of the test parts every time.

*Proven* means all of this: at least three seeds; a gain of at least `worth` points over plain
training; ahead by `margin` or more of **every** free rival that took at most its wall time; both
with a one-sided p < 0.05, the largest of all these comparisons, after Holm's correction over the
candidates (four fifths of the 5 % for the full policy); a rival, or plain training, that had as
much wall time; no harm. *Harm* is a proven loss (Holm over the classes) of `worth` points or more
in the recall of a class with enough parts. So no free rival that is level is passed over in more
than 5 % of the studies, and without one of equal wall time nothing is adopted. The gain of a free
rival in rule 3, and what is proven worse in rule 5, have p < 0.05 after Holm's correction over all
policies.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import pandas as pd

from samix.errors import InputError
from samix.study.statistics.candidates import (
    ERROR,
    Candidate,
    Case,
    PolicyCost,
    Roles,
    VerdictLimits,
    candidate,
    corrected,
    costs_of,
    free_rivals,
    gains_of,
    pools_of,
    share_of,
)
from samix.study.statistics.effects import Effect, Reason, guess_of, only_guesses, reason, score_of
from samix.study.statistics.looks import LEAST_SEEDS
from samix.study.statistics.power import needed
from samix.study.statistics.tables import JUDGED, PartScores, part_scores, require

Kind = Literal[
    "adopt", "adopt-light", "use-simple", "mixer-not-alive", "do-not-adopt", "not-proven"
]


@dataclass(frozen=True)
class Verdict:
    """A verdict and what it rests on.

    Attributes:
        kind: The rule that decided.
        policy: What is recommended, or was judged where nothing is.
        reasons: Why, one for each sentence; see :func:`samix.study.wording.sentence_of`.
        compared: The comparisons it rests on.
        numbers: Other numbers it rests on, by name, such as "seeds" and "wall_time_ratio".
        risks: What a reader must know beside it.
        effects: The comparisons with the baseline, all policies.
    """

    kind: Kind
    policy: str
    reasons: tuple[Reason, ...]
    compared: tuple[Effect, ...] = ()
    numbers: Mapping[str, float] = field(default_factory=dict)
    risks: tuple[Reason, ...] = ()
    effects: tuple[Effect, ...] = ()


def judge(
    outcomes: pd.DataFrame,
    cells: pd.DataFrame,
    *,
    mode: str,
    labels: int,
    roles: Roles | None = None,
    limits: VerdictLimits | None = None,
    measure: str = "accuracy",
) -> Verdict:
    """Return the verdict of one mode at one budget.

    Args:
        outcomes: See :mod:`samix.study.statistics.tables`.
        cells: See there.
        mode: "supervised" or "self-supervised".
        labels: The budget.
        roles: Which policy is what; None is the default of :class:`Roles`.
        limits: What counts as much; None is the default of :class:`VerdictLimits`.
        measure: What is compared: "accuracy", "balanced_accuracy" or "detection".

    Raises:
        InputError: A table or cell that is needed is missing, or policies were tested on different
            parts.
    """
    require(outcomes, ("policy", "mode", "labels"), "outcomes")
    at = (outcomes["mode"] == mode) & (outcomes["labels"] == labels)
    scores = {
        str(name): part_scores(outcomes, policy=name, mode=mode, labels=labels)
        for name in outcomes["policy"][at].unique()
    }
    costs = costs_of(cells, mode=mode, labels=labels)
    return weigh(scores, costs, roles=roles, limits=limits, measure=measure)


def weigh(
    scores: Mapping[str, PartScores],
    costs: Mapping[str, PolicyCost],
    *,
    roles: Roles | None = None,
    limits: VerdictLimits | None = None,
    measure: str = "accuracy",
) -> Verdict:
    """Return the verdict on scores; see :func:`judge`."""
    case = case_of(scores, costs, roles or Roles(), limits or VerdictLimits(), measure)
    rules = (_light, _adopt, _simple, _not_alive, _do_not, _not_proven)
    found = next(verdict for rule in rules if (verdict := rule(case)) is not None)
    return _unless_it_guesses(case, found)


def _unless_it_guesses(case: Case, verdict: Verdict) -> Verdict:
    """Recommend no policy that is not shown to be better than guessing."""
    if verdict.kind not in ("adopt", "adopt-light", "use-simple"):
        return verdict
    scores = case.scores[verdict.policy]
    if not only_guesses(scores, case.measure):
        return verdict
    score, guess = score_of(scores, case.measure), guess_of(scores, case.measure)
    why = reason(
        "verdict-guessing", policy=verdict.policy, score=100 * score.estimate, guess=100 * guess
    )
    return replace(verdict, kind="not-proven", reasons=(why,))


def case_of(
    scores: Mapping[str, PartScores],
    costs: Mapping[str, PolicyCost],
    roles: Roles,
    limits: VerdictLimits,
    measure: str,
) -> Case:
    """Return what the rules look at."""
    learned = [name for name in (roles.full, *roles.light) if name in scores]
    if roles.baseline not in scores or not learned:
        lacking = roles.baseline if roles.baseline not in scores else roles.full
        raise InputError(
            f"A verdict needs outcomes of '{lacking}'; there are those of "
            f"{', '.join(scores) or 'none'}."
        )
    if measure not in JUDGED:
        raise InputError(f"A verdict is about {', '.join(JUDGED)}, got '{measure}'.")
    missing = [name for name in scores if name not in costs]
    if missing:
        raise InputError(f"The table of cells has no row of policy '{missing[0]}'.")
    gains = gains_of(scores, roles, measure, limits.looks)
    pools = pools_of(scores, measure)

    def known(name: str) -> Candidate:
        return candidate(name, gains, scores, costs, roles=roles, limits=limits, pools=pools)

    alive = [known(name) for name in learned if costs[name].alive != 0]
    return Case(
        candidates=corrected(alive, roles.full),
        rivals=tuple(known(n) for n in free_rivals(scores, roles)),
        scores=scores, costs=costs, gains=gains, roles=roles, limits=limits, measure=measure,
        pool=pools[measure],
    )  # fmt: skip


def _light(case: Case) -> Verdict | None:
    """Rule 1."""
    full = case.full
    for one in case.candidates:
        if one.policy == case.roles.full or not one.proven(case.limits):
            continue
        if full is None or not full.proven(case.limits):
            why = reason("why-unproven-full", full=case.roles.full)
            return _recommend(case, "adopt-light", one, why)
        behind = case.against(one.policy, full.policy)
        if behind.low > -case.limits.margin:
            why = reason("why-not-worse", behind=behind, margin=_amount(case.limits.margin))
            return _recommend(case, "adopt-light", one, why, behind)
    return None


def _adopt(case: Case) -> Verdict | None:
    """Rule 2."""
    full = case.full
    if full is None or not full.proven(case.limits):
        return None
    also = [one.policy for one in case.candidates if one is not full and one.proven(case.limits)]
    why = reason("why-also", names=also, margin=_amount(case.limits.margin)) if also else None
    return _recommend(case, "adopt", full, why)


def _simple(case: Case) -> Verdict | None:
    """Rule 3."""
    rival = _useful_rival(case)
    if rival is None:
        return None
    hopeful = [one for one in case.candidates if not one.hopeless(case.limits.worth)]
    ahead = [case.against(one.policy, rival.policy) for one in hopeful]
    if any(e.points >= case.limits.margin for e in ahead):
        return None
    code = "verdict-use-frozen" if rival.policy in case.roles.always else "verdict-use-simple"
    use = reason(code, policy=rival.policy, gain=_gained(case, rival.gain))
    behind = [reason("not-ahead-of-it", effect=effect) for effect in ahead]
    out = [_ruled_out(case, one) for one in case.candidates if one not in hopeful]
    rest = reason("reasons", reasons=(*behind, *out)) if case.candidates else _dead(case)
    return _verdict(case, "use-simple", rival.policy, (use, rest), (rival.gain, *ahead))


def _not_alive(case: Case) -> Verdict | None:
    """Rule 4."""
    if case.candidates:
        return None
    why = (_dead(case), reason("verdict-nothing-known"))
    return _verdict(case, "mixer-not-alive", case.roles.full, why, ())


def _do_not(case: Case) -> Verdict | None:
    """Rule 5."""
    if not all(one.hopeless(case.limits.worth) for one in case.candidates):
        return None
    used = [effect for one in case.candidates for effect in (one.gain, *one.harmed)]
    why = reason(
        "verdict-do-not-adopt",
        reasons=tuple(_ruled_out(case, one) for one in case.candidates),
        gains=tuple(_gained(case, one.gain) for one in case.candidates),
    )
    return _verdict(case, "do-not-adopt", case.candidates[0].policy, (why,), used)


def _not_proven(case: Case) -> Verdict:
    """Rule 6."""
    hopeful = [one for one in case.candidates if not one.hopeless(case.limits.worth)]
    one = hopeful[0]
    open_ = one.unbeaten(case.limits.margin)
    gained = one.gain.p_better < ERROR and one.gain.points >= case.limits.worth
    weakest = open_[0] if gained and open_ else one.gain
    why = [_unproven(case, one, weakest)]
    numbers: dict[str, float] = {}
    if not one.same_time:
        seconds = case.costs[one.policy].seconds
        why.append(reason("verdict-too-short", policy=one.policy, seconds=seconds))
    else:
        aim = max(weakest.points, case.limits.worth)
        sided = 2 * ERROR * share_of(one.policy, case.candidates, case.roles.full)
        more = needed(weakest.squares, aim, confidence=1 - sided)
        numbers = {"difference_to_show": aim, "more_seeds": _number(more.seeds)}
        numbers["more_parts"] = _number(more.parts)
        if more.together is not None:
            numbers["more_seeds_together"], numbers["more_parts_together"] = more.together
        told = reason("needed", more=more)
        why.append(reason("verdict-needed", aim=_amount(round(aim, 1)), needed=told))
    out = tuple(_ruled_out(case, each) for each in case.candidates if each not in hopeful)
    if out:
        why.append(reason("verdict-ruled-out", reasons=out))
    rival = _useful_rival(case)
    if rival is not None:
        gain = _gained(case, rival.gain)
        why.append(reason("verdict-until-then", policy=rival.policy, gain=gain))
    used = [one.gain] if weakest is one.gain else [one.gain, weakest]
    return _verdict(case, "not-proven", one.policy, why, used, numbers)


def _unproven(case: Case, one: Candidate, weakest: Effect) -> Reason:
    """Say that the gain, or the lead over a rival, is not shown."""
    gain = _gained(case, one.gain)
    if weakest is one.gain:
        return reason("verdict-not-proven", gain=gain)
    margin = _amount(case.limits.margin)
    return reason("verdict-not-ahead", gain=gain, weakest=weakest, margin=margin)


def _ruled_out(case: Case, one: Candidate) -> Reason:
    if one.gain.worse:
        return reason("out-worse", baseline=case.roles.baseline, policy=one.policy)
    if one.harmed:
        return reason("out-harm", policy=one.policy, lost=reason("lost-recalls", harms=one.harmed))
    return reason("out-little", policy=one.policy, worth=_amount(case.limits.worth))


def _gained(case: Case, gain: Effect) -> Reason:
    return reason("gained", measure=case.measure, gain=gain)


def _dead(case: Case) -> Reason:
    return reason("verdict-mixer-dead", full=case.roles.full)


def _amount(points: float) -> Reason:
    return reason("amount", points=points)


def _useful_rival(case: Case) -> Candidate | None:
    """Return the free rival with the largest proven gain, within the candidates' wall time."""
    learned = [name for name in (case.roles.full, *case.roles.light) if name in case.costs]
    longest = max(case.costs[name].seconds for name in learned) * (1 + case.limits.same_time)
    able = [
        one
        for one in case.rivals
        if one.gain.better and one.gain.points >= case.limits.worth
        and one.gain.seeds >= LEAST_SEEDS and not one.harmed
        and (one.policy in case.roles.always or case.costs[one.policy].seconds <= longest)
    ]  # fmt: skip
    return max(able, key=lambda one: one.gain.points, default=None)


def _recommend(
    case: Case, kind: Kind, one: Candidate, why: Reason | None, *more: Effect
) -> Verdict:
    closest = min(one.over, key=lambda effect: effect.points, default=None)
    told = reason(
        f"verdict-{kind}", policy=one.policy, gain=_gained(case, one.gain),
        rival=None if closest is None else reason("best-rival", closest=closest),
        end=reason("stop", why=why),
    )  # fmt: skip
    used = (one.gain, *more) if closest is None else (one.gain, closest, *more)
    return _verdict(case, kind, one.policy, (told,), used, {"p_not_ahead": one.p_ahead})


def _verdict(
    case: Case,
    kind: Kind,
    policy: str,
    why: Sequence[Reason],
    used: Sequence[Effect],
    more: Mapping[str, float] | None = None,
) -> Verdict:
    some = next(iter(case.gains.values()))
    numbers = {"seeds": float(some.seeds), "parts": float(some.parts)}
    if policy in case.costs:
        seconds, plain = (case.costs[name].seconds for name in (policy, case.roles.baseline))
        numbers["wall_time_ratio"] = seconds / plain
    return Verdict(
        kind, policy, tuple(why), tuple(used), {**numbers, **(more or {})}, _risks(case),
        tuple(case.gains.values()),
    )  # fmt: skip


def _risks(case: Case) -> tuple[Reason, ...]:
    risks = []
    for name in (case.roles.full, *case.roles.light):
        alive = case.costs[name].alive if name in case.scores else None
        if alive is not None and alive < 1:
            code = "risk-alive-partly" if alive else "risk-alive-never"
            risks.append(reason(code, policy=name, alive=alive))
    judged = (*case.candidates, *case.rivals)
    risks += [
        reason("risk-harm", policy=one.policy, lost=reason("lost-recalls", harms=one.harmed))
        for one in judged
        if one.harmed
    ]
    notes = [note for effect in case.gains.values() for note in effect.notes]
    return (*risks, *(note for at, note in enumerate(notes) if note not in notes[:at]))


def _number(count: int | None) -> float:
    return math.inf if count is None else float(count)
