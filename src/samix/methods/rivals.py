"""Named rivals of self-supervised mixing: a policy, and how its mixes enter the loss.

Each is a plain policy of :data:`samix.POLICIES` with another objective, so that inside any method
only the objective differs. ``samix.create_method("moco", policy="i-mix", ...)`` takes their names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor

from samix.mixing import draw_uniform
from samix.objectives import hard_negatives


@dataclass(frozen=True)
class HardNegatives:
    """How many negatives are made of the hardest ones; see MoCHi."""

    hardest: int = 1024  # N, the most similar negatives of a query; at most a quarter of all
    mixed: int = 512  # made of two of them, at least 0
    with_query: int = 256  # made of one of them and the query, at least 0

    def make(self, query: Tensor, negatives: Tensor, generator: torch.Generator) -> Tensor:
        """Return (B,S+T,P) new negatives of unit norm for (B,P) queries and (Q,P) negatives."""
        hardest = min(self.hardest, max(len(negatives) // 4, 1))
        batch, device = len(query), query.device
        count = self.mixed + self.with_query
        draws = draw_uniform(batch, count, 3, generator=generator, device=device)
        return hard_negatives(
            query,
            negatives,
            hardest=hardest,
            pairs=(draws[:, :, :2] * hardest).long().clamp_max(hardest - 1),
            share=draws[:, : self.mixed, 2].to(query.dtype),
            query_share=0.5 * draws[:, self.mixed :, 2].to(query.dtype),
        )


@dataclass(frozen=True)
class MixedObjective:
    """How mixed images enter the encoder's loss."""

    # "method" as the method contrasts; "batch" adds the keys of the whole batch
    candidates: Literal["method", "batch"] = "method"
    separate: bool = False  # one softmax for each source instead of one over both
    mixed_keys: bool = False  # mixes are also compared with mixed keys that share their sources
    hard: HardNegatives | None = None  # further negatives made of the hardest ones, or None


@dataclass(frozen=True)
class Rival:
    """A published way of mixing in self-supervised learning.

    Attributes:
        about: One sentence with source and deviations.
        policy: Name in :data:`samix.POLICIES`.
        policy_options: Its options, unless others are given.
        clean_branch: Whether the unmixed images are learned from as well, unless said otherwise.
        objective: How mixes enter the loss.
        methods: The methods that it is defined for.
    """

    about: str
    policy: str
    policy_options: Mapping[str, Any] = field(default_factory=dict)
    clean_branch: bool = False
    objective: MixedObjective = MixedObjective()
    methods: tuple[str, ...] = ("moco", "simclr", "mocov3", "byol")


RIVALS: dict[str, Rival] = {
    "mixco": Rival(
        "MixCo (arXiv 2010.06300): mixup beside the unmixed images, one softmax over both sources "
        "and the negatives. Here one temperature, and partners from the whole batch.",
        "mixup",
        {"alpha": 1.0},
        clean_branch=True,
    ),
    "i-mix": Rival(
        "i-Mix (arXiv 2010.08887): mixup alone, the keys of the whole batch are the classes (and "
        "the queue).",
        "mixup",
        {"alpha": 1.0},
        objective=MixedObjective(candidates="batch"),
    ),
    "un-mix": Rival(
        "Un-Mix (arXiv 2003.05438): mixup or CutMix beside the unmixed images, one softmax for "
        "each source. Here lam, kind and partner are drawn per sample, not the reversed batch.",
        "mixup-cutmix",
        {"alpha": 1.0, "cutmix_alpha": 1.0},
        clean_branch=True,
        objective=MixedObjective(separate=True),
    ),
    "mochi": Rival(
        "MoCHi (arXiv 2010.01028): images stay as they are, new negatives are mixed in feature "
        "space from the hardest ones. Here from the first step on.",
        "none",
        objective=MixedObjective(hard=HardNegatives()),
        methods=("moco",),
    ),
    "sdmp": Rival(
        "SDMP (CVPR 2022): mixes are compared with their sources and with mixes that share them. "
        "Here mixup or CutMix per sample (not ResizeMix), cyclic partners, and no extra views.",
        "mixup-cutmix",
        {"alpha": 1.0, "cutmix_alpha": 1.0},
        clean_branch=True,
        objective=MixedObjective(candidates="batch", mixed_keys=True),
        methods=("moco", "mocov3"),
    ),
}
"""Every named rival."""
