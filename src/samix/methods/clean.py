"""Clean images: whether, and how, an encoder also learns from images that are not mixed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

from samix.policies import Policy, check_options, nearest


@dataclass(frozen=True)
class CleanBranch:
    """How the encoder learns from clean images beside the mixed ones.

    Attributes:
        mode: "branch" shows clean images in a pass of their own, beside a batch that is mixed as a
            whole; "share" leaves a part of the batch unmixed, without a further pass.
        fraction: How much of the batch is shown clean, in (0, 1] for "branch" and in (0, 1) for
            "share". "branch" takes the first images, "share" the last, so batches must be shuffled.
        head: The classifier that clean images are judged by: that of the mixed images ("shared") or
            one of their own ("own"), as published. The exported model has the shared one, unless
            asked otherwise.
        look: Where a Mixer's features come from: the "average" (the momentum encoder), or the pass
            of the "encoder" over the clean images, so that no look of its own is needed. Only for
            "branch" with fraction 1; it changes nothing for a policy that reads no features.
    """

    mode: Literal["branch", "share"] = "branch"
    fraction: float = 1.0
    head: Literal["shared", "own"] = "shared"
    look: Literal["average", "encoder"] = "average"

    def __post_init__(self) -> None:
        choices = {
            "mode": ("branch", "share"),
            "head": ("shared", "own"),
            "look": ("average", "encoder"),
        }
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise ValueError(
                    f"clean_branch.{name}: expected one of {', '.join(allowed)}, got "
                    f"{getattr(self, name)!r}"
                )
        whole = self.mode == "branch"
        if isinstance(self.fraction, bool) or not isinstance(self.fraction, int | float):
            raise TypeError(f"clean_branch.fraction: expected a number, got {self.fraction!r}")
        if not 0.0 < self.fraction <= 1.0 or (self.fraction == 1.0 and not whole):
            raise ValueError(
                f"clean_branch.fraction: expected a number in {'(0, 1]' if whole else '(0, 1)'} "
                f"with mode {self.mode!r}, got {self.fraction}"
            )
        if self.look == "encoder" and not (whole and self.fraction == 1.0):
            raise ValueError(
                "clean_branch.look: expected 'average' unless every image of the batch is shown "
                f"clean (mode 'branch', fraction 1), got 'encoder' with mode {self.mode!r} and "
                f"fraction {self.fraction}"
            )

    def count(self, batch: int) -> int:
        """Return how many images of a batch are shown clean: at least one, and not all of a share.

        Args:
            batch: Number of images B, at least 1.
        """
        wanted = max(1, math.ceil(self.fraction * batch - 1e-9))
        return wanted if self.mode == "branch" else min(wanted, batch - 1)


CLEAN_BRANCHES: Mapping[str, CleanBranch] = {
    "branch": CleanBranch(),
    "half": CleanBranch(fraction=0.5),
    "share": CleanBranch(mode="share", fraction=0.5),
    "own-head": CleanBranch(head="own"),
    "cheap": CleanBranch(look="encoder"),
}
"""The clean branches that have a name."""
OFF = "off"  # the name of no clean branch

CleanLike = CleanBranch | Mapping[str, Any] | str | bool | None
"""What the argument ``clean_branch`` of :func:`samix.create_method` may be."""


def find_clean(clean: CleanLike) -> CleanBranch | None:
    """Return a clean branch from what was given.

    Args:
        clean: A :class:`CleanBranch` as it is; its fields by name; a key of
            :data:`CLEAN_BRANCHES`; True for "branch"; "off", False or None for no clean branch.

    Raises:
        TypeError: Something else was given, or a field of the wrong type.
        ValueError: An unknown name or field, or a value outside its range.
    """
    if clean is None or clean is False or clean == OFF:
        return None
    if isinstance(clean, CleanBranch):
        return clean
    if isinstance(clean, Mapping):
        check_options(clean, [field.name for field in fields(CleanBranch)], "clean_branch")
        return CleanBranch(**clean)
    name = "branch" if clean is True else clean
    if not isinstance(name, str):
        raise TypeError(
            f"clean_branch: expected True, False, one of {', '.join((OFF, *CLEAN_BRANCHES))}, or a "
            f"samix.methods.CleanBranch, got {clean!r}"
        )
    if name not in CLEAN_BRANCHES:
        raise ValueError(
            f"clean_branch: expected one of {', '.join((OFF, *CLEAN_BRANCHES))} or a "
            f"samix.methods.CleanBranch, got {name!r}; the nearest is "
            f"{nearest(name, [OFF, *CLEAN_BRANCHES])!r}"
        )
    return CLEAN_BRANCHES[name]


def check_clean(policy: Policy, clean: CleanBranch | None) -> None:
    """Raise a ValueError where a policy and a clean branch do not go together."""
    if clean is None:
        return
    if not policy.traits.mixes:
        raise ValueError(
            f"clean_branch: expected None or False with policy {policy.name!r}, which shows clean "
            f"images anyway, got {clean}"
        )
