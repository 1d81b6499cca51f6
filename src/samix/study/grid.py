"""The grid of a study: which trainings answer its questions, from what poc.yaml says."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from .tables import MODES

LONG = "-long"  # the same policy, trained for as long as SAMix takes
LOOKS = 8  # at validation in a training
SUPERVISED, SELF_SUPERVISED = MODES
LEARNED = ("samix", "samix-p")


@dataclass(frozen=True)
class Cell:
    """One answer of a study: a policy with so many labels and one seed.

    Attributes:
        policy: Name of the policy, with "-long" where it is trained as long as SAMix takes.
        labels: Labelled training photos, the budget.
        mode: "supervised" or "self-supervised".
        seed: Seed of labels, weights, order and mixes.
    """

    policy: str
    labels: int
    mode: str
    seed: int

    @property
    def folder(self) -> str:
        """Where it lies, below the folder of the study."""
        return f"cells/{self.mode}/{self.policy}-{self.labels}-s{self.seed}"

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {name: getattr(self, name) for name in ("policy", "seed", "labels", "mode")}


@dataclass(frozen=True)
class Job:
    """One training, and the cells that it answers: several where labels come after it.

    Attributes:
        folder: Of the training run, below the folder of the study.
        command: "train" or "pretrain".
        settings: Fields of its configuration, without folder and splits.
        cells: What it answers.
        fractions: Share of the labels of each budget.
        expected: Seconds that it probably takes; 1 where nothing was timed.
    """

    folder: str
    command: str
    settings: Mapping[str, Any]
    cells: tuple[Cell, ...]
    fractions: Mapping[int, float] = field(default_factory=dict)
    expected: float = 1.0

    @property
    def seed(self) -> int:
        """Of all its cells."""
        return self.cells[0].seed

    @property
    def name(self) -> str:
        """What it is called in the terminal."""
        mode, policy = self.cells[0].mode, self.cells[0].policy
        labels = f", {self.cells[0].labels} labels" if self.command == "train" else ""
        return f"{mode}, {policy}{labels}, seed {self.seed}"


def base_of(policy: str) -> str:
    """Return the policy behind a name with "-long"."""
    return policy.removesuffix(LONG)


def jobs_of(study: Mapping[str, Any]) -> tuple[Job, ...]:
    """Return the trainings of a study, seed by seed, the largest budget first.

    A study that is stopped early therefore has whole seeds of the main question.

    Args:
        study: What poc.yaml holds.
    """
    plan = study["plan"]
    return tuple(
        job
        for seed in plan["seeds"]
        for mode in plan["modes"]
        for job in _of_mode(study, mode, int(seed))
    )


def cells_of(study: Mapping[str, Any]) -> tuple[Cell, ...]:
    """Return all cells of a study in the order of its jobs."""
    return tuple(cell for job in jobs_of(study) for cell in job.cells)


def _of_mode(study: Mapping[str, Any], mode: str, seed: int) -> Iterator[Job]:
    plan = study["plan"]
    fractions = dict(zip(plan["labels"], plan["fractions"], strict=True))
    budgets = sorted(fractions, reverse=True)
    policies = plan["policies"][mode]
    if mode == SELF_SUPERVISED:
        for policy in policies:
            cells = tuple(Cell(policy, labels, mode, seed) for labels in budgets)
            yield Job(
                folder=f"cells/{mode}/{policy}-s{seed}", command="pretrain",
                settings=_settings(study, policy, mode, seed, plan["pretrain_epochs"]),
                cells=cells, fractions=fractions, expected=_expected(plan, policy, mode, None),
            )  # fmt: skip
        return
    for labels in budgets:
        for policy in policies:
            if policy.endswith(LONG) and labels not in plan["long_labels"]:
                continue
            cell = Cell(policy, labels, mode, seed)
            settings = _settings(study, policy, mode, seed, plan["epochs"][str(labels)])
            if fractions[labels] < 1:
                settings["label_fraction"] = fractions[labels]
            yield Job(
                folder=cell.folder, command="train", settings=settings, cells=(cell,),
                expected=_expected(plan, policy, mode, labels),
            )  # fmt: skip


def _settings(
    study: Mapping[str, Any], policy: str, mode: str, seed: int, epochs: int
) -> dict[str, Any]:
    """Return the configuration of one training."""
    base = base_of(policy)
    common = study["train"] if mode == SUPERVISED else study["pretrain"]
    if policy.endswith(LONG):
        epochs = max(epochs + 1, round(epochs * study["plan"]["long"][mode][policy]))
    return {
        **common,
        "policy": base,
        "policy_options": dict(study["plan"]["options"].get(base, {})),
        "epochs": epochs,
        "shrink_batch": True,  # a budget may have fewer labels than a batch
        "validate_every": math.ceil(epochs / LOOKS),
        "seed": seed,
    }


def _expected(plan: Mapping[str, Any], policy: str, mode: str, labels: int | None) -> float:
    """Return the seconds that a training probably takes, from the trial of its policy."""
    timing = plan["timings"].get(mode, {}).get(base_of(policy))
    if timing is None:
        return 1.0
    steps = plan["pretrain_steps"] if labels is None else plan["steps"][str(labels)]
    if policy.endswith(LONG):
        steps *= plan["long"][mode][policy]
    return float(timing["start"] + steps * timing["step"] + LOOKS * timing["look"])
