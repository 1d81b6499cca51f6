"""Which classes may be mixed with which, from names to a table of numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from .options import check_word

_FORMS = (
    "{never: [A, B]}, {among: [A, B, ...]}, or {at_most: 0.3, of: A, with: B} (B may be left out)"
)


def pair_table(pairs: Sequence[Mapping[str, Any]], classes: Sequence[str]) -> Tensor:
    """Return how large a share each class may have in the label of a mix with each other class.

    Forms of a rule:

    - ``{never: [A, B]}``: A and B are never mixed with each other; a single name twice forbids
      pairs within a class;
    - ``{among: [A, B]}``: these classes are mixed among themselves alone;
    - ``{at_most: 0.3, of: A, with: B}``: A has at most that share in a mix with B; without
      ``with``, in a mix with any other class.

    Args:
        pairs: The rules.
        classes: Names of all classes.

    Returns:
        (K,K) float32: ``table[a, b]`` is the largest share of class b in a mix with class a.

    Raises:
        ValueError: Unknown class (with the nearest), a share outside [0, 1), or rules that
            contradict each other.
        TypeError: A rule of none of these forms.
    """
    table = torch.ones(len(classes), len(classes))
    wishes: dict[tuple[int, int], tuple[float, Mapping[str, Any]]] = {}
    together: dict[tuple[int, int], str] = {}
    for rule in pairs:
        text = _text(rule)
        if set(rule) == {"among"}:
            inside = _numbers(rule["among"], classes, text)
            together |= {(a, b): text for a in inside for b in inside if a != b}
        for place, share in _limits(rule, classes, text).items():
            known = wishes.get(place)
            if known and known[0] != share and _specific(known[1]) == _specific(rule):
                raise ValueError(f"pairs: {text} contradicts {_text(known[1])}; keep one of them")
            if known is None or _specific(rule) or share < known[0]:
                wishes[place] = (share, rule)
    for (a, b), (share, rule) in wishes.items():
        table[a, b], text = share, _text(rule)
        other = wishes.get((b, a))
        if share == 0.0 and (a, b) in together and "among" not in rule:
            raise ValueError(f"pairs: {text} contradicts {together[a, b]}; keep one of them")
        if other is not None and share > 0.0 and other[0] > 0.0 and share + other[0] < 1.0:
            raise ValueError(
                f"pairs: {text} contradicts {_text(other[1])}: two shares of {share:g} and "
                f"{other[0]:g} do not make a whole; raise one, or forbid the pair with 'never'"
            )
    for number, name in enumerate(classes):
        if len(classes) > 1 and not table[number].any():
            raise ValueError(f"pairs: class '{name}' is left with no class to be mixed with")
    return table


def class_flags(names: Sequence[str], classes: Sequence[str], option: str) -> Tensor:
    """Return (K,) bool, True for the named classes.

    Raises:
        ValueError: Unknown class, with the nearest name.
    """
    named = {str(name) for name in names}
    for name in named:
        check_word(option, name, classes)
    return torch.tensor([name in named for name in classes])


def _limits(
    rule: Mapping[str, Any], classes: Sequence[str], text: str
) -> dict[tuple[int, int], float]:
    """Return what one rule says about ``table[a, b]``."""
    everything = range(len(classes))
    if set(rule) == {"never"}:
        named = _numbers(rule["never"], classes, text)
        if len(named) != 2:
            raise ValueError(f"pairs: {text} must name two classes; the same one twice is allowed")
        return {(named[0], named[1]): 0.0, (named[1], named[0]): 0.0}
    if set(rule) == {"among"}:
        inside = _numbers(rule["among"], classes, text)
        outside = [other for other in everything if other not in inside]
        return {p: 0.0 for a in inside for b in outside for p in ((a, b), (b, a))}
    if set(rule) in ({"at_most", "of"}, {"at_most", "of", "with"}):
        share = rule["at_most"]
        if isinstance(share, bool) or not isinstance(share, int | float) or not 0.0 < share < 1.0:
            raise ValueError(f"pairs: {text} needs a share in (0, 1); use 'never' to forbid a pair")
        (of,) = _numbers([rule["of"]], classes, text)
        others = _numbers([rule["with"]], classes, text) if "with" in rule else everything
        return {(other, of): float(share) for other in others if other != of}
    raise TypeError(f"pairs: {text} is no rule; expected {_FORMS}")


def _numbers(names: object, classes: Sequence[str], text: str) -> list[int]:
    if isinstance(names, str) or not isinstance(names, Sequence):
        raise TypeError(f"pairs: {text} must have a list of classes, got {names!r}")
    for name in names:
        check_word(f"pairs: {text}", str(name), classes)
    return [classes.index(str(name)) for name in names]


def _specific(rule: Mapping[str, Any]) -> bool:
    """Say whether a rule names both classes of a pair, so that it goes before one that does not."""
    return "at_most" not in rule or "with" in rule


def _text(rule: object) -> str:
    if not isinstance(rule, Mapping):
        raise TypeError(f"pairs: {rule!r} is no rule; expected {_FORMS}")
    shown = [f"{k}: {_names(v)}" for k, v in rule.items()]
    return "{" + ", ".join(shown) + "}"


def _names(value: object) -> str:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "[" + ", ".join(map(str, value)) + "]"
    return str(value)
