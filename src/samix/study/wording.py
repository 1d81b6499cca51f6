"""Sentences from findings: each reason is said in the words of one dictionary, in both languages.

A reason's code is a key of ``samix/pages/words.yaml``, and its values fill the places of that
sentence. Values that are no text or number are said first:

| value | place |
|---|---|
| effect, named NAME | NAME is the difference with its interval; NAME_policy, NAME_baseline |
| reason, or several | its words; several are chained |
| mode, or mode and labels | mode, and where |
| policy, baseline, full | what a reader calls it, see :func:`policy_words` |
| names | "a, b and c" |

Only what takes a choice of words has a function of its own below.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from samix.pages.words import NOTHING, Words, chained, commas, either, listed, paragraph, word
from samix.study.grid import LONG
from samix.study.overall import BASELINE
from samix.study.statistics.effects import Effect, Reason
from samix.study.statistics.inspection import ClassRecall
from samix.study.statistics.labels import LabelEfficiency
from samix.study.statistics.power import MOST_SEEDS, Needed
from samix.study.subjects import CLEAN
from samix.study.verdict import Verdict
from samix.training.config import FROZEN

_FEW = 3  # classes that are named one by one
_POLICIES = ("policy", "baseline", "full")  # places that hold the name of a policy


def sentence_of(verdict: Verdict) -> Words:
    """Return what a verdict says, in whole sentences."""
    return paragraph(say(one) for one in verdict.reasons)


def network_words(settings: Mapping[str, Any]) -> Words:
    """Return what each training of a study begins with, from the settings of its trainings."""
    size, backbone = settings["image_size"], str(settings["backbone"])
    weights = settings.get("weights") or (backbone if settings.get("pretrained") else None)
    if weights is None:
        return word("network-from-random", backbone=backbone, size=size)
    name = Path(str(weights)).name
    return word("network-from-weights", weights=name, backbone=backbone, size=size)


def said_once(reasons: Iterable[Reason]) -> list[Words]:
    """Return reasons in words, each sentence once."""
    return list(dict.fromkeys(say(one) for one in reasons))


def in_words(value: Any) -> Any:
    """Return plain values: reasons as sentences by language; None for what is no finite number."""
    if isinstance(value, Reason):
        return say(value).plain()
    if isinstance(value, Words):
        return value.plain()
    if isinstance(value, Mapping):
        return {str(name): in_words(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [in_words(one) for one in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def say(reason: Reason) -> Words:
    """Return a reason in words."""
    special = _SPECIAL.get(reason.code)
    if special is not None:
        return special(**reason.values)
    return word(reason.code, **_places(reason.values))


def mode_words(mode: str) -> Words:
    """Return the name of a mode."""
    return word(f"mode-{mode}")


def policy_words(policy: str) -> Words:
    """Return what a reader calls a policy: "none" is plain training, and is never called none."""
    name, long, _ = policy.partition(LONG)
    told = Words(name, name)
    if name == BASELINE:
        told = word("policy-none")
    elif name == FROZEN:
        told = word("policy-frozen")
    elif name.endswith(CLEAN):
        told = word("policy-clean", policy=name.removesuffix(CLEAN))
    return word("policy-long", policy=told) if long else told


def interval_words(low: float, high: float, form: str = "+.1f") -> Words:
    """Return a 95 % interval."""
    if math.isinf(low) or math.isinf(high):
        return word("no-interval")
    return word("interval", low=f"{low:{form}}", high=f"{high:{form}}")


def difference_words(effect: Effect) -> Words:
    """Return a difference with its interval."""
    interval = interval_words(effect.low, effect.high)
    return word("difference", points=effect.points, interval=interval)


def _places(values: Mapping[str, Any]) -> dict[str, Any]:
    places: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Effect):
            places[f"{name}_policy"] = policy_words(value.policy)
            places[f"{name}_baseline"] = policy_words(value.baseline)
        places[name] = policy_words(value) if name in _POLICIES else _told(value)
    if "mode" in values:
        places["mode"] = mode_words(values["mode"])
        if "labels" in values:
            places["where"] = word("mode-and-labels", mode=places["mode"], labels=values["labels"])
    return places


def _told(value: Any) -> Any:
    if value is None:
        return NOTHING
    if isinstance(value, Effect):
        return difference_words(value)
    if isinstance(value, Reason):
        return say(value)
    if isinstance(value, (tuple, list)):
        if all(isinstance(one, Reason) for one in value):
            return chained([say(one) for one in value])
        return listed([one if isinstance(one, Words) else str(one) for one in value])
    return value


def _counted(key: str, count: int) -> Words:
    return word(f"{key}-one" if count == 1 else key, count=count)


def _amount(points: float) -> Words:
    return word("amount-one" if points == 1 else "amount", points=points)


def _stop(why: Reason | None) -> Words:
    return word("stop") if why is None else word("stop-because", why=say(why))


def _gained(measure: str, gain: Effect) -> Words:
    avoided = gain.avoided[0]
    errors = f"errors-{'fewer' if avoided >= 0 else 'more'}"
    if measure != "accuracy":
        errors += "-balanced"
    return word(
        "gained", policy=policy_words(gain.policy), baseline=policy_words(gain.baseline),
        points=gain.points, measure=word(f"measure-{measure}"),
        interval=interval_words(gain.low, gain.high),
        errors=word(errors, errors=abs(avoided)), seeds=_counted("seed-count", gain.seeds),
        parts=gain.parts,
    )  # fmt: skip


def _lost(harms: Sequence[Effect]) -> Words:
    """Name classes and how far their recall falls; of many the range, and the worst."""
    if len(harms) <= _FEW:
        return listed(
            [word("lost-recall", name=_class(harm), points=-harm.points) for harm in harms]
        )
    worst, *_, mildest = sorted(harms, key=lambda harm: harm.points)
    return word(
        "lost-recalls", count=len(harms), least=-mildest.points, most=-worst.points,
        name=_class(worst),
    )  # fmt: skip


def _class(effect: Effect) -> str:
    return effect.measure.removeprefix("recall:")


def _needed(more: Needed) -> Words:
    choices = []
    if more.seeds is not None:
        choices.append(_counted("needed-seeds", more.seeds))
    if more.parts is not None:
        choices.append(_counted("needed-parts", more.parts))
    if more.together is not None:
        seeds, parts = more.together
        both = {"seeds": _counted("needed-seeds", seeds), "parts": _counted("needed-parts", parts)}
        choices.append(word("needed-together", **both))
    if not choices:
        return word("needed-nothing", most=MOST_SEEDS)
    return word("needed", choices=either(choices))


def _elsewhere(main: str, mode: str, labels: int, gain: Effect, *, advised: bool) -> Words:
    """Say what the policy of the verdict does in the other mode."""
    if not advised:
        code = "elsewhere"
    elif gain.points > 0:
        code = "elsewhere-gain" if gain.low > 0 else "elsewhere-gain-unproven"
    else:
        code = "elsewhere-loss" if gain.high < 0 else "elsewhere-nothing"
    places = _places({"mode": mode, "labels": labels, "gain": gain})
    return word(code, main=mode_words(main), **places)


def _efficiency(one: LabelEfficiency) -> Words:
    least, most = one.measured
    named: dict[str, Any] = {
        "policy": policy_words(one.policy), "baseline": policy_words(one.baseline),
        "labels": one.labels,
    }  # fmt: skip
    if one.outside == "above":
        proven = one.low is not None and round(one.low) >= most
        code = "efficiency-better" if proven else "efficiency-higher"
        return word(code, most=most, sure=_sure("sure-at-least", one.low), **named)
    if one.outside == "below":
        proven = one.high is not None and round(one.high) <= least
        code = "efficiency-worse" if proven else "efficiency-lower"
        return word(code, least=least, sure=_sure("sure-at-most", one.high), **named)
    low, high = (
        None if end is None else word("labels-count", labels=rounded(end))
        for end in (one.low, one.high)
    )
    return word(
        "efficiency", equal=rounded(one.equal or 0), low=low or word("labels-less", labels=least),
        high=high or word("labels-more", labels=most), **named,
    )  # fmt: skip


def _sure(code: str, labels: float | None) -> Words:
    return word("sure-nothing") if labels is None else word(code, labels=rounded(labels))


def rounded(labels: float) -> str:
    """Write labels with three digits; more are not known."""
    step = 10 ** max(math.floor(math.log10(max(labels, 1))) - 2, 0)
    return f"{round(labels / step) * step:,}"


def _ranks(
    count: int, correlation: float, p: float, signs: Iterable[tuple[str, bool | None]]
) -> Words:
    """Say whether policies rank alike in both modes, and if the learned ones keep their sign."""
    code = "ranks-agree" if p < 0.05 and correlation > 0 else "ranks-unclear"
    if math.isnan(correlation):
        code = "ranks-too-few"
    told = [word(code, count=count, correlation=correlation, p=p)]
    of_sign: dict[bool | None, list[str]] = {True: [], False: [], None: []}
    for name, same in signs:
        of_sign[same].append(name)
    keys = {True: "sign-same", False: "sign-opposite", None: "sign-unclear"}
    told += [
        word(keys[same], names=listed([policy_words(one) for one in n]))
        for same, n in of_sign.items()
        if n
    ]
    return paragraph(told)


def _recall(code: str, one: ClassRecall, policy: str) -> Words:
    rate = one.recall
    return word(
        code, name=one.name, policy=policy_words(policy), parts=rate.parts, recall=rate.share,
        interval=interval_words(100 * rate.low, 100 * rate.high, ".0f"),
    )  # fmt: skip


def _not_judgeable(one: ClassRecall) -> Words:
    rate = one.recall
    code = {0: "class-no-parts", 1: "class-one-part"}.get(rate.parts, "class-few-parts")
    return word(
        code, name=one.name, parts=rate.parts, least=one.least, low=np.floor(100 * rate.low),
        high=np.ceil(100 * rate.high),
    )  # fmt: skip


def _primary(mode: str, labels: int, others: int) -> Words:
    code = "note-primary-one" if others == 1 else "note-primary"
    return word(code, others=others, **_places({"mode": mode, "labels": labels}))


def _headline(measure: str, gain: Effect) -> Words:
    return word("headline-accuracy", measure=word(f"measure-{measure}"), **_places({"gain": gain}))


_SPECIAL: Mapping[str, Callable[..., Words]] = {
    "amount": _amount,
    "class-not-judgeable": _not_judgeable,
    "classes-not-judgeable": lambda least, named: word(
        "classes-not-judgeable", least=least, named=commas(named)
    ),
    "efficiency": _efficiency,
    "elsewhere": _elsewhere,
    "stop": _stop,
    "gained": _gained,
    "headline-accuracy": _headline,
    "lost-recalls": _lost,
    "needed": _needed,
    "note-primary": _primary,
    "ranks": _ranks,
    "rarest-class": lambda **values: _recall("rarest-class", **values),
    "risk-weakest": lambda **values: _recall("risk-weakest", **values),
}
