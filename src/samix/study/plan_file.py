"""What poc.yaml may hold: the names and numbers that a study is planned with, and nothing else.

Policies and modes are parts of paths that are written and removed, so that a study of a stranger
must not choose them freely.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from samix.policies import POLICIES
from samix.study.grid import SELF_SUPERVISED, SUPERVISED, base_of, jobs_of
from samix.study.statistics.tables import MODES
from samix.study.subjects import check_label
from samix.training import PretrainConfig, TrainConfig
from samix.training.config import FROZEN

# what the plan says of each training, and what would lead it to other folders
_SET_BY_THE_PLAN = {
    "output", "splits", "policy", "policy_options", "epochs", "seed", "init",
    "mixer_from", "more_data", "preset", "final", "download", "nodes",
}  # fmt: skip
_MOST_LISTED = 1000
_MOST_EPOCHS = 10**7


def check_study(study: Mapping[str, Any]) -> None:
    """Refuse a study with names that are not known, and with numbers that are none."""
    try:
        _check_plan(study["plan"])
        _check_settings("train", study["train"], TrainConfig)
        if study.get("pretrain") is not None or SELF_SUPERVISED in study["plan"]["modes"]:
            _check_settings("pretrain", study["pretrain"], PretrainConfig)
        if FROZEN in study["plan"]["policies"].get(SUPERVISED, ()):
            _check_settings("frozen", study["frozen"], TrainConfig)
        _check_data(study["data"])
        for name, seeds in (study.get("stopped") or {}).items():
            _whole(f"stopped: {name!r:.40}", seeds, 1, _MOST_LISTED)
        _check_prices(study.get("prices") or {})
        jobs_of(study)
    except KeyError as error:
        raise ValueError(f"it has no {error}") from error
    except (TypeError, AttributeError, IndexError, OverflowError) as error:
        raise ValueError(f"it does not hold a plan ({error})") from error


def _check_plan(plan: Mapping[str, Any]) -> None:
    for mode in _listed(plan, "modes"):
        _known("mode", mode, MODES)
    _check_policies(plan)
    for seed in _listed(plan, "seeds"):
        _whole("seed", seed, 0, 2**62)
    for name in ("labels", "long_labels"):
        for count in _listed(plan, name):
            _whole(name, count, 1, 2**62)
    for share in _listed(plan, "fractions"):
        _number("fractions", share)
    for count, epochs in plan["epochs"].items():
        _whole(f"epochs of {count!r:.40}", epochs, 1, _MOST_EPOCHS)
    _whole("pretrain_epochs", plan["pretrain_epochs"], 1, _MOST_EPOCHS)
    _number("budget_seconds", plan.get("budget_seconds", 0.0))
    for mode, factors in plan["long"].items():
        for name, factor in factors.items():
            if not 0 < _number(f"long: {mode}: {name}", factor) <= _MOST_LISTED:
                raise ValueError(f"long: expected factors up to {_MOST_LISTED}, got {factor!r:.80}")

    for seeds, share in (plan.get("looks") or {}).items():
        _whole("looks", int(seeds), 2, _MOST_LISTED)
        if not 0 < _number("looks", share) <= 1:
            raise ValueError(f"looks: expected shares in (0, 1], got {share!r:.80}")


def _check_policies(plan: Mapping[str, Any]) -> None:
    own = _sources(plan.get("sources") or {})
    for mode, names in plan["policies"].items():
        _known("mode", mode, MODES)
        known = (*POLICIES, *own, FROZEN) if mode == SUPERVISED else (*POLICIES, *own)
        for name in names:
            _known("policy", base_of(name) if isinstance(name, str) else name, known)


def _sources(sources: Mapping[str, Any]) -> tuple[str, ...]:
    for label, source in sources.items():
        if not isinstance(label, str) or not check_label(label) or label in POLICIES:
            raise ValueError(f"sources: expected plain labels, got {label!r:.80}")
        if not isinstance(source, str):
            raise ValueError(f"sources: expected a text, got {source!r:.80}")
    return tuple(sources)


def _check_settings(
    what: str, settings: Mapping[str, Any], kind: type[TrainConfig] | type[PretrainConfig]
) -> None:
    known = sorted({field.name for field in fields(kind)} - _SET_BY_THE_PLAN)
    for name in settings:
        if name not in known:
            raise ValueError(
                f"{what}: {name!r:.80} is no setting of a study; expected some of "
                f"{', '.join(known)}"
            )
    for name in ("data", "device"):
        if not isinstance(settings[name], str):
            raise ValueError(f"{what}: {name}: expected a text, got {settings[name]!r:.80}")


def _check_data(data: Mapping[str, Any]) -> None:
    if not isinstance(data["name"], str):
        raise ValueError(f"data: name: expected a text, got {data['name']!r:.80}")
    for name in ("classes", "good", "notes"):
        texts = data.get(name) or []
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            raise ValueError(f"data: {name}: expected a list of texts, got {texts!r:.80}")


def _check_prices(prices: Mapping[str, Any]) -> None:
    for name, value in prices.items():
        if name != "currency":
            _number(f"prices: {name}", value)
        elif not isinstance(value, str):
            raise ValueError(f"prices: currency: expected a text, got {value!r:.80}")


def _listed(plan: Mapping[str, Any], name: str) -> Sequence[Any]:
    values = plan[name]
    if not isinstance(values, list) or len(values) > _MOST_LISTED:
        raise ValueError(f"{name}: expected a list of at most {_MOST_LISTED}, got {values!r:.80}")
    return values


def _known(what: str, name: object, known: Sequence[str]) -> None:
    if name not in known:
        raise ValueError(f"{what} {name!r:.80} is unknown; expected one of {', '.join(known)}")


def _whole(what: str, value: object, least: int, most: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise ValueError(f"{what}: expected a whole number from {least}, got {value!r:.80}")


def _number(what: str, value: object) -> float:
    plain = isinstance(value, int | float) and not isinstance(value, bool)
    if not plain or not math.isfinite(value):  # type: ignore[arg-type]
        raise ValueError(f"{what}: expected a number, got {value!r:.80}")
    return float(value)  # type: ignore[arg-type]
