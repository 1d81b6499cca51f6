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

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from samix.errors import InputError

from .effects import Effect
from .tables import MODES
from .verdict import Verdict
from .wording_study import (
    elsewhere_words,
    hint_words,
    loss_risk,
    unanswered_words,
)
from .words import paragraph

ADOPTED = ("adopt", "adopt-light")
RECOMMENDED = (*ADOPTED, "use-simple")

Question = tuple[str, int]  # mode and labels


@dataclass(frozen=True)
class Overall:
    """The overall verdict.

    Attributes:
        verdict: Kind, policy, sentence with all that was said, numbers and risks.
        mode: Of the main question.
        labels: Of the main question.
        restricted: The policy has no gain in the other mode, by the estimate.
    """

    verdict: Verdict
    mode: str
    labels: int
    restricted: bool

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
        InputError: It was not planned, or nothing was.
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
        text = unanswered_words(*primary)
        return Overall(Verdict("not-proven", full, text, {}), *primary, False)
    main = verdicts[primary]
    numbers, risks, sentences = dict(main.numbers), list(main.risks), [main.sentence]
    restricted = False
    for mode in (one for one in MODES if one != primary[0]):
        budgets = [labels for one, labels in verdicts if one == mode]
        if not budgets:
            continue
        there = _gain(verdicts[mode, max(budgets)], main.policy)
        if there is not None:
            restricted |= there.points <= 0
            advised = main.kind in RECOMMENDED
            told = elsewhere_words(primary[0], mode, max(budgets), there, advised=advised)
            sentences.append(told)
            numbers[f"{main.policy} - {there.baseline}, {mode}: points"] = there.points
    for question, verdict in verdicts.items():
        if question == primary:
            continue
        gain = _gain(verdict, main.policy)
        if gain is not None and gain.high < 0:
            risks.append(loss_risk(*question, gain))
        if verdict.kind in ADOPTED and main.kind not in ADOPTED:
            risks.append(hint_words(*question, verdict.policy, len(verdicts)))
    joined = replace(
        main, sentence=paragraph(sentences), numbers=numbers, risks=tuple(dict.fromkeys(risks))
    )
    return Overall(joined, *primary, restricted)


def _gain(verdict: Verdict, policy: str) -> Effect | None:
    return next((effect for effect in verdict.effects if effect.policy == policy), None)
