"""What an evaluation measures, and how."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field
from typing import get_args

from samix.data import DuplicateUse
from samix.errors import InputError

from .budgets import DEFAULT_BUDGETS, Budget, parse_budgets
from .finetune import FinetuneOptions
from .knn import NEIGHBOURS

PROTOCOLS = ("knn", "linear", "finetune", "all")


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions:
    """What is measured and how.

    Attributes:
        protocol: "knn", "linear", "finetune" or "all"; "finetune" brings the linear probe along.
        part: What kNN is measured on, "test" or "val".
        neighbours: k of kNN; the number of training photos where there are fewer.
        budgets: Label budgets of linear probe and fine-tuning.
        draws: Draws of the labels at each budget, with seeds from ``seed`` on.
        finetune: How networks are fine-tuned.
        group_by: For a new division of the data, with the following three.
        duplicates: "group" keeps near-duplicates on one side, "ignore" does not look for them.
        val_fraction: Share for validation; None is 0.15.
        test_fraction: Share for test; None is 0.2.
        seed: Seed of division, labels, heads and random encoders.
    """

    protocol: str = "all"
    part: str = "test"
    neighbours: int = NEIGHBOURS
    budgets: tuple[Budget, ...] = parse_budgets(DEFAULT_BUDGETS)
    draws: int = 3
    finetune: FinetuneOptions = field(default_factory=FinetuneOptions)
    group_by: str | None = None
    duplicates: DuplicateUse = "group"
    val_fraction: float | None = None
    test_fraction: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for name, known in (
            ("protocol", PROTOCOLS),
            ("part", ("test", "val")),
            ("duplicates", get_args(DuplicateUse)),
        ):
            value = getattr(self, name)
            if value not in known:
                near = difflib.get_close_matches(value, known, n=1, cutoff=0.0)[0]
                raise InputError(
                    f"unknown --{name} '{value}'; expected one of {', '.join(known)}; the nearest "
                    f"is '{near}'"
                )
        for name in ("neighbours", "draws"):
            if getattr(self, name) < 1:
                raise InputError(f"--{name} must be at least 1, got {getattr(self, name)}")
        if self.seed < 0:
            raise InputError(f"--seed must be at least 0, got {self.seed}")
        if self.part == "val" and self.protocol != "knn":
            raise InputError(
                "--part val is for --protocol knn alone, since the linear probe chooses its "
                f"strength on val, got --protocol {self.protocol}"
            )
