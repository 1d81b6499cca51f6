"""What is asked of a study, checked before anything is opened."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from samix.errors import InputError
from samix.networks import EMBEDDED, is_embedded, trained_start
from samix.study.grid import LEARNED, SELF_SUPERVISED, SUPERVISED
from samix.study.statistics.looks import LEAST_SEEDS
from samix.study.statistics.tables import MODES
from samix.study.subjects import CLEAN, labels_of
from samix.training.config import FROZEN

POLICY_NAMES = ("none", "mixup", "mixup-clean", "cutmix", "mixup-cutmix", "samix-p", "samix")
FRACTIONS = (0.05, 0.1, 0.25, 1.0)
DESIGNS = ("sequential", "fixed")
LEAST_BUDGET = 60.0  # seconds: code, trials and report alone take as long
GOOD_NAMES = (
    "good", "ok", "okay", "normal", "free", "pass", "passed", "clean", "no-defect", "defect-free",
    "non-defective", "良品", "良", "正常", "合格", "正常品", "合格品",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What is asked of a study."""

    data: str  # as for :class:`samix.training.RunConfig`
    # to compare: names, folders of Mixers, or module:name; "none" among them. The frozen encoder
    # joins them where its weights are at hand
    policies: tuple[str, ...] = POLICY_NAMES
    modes: tuple[str, ...] = MODES  # "supervised", "self-supervised" or both
    fractions: tuple[float, ...] = FRACTIONS  # shares of the labels, in (0, 1]
    # how many at most; None is eight of a sequential study, three of a fixed one
    seeds: int | None = None
    # "sequential" looks after each seed and stops what is decided; "fixed" trains all
    design: str = DESIGNS[0]
    budget: float = 7200.0  # seconds of wall time that it may take
    good: tuple[str, ...] = ()  # classes that are good parts; empty takes one that is called so
    # further fields of :class:`samix.training.RunConfig` about the photos
    photos: Mapping[str, Any] = field(default_factory=dict)
    # further fields of it about network, size and training, over what suits the photos
    network: Mapping[str, Any] = field(default_factory=dict)
    steps: int | None = None  # of each training, in a study of minutes; None is as many as fit

    def __post_init__(self) -> None:
        trained = [name for name in self.sources if name != FROZEN]
        if len(trained) < 2:
            raise InputError(
                "policies: a study compares policies; expected 'none' and at least one other "
                f"beside it, got {', '.join(self.policies) or 'nothing'}"
            )
        if "none" not in trained:
            raise InputError(
                "policies: expected 'none', which everything is compared with, got "
                f"{', '.join(self.policies)}"
            )
        if FROZEN in self.policies and not has_frozen(self.network):
            raise InputError(
                f"policies: '{FROZEN}' needs weights to start from; give backbone=NAME "
                f"pretrained=True, or install the weights of '{EMBEDDED}'"
            )
        if SELF_SUPERVISED in self.modes and all(name.endswith(CLEAN) for name in self.subjects):
            raise InputError(
                f"modes: '{self.subjects[-1]}' learns from clean images beside labels; expected "
                f"{SUPERVISED} alone, got {', '.join(self.modes)}"
            )
        strange = [mode for mode in self.modes if mode not in MODES]
        if strange or not self.modes:
            raise InputError(f"modes: expected some of {', '.join(MODES)}, got {self.modes}")
        if not self.fractions or not all(0 < share <= 1 for share in self.fractions):
            raise InputError(
                f"labels: expected percentages above 0 and up to 100, got "
                f"{', '.join(f'{100 * share:g}' for share in self.fractions)}"
            )
        if self.seeds is not None and self.seeds < LEAST_SEEDS:
            raise InputError(
                f"seeds: expected at least {LEAST_SEEDS}, got {self.seeds}: fewer trainings of a "
                "policy show too little about how they differ"
            )
        if self.design not in DESIGNS:
            raise InputError(f"design: expected {' or '.join(DESIGNS)}, got '{self.design}'")
        if self.budget < LEAST_BUDGET:
            raise InputError(
                f"budget={self.budget:.0f}s is too little to tell anything: loading the code, "
                f"timing the policies and writing the report take {LEAST_BUDGET:.0f}s alone; give "
                "at least some minutes, such as budget=10m"
            )

    @property
    def sources(self) -> dict[str, str]:
        """What the policies are made of, by label, in the order in which they were given."""
        return labels_of(self.policies)

    @property
    def trained(self) -> tuple[str, ...]:
        """Labels of the policies that are trained."""
        return tuple(name for name in self.sources if name != FROZEN)

    @property
    def subjects(self) -> tuple[str, ...]:
        """Policies in question: learned ones, or where there is none the last one that is named."""
        sources = self.sources
        learned = tuple(n for n, s in sources.items() if n in LEARNED or Path(s).is_absolute())
        return learned or self.trained[-1:]

    @property
    def frozen(self) -> bool:
        """The frozen encoder is in the race."""
        return SUPERVISED in self.modes and has_frozen(self.network)

    @property
    def start(self) -> str | None:
        """Whether trainings begin with trained weights: "named", "at-hand" or None for random ones.

        As `samix train` decides it; but those at hand are not taken for trainings of minutes, and
        those of a network that is named are.
        """
        start = trained_start(self.network)
        if start == "at-hand" and "backbone" in self.network:
            return "named"
        return None if start == "at-hand" and self.steps is not None else start


def names_weights(network: Mapping[str, Any]) -> bool:
    """Return whether trained weights are asked for."""
    return bool(network.get("pretrained")) or network.get("weights") is not None


def has_frozen(network: Mapping[str, Any]) -> bool:
    """Return whether a frozen encoder has trained weights: those asked for, or those at hand."""
    return names_weights(network) or is_embedded(EMBEDDED)


def good_of(classes: Sequence[str]) -> tuple[str, ...]:
    """Return the class that is called a good part, where there is exactly one."""
    found = tuple(
        name for name in classes
        if name.casefold().strip().replace("_", "-").replace(" ", "-") in GOOD_NAMES
    )  # fmt: skip
    return found if len(found) == 1 else ()
