"""What a guard checks and how it repairs: plain values, checked before training starts.

Rules about pairs of classes are turned into a table of numbers here.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

import torch
from torch import Tensor

REPAIRS = ("partner", "mask", "label", "mixup", "clean")
"""How a mix can be repaired, in the order in which it is tried by default."""

OUTCOMES = ("accepted", *REPAIRS)
"""What can become of a mix; ``GuardRecord.repair`` counts in it."""

RULES = ("pairs", "visibility", "plausibility", "range")
"""The rules, in the order of the bits of ``GuardRecord.broken``."""

Saliency = Literal["image", "attention", "given"]


@dataclass(frozen=True)
class GuardOptions:
    """What a guard checks, and how it repairs.

    Attributes:
        visibility: Whether sources must stay visible.
        weight: Share of the label from which on a source must be seen, in (0, 1].
        share: Share of its salient content that must stay visible, in [0, 1]. A mix that was drawn
            anew must show more, halfway to all: it was chosen because it passed.
        saliency: Where the content of an image lies: "image" finds it in the image alone (spectral
            residual), "attention" asks the momentum encoder, "given" takes what the caller gives
            as evidence, such as defect masks.
        good: Classes that have nothing to lose sight of, such as a good part.
        pairs: Which classes may be mixed, see :func:`samix.guard.pair_table`.
        plausibility: Probability that the momentum encoder must give to the classes of both
            sources together, in (0, 1); None does not ask it.
        range: Largest distance between weight, area and lam, in (0, 1]; None is any. A label that
            was corrected to the visible content is exempt: it departs on purpose.
        repair: How a mix is repaired, in the order in which it is tried. "clean" always helps and
            must come last.
        tries: How often "partner" and "mask" are drawn anew.
    """

    visibility: bool = True
    weight: float = 0.2
    share: float = 0.5
    saliency: Saliency = "image"
    good: Sequence[str] = ()
    pairs: Sequence[Mapping[str, Any]] = ()
    plausibility: float | None = None
    range: float | None = None
    repair: Sequence[str] = REPAIRS
    tries: int = 4

    def __post_init__(self) -> None:
        _check_share("weight", self.weight, above=True)
        _check_share("share", self.share)
        if self.plausibility is not None:
            _check_share("plausibility", self.plausibility, above=True)
            if self.plausibility == 1:
                raise ValueError("plausibility: expected a number in (0, 1), got 1")
        if self.range is not None:
            _check_share("range", self.range, above=True)
        if not isinstance(self.visibility, bool):
            raise TypeError(f"visibility: expected true or false, got {self.visibility!r}")
        # a class may be named by a number, which YAML reads as one; yes and no are no names
        if not all(isinstance(name, str) or type(name) is int for name in self.good):
            raise TypeError(
                f"good: expected names of classes, got {list(self.good)!r}; put names such as yes "
                "and no, and numbers with a point, between quotes"
            )
        check_word("saliency", self.saliency, get_args(Saliency))
        if isinstance(self.tries, bool) or not isinstance(self.tries, int) or self.tries < 1:
            raise ValueError(f"tries: expected a whole number of at least 1, got {self.tries!r}")
        if isinstance(self.repair, str) or not isinstance(self.repair, Sequence):
            raise TypeError(f"repair: expected a list of {', '.join(REPAIRS)}, got {self.repair!r}")
        for name in self.repair:
            check_word("repair", name, REPAIRS)
        if len(set(self.repair)) != len(self.repair):
            raise ValueError(f"repair: expected each way once, got {', '.join(self.repair)}")
        if not self.repair or self.repair[-1] != "clean":
            raise ValueError(
                "repair: expected 'clean' as the last way, which always helps, got "
                f"{', '.join(self.repair) or 'none'}"
            )

    @property
    def rules(self) -> tuple[str, ...]:
        """The rules that are in force, in the order of :data:`RULES`."""
        on = {
            "pairs": bool(self.pairs),
            "visibility": self.visibility,
            "plausibility": self.plausibility is not None,
            "range": self.range is not None,
        }
        return tuple(name for name in RULES if on[name])


def guard_options(values: Mapping[str, Any]) -> GuardOptions:
    """Return options from plain values, such as those of a YAML file.

    Raises:
        ValueError: A name is unknown (the nearest is named), or a value is outside its range.
        TypeError: A value of another kind.
    """
    if not isinstance(values, Mapping):
        raise TypeError(f"guard: expected names and values, got {values!r}")
    known = [field.name for field in fields(GuardOptions)]
    for name in values:
        check_word("guard", str(name), known)
    for name in ("good", "pairs"):
        if isinstance(values.get(name), str) or not isinstance(values.get(name, ()), Sequence):
            raise TypeError(f"{name}: expected a list, got {values[name]!r}")
    return GuardOptions(**values)


def check_word(name: str, value: str, known: Sequence[str]) -> None:
    """Refuse a word that is not known, and name the nearest one."""
    if value not in known:
        near = difflib.get_close_matches(str(value), list(known), n=1, cutoff=0.0)
        hint = f"; the nearest is {near[0]!r}" if near else ""
        raise ValueError(f"{name}: expected one of {', '.join(known)}, got {value!r}{hint}")


def _check_share(name: str, value: object, *, above: bool = False) -> None:
    """Refuse what is not a number in [0, 1]; with ``above`` in (0, 1]."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name}: expected a number, got {value!r}")
    if not 0.0 <= value <= 1.0 or (above and value == 0):
        raise ValueError(f"{name}: expected a number in {'(' if above else '['}0, 1], got {value}")


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
        ValueError: A class is unknown (the nearest is named), a share is outside [0, 1), or rules
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
    """Return (K,) bool, True for the named classes; an unknown one is a ValueError."""
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
