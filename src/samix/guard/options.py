"""What a guard checks and how it repairs: plain values, checked before training starts."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

REPAIRS = ("partner", "mask", "label", "mixup", "clean")
"""How a mix can be repaired, in the order in which it is tried by default."""

OUTCOMES = ("accepted", *REPAIRS)
"""What can become of a mix; ``MixPlan.repair`` counts in it."""

RULES = ("pairs", "visibility", "plausibility", "range")
"""The rules, in the order of the bits of ``MixPlan.broken``."""

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
        if self.plausibility is not None and not 0.0 < self.plausibility < 1.0:
            raise ValueError(f"plausibility: expected a number in (0, 1), got {self.plausibility}")
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
        ValueError: Unknown name (with the nearest), or a value outside its range.
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
    """Refuse a word that is not known, and name the nearest one.

    Raises:
        ValueError: It is not.
    """
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
