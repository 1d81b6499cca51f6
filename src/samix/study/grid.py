"""The grid of a study: which trainings answer its questions, and how large a grid time allows.

:func:`jobs_of` reads the trainings from what poc.yaml says; :func:`choose` finds the richest design
that fits into the time, from what each policy took in a trial.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from samix.study.statistics.looks import LEAST_SEEDS
from samix.study.statistics.tables import MODES
from samix.study.subjects import CLEAN, trained_as
from samix.training.config import FROZEN

LONG = "-long"  # the same policy, trained for as long as SAMix takes
LOOKS = 4  # at validation in a training: the learning rate has come down at the last
SUPERVISED, SELF_SUPERVISED = MODES
LEARNED = ("samix", "samix-p")


@dataclass(frozen=True)
class Cell:
    """One answer of a study: a policy with so many labels and one seed."""

    policy: str  # name of the policy, with "-long" where it is trained as long as SAMix takes
    labels: int  # labelled training photos, the budget
    mode: str  # "supervised" or "self-supervised"
    seed: int  # seed of labels, weights, order and mixes

    @property
    def folder(self) -> str:
        """Where it lies, below the folder of the study."""
        return f"cells/{self.mode}/{self.policy}-{self.labels}-s{self.seed}"

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {name: getattr(self, name) for name in ("policy", "seed", "labels", "mode")}


@dataclass(frozen=True)
class Job:
    """One training, and the cells that it answers: several where labels come after it."""

    folder: str  # of the training run, below the folder of the study
    command: str  # "train", "pretrain", or "frozen" for the heads of all budgets and seeds at once
    settings: Mapping[str, Any]  # fields of its configuration, without folder and splits
    cells: tuple[Cell, ...]  # what it answers
    # share of the labels of each budget
    fractions: Mapping[int, float] = field(default_factory=dict)
    expected: float = 1.0  # seconds that it probably takes; 1 where nothing was timed

    @property
    def seed(self) -> int:
        """Of all its cells."""
        return self.cells[0].seed

    @property
    def name(self) -> str:
        """What it is called in the terminal."""
        mode, policy = self.cells[0].mode, self.cells[0].policy
        labels = f", {self.cells[0].labels} labels" if self.command == "train" else ""
        if self.command == FROZEN:
            return f"{mode}, frozen encoder with a linear head, {self.cells[0].labels} labels"
        return f"{mode}, {policy}{labels}, seed {self.seed}"


def base_of(policy: str) -> str:
    """Return the policy behind a name with "-long"."""
    return policy.removesuffix(LONG)


def jobs_of(study: Mapping[str, Any]) -> tuple[Job, ...]:
    """Return the trainings of a study: the frozen rival, then seed by seed, large budgets first.

    Without those of policies that were stopped after fewer seeds (``stopped`` of the study). Seeds
    beyond the first look are trained for the main question alone.
    """
    plan, stopped = study["plan"], study.get("stopped") or {}
    seeds = [int(seed) for seed in plan["seeds"]]
    jobs = (
        *_frozen(study),
        *(job for seed in seeds for mode in plan["modes"] for job in _of_mode(study, mode, seed)),
    )
    first = seeds[: first_seeds(plan)]
    return tuple(
        job for job in jobs
        if seeds.index(job.seed) < stopped.get(job.cells[0].policy, len(seeds))
        and (job.seed in first or asks(plan, job))
    )  # fmt: skip


def first_seeds(plan: Mapping[str, Any]) -> int:
    """Return the number of seeds that are trained before anything is looked at."""
    return min(map(int, plan.get("looks") or ()), default=len(plan["seeds"]))


def without_time(plan: Mapping[str, Any]) -> list[str]:
    """Return the policies that were timed and are in no training of the plan, for want of time."""
    planned = {base_of(name) for names in plan.get("policies", {}).values() for name in names}
    timed = [name for of_mode in plan.get("timings", {}).values() for name in of_mode]
    return [name for name in dict.fromkeys(timed) if name not in planned]


def asks(plan: Mapping[str, Any], job: Job) -> bool:
    """Say whether a job answers the main question."""
    mode, labels = plan["primary"]["mode"], int(plan["primary"]["labels"])
    return any((cell.mode, cell.labels) == (mode, labels) for cell in job.cells)


def must(plan: Mapping[str, Any], job: Job) -> bool:
    """Say whether a job is trained whatever the time: the verdict is about it."""
    return job.seed in plan["seeds"][:LEAST_SEEDS] and asks(plan, job)


def cells_of(study: Mapping[str, Any]) -> tuple[Cell, ...]:
    """Return all cells of a study in the order of its jobs."""
    return tuple(cell for job in jobs_of(study) for cell in job.cells)


def _frozen(study: Mapping[str, Any]) -> Iterator[Job]:
    """Yield the jobs of the frozen rival, where it is in the race: they cost seconds.

    One for the seeds before the first look, whose features are computed once, and one for each
    further seed.
    """
    plan = study["plan"]
    if FROZEN not in plan["policies"].get(SUPERVISED, ()):
        return
    fractions = dict(zip(plan["labels"], plan["fractions"], strict=True))
    seeds = [int(seed) for seed in plan["seeds"]]
    many = first_seeds(plan)
    for group in (seeds[:many], *([seed] for seed in seeds[many:])):
        first = group[0] == seeds[0]
        cells = tuple(
            Cell(FROZEN, labels, SUPERVISED, seed)
            for seed in group
            for labels in sorted(fractions, reverse=True)
            if first or labels == int(plan["primary"]["labels"])
        )
        yield Job(
            folder=f"cells/{SUPERVISED}/{FROZEN}{'' if first else f'-s{group[0]}'}",
            command=FROZEN, settings={**study["frozen"], "policy": FROZEN}, cells=cells,
            fractions=fractions, expected=float(plan.get("frozen_seconds", 1.0)),
        )  # fmt: skip


def _of_mode(study: Mapping[str, Any], mode: str, seed: int) -> Iterator[Job]:
    plan = study["plan"]
    fractions = dict(zip(plan["labels"], plan["fractions"], strict=True))
    budgets = sorted(fractions, reverse=True)
    policies = [name for name in plan["policies"][mode] if name != FROZEN]
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
    common = study["train"] if mode == SUPERVISED else study["pretrain"]
    if policy.endswith(LONG):
        epochs = max(epochs + 1, round(epochs * study["plan"]["long"][mode][policy]))
    return {
        **with_mixing(common, policy, study["plan"]),
        "epochs": epochs,
        "shrink_batch": True,  # a budget may have fewer labels than a batch
        "validate_every": math.ceil(epochs / LOOKS),
        "seed": seed,
    }


def with_mixing(common: Mapping[str, Any], policy: str, plan: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a training with what a policy of a plan adds to them."""
    base = base_of(policy)
    if base == "none":
        common = {name: value for name, value in common.items() if name != "guard"}  # no mixes
    return {
        **common,
        "policy": trained_as(base, plan.get("sources") or {}),
        "policy_options": dict(plan.get("options", {}).get(base, {})),
        **({"clean_branch": "branch"} if base.endswith(CLEAN) else {}),
    }


def _expected(plan: Mapping[str, Any], policy: str, mode: str, labels: int | None) -> float:
    timing = plan["timings"].get(mode, {}).get(base_of(policy))
    if timing is None:
        return 1.0
    steps = plan["pretrain_steps"] if labels is None else plan["steps"][str(labels)]
    if policy.endswith(LONG):
        steps *= plan["long"][mode][policy]
    return float(timing["start"] + steps * timing["step"] + LOOKS * timing["look"])


@dataclass(frozen=True)
class Length:
    """How many steps a training has."""

    full: int  # with all labels, where it is not short
    least: int  # below this nothing is learned that could be compared


FROM_RANDOM = Length(1200, 150)
FROM_WEIGHTS = {"cpu": Length(200, 60)}  # a step of a network that is worth having takes a second
FROM_WEIGHTS_ELSEWHERE = Length(1000, 150)
FEW_LABELS = 0.3  # of the steps with all labels, that a small budget has at least
LONGER = 1.1  # times as many steps, at least: within a fifth wall times count as equal anyway
LONGEST = 3.0  # times as many steps, for a policy that is trained as long as SAMix takes
_CROWD = 2000  # photos from which on more labels do not mean more steps


@dataclass(frozen=True)
class Timing:
    """What one policy takes, from its trial."""

    start: float  # seconds of a training beside its steps and looks
    step: float  # seconds of a step
    look: float  # seconds of a look at validation

    def seconds(self, steps: float) -> float:
        """Return the seconds of a training."""
        return self.start + steps * self.step + LOOKS * self.look


Timings = Mapping[str, Mapping[str, Timing]]  # by mode, then by policy


@dataclass(frozen=True)
class Design:
    """What a grid consists of."""

    modes: tuple[str, ...]  # "supervised", "self-supervised" or both
    fractions: tuple[float, ...]  # shares of the labels, descending
    policies: Mapping[str, tuple[str, ...]]  # by mode, without those that are trained longer
    # free policies that are also trained as long as SAMix takes, by mode
    long: Mapping[str, tuple[str, ...]]
    long_everywhere: bool  # at each budget, not only at the largest
    steps: int  # of a training with all labels
    alone: float = 1.0  # share of the steps that a training without labels makes
    subjects: tuple[str, ...] = LEARNED  # policies in question, whose time the others are given

    def named(self, mode: str) -> list[str]:
        """Return all policies of a mode by the names of the tables."""
        some = []
        for policy in self.policies[mode]:
            some.append(policy)
            if policy in self.long[mode]:
                some.append(policy + LONG)
        return some


def ladder(
    policies: Sequence[str],
    fractions: Sequence[float],
    modes: Sequence[str],
    subjects: Sequence[str] = LEARNED,
    steps: int | None = None,
    length: Length = FROM_RANDOM,
) -> list[Design]:
    """Return designs of one wish, from rich to lean.

    Subjects that are not asked for do not count. ``steps`` are those of each training in a study of
    minutes, None is a study of hours; the longer and self-supervised trainings of minutes are those
    of plain training and the last subject alone. ``length`` is that of a study of hours.
    """
    full = length.full
    shares = tuple(sorted(set(fractions), reverse=True))
    few = (shares[0], *shares[1:][-2:]) if len(shares) > 2 else shares
    two = (shares[0], shares[1]) if len(shares) > 1 else shares
    whole = tuple(policies)
    asked = tuple(name for name in policies if name in subjects)
    fair = f"mixup{CLEAN}" if "samix" in asked else "mixup"  # samix has clean images
    core = tuple(name for name in policies if name in ("none", "mixup", fair, *asked))
    # a Mixer that begins anew does not come alive in the few steps of trained networks
    liked = "samix-p" if length != FROM_RANDOM else "samix"
    pair = ("none", liked if liked in asked else asked[-1])
    plain = ("none",)
    both = tuple(modes)
    one = (SUPERVISED,) if SUPERVISED in both else both

    def design(
        some: tuple[str, ...], budgets: tuple[float, ...], ways: tuple[str, ...], steps: int, *,
        alone: tuple[str, ...] | None = None, long: tuple[str, ...] | None = None,
        everywhere: bool = False,
    ) -> Design:  # fmt: skip
        here = {SUPERVISED: some, SELF_SUPERVISED: _without_clean(some if alone is None else alone)}
        free = {m: tuple(n for n in p if n not in asked) for m, p in here.items()}
        if alone is not None:
            free[SELF_SUPERVISED] = plain
        if long is not None:
            free = {SUPERVISED: long, SELF_SUPERVISED: ()}
        return Design(ways, budgets, here, free, everywhere, steps, subjects=asked)

    def least(ways: tuple[str, ...], steps: int) -> Design:
        lean = design(whole, shares[:1], ways, steps, alone=pair, long=plain)
        return replace(lean, alone=0.5)

    rungs = [
        design(whole, shares, both, 2 * full, everywhere=True),
        design(whole, shares, both, full, everywhere=True),
        design(whole, shares, both, full),
        design(whole, shares, both, full, alone=core),
        design(whole, few, both, full, alone=core),
        design(whole, two, both, 2 * full // 3, alone=core),
        design(core, two, both, 2 * full // 3, alone=core),
        design(core, two, both, full // 2, alone=core),
        least(both, full // 2),
        design(core, two, one, full),
        design(core, two, one, full // 2),
        design(core, two, one, full // 4),
        design(core, two, one, full // 5),
        design(core, shares[:1], one, full // 4),
        design(pair, shares[:1], one, full // 4),
        design(pair, shares[:1], one, length.least),
    ]
    if steps is not None:
        rungs = [
            least(both, steps), least(one, steps), least(one, steps // 2),
            design(pair, shares[:1], one, steps // 2),
        ]  # fmt: skip
    else:
        rungs = [replace(rung, steps=max(rung.steps, length.least)) for rung in rungs]
    kept: list[Design] = []
    for rung in rungs:
        if rung not in kept:
            kept.append(rung)
    return kept


def _without_clean(policies: Sequence[str]) -> tuple[str, ...]:
    """Return the policies of self-supervised training, where samix has no clean images either."""
    return tuple(name for name in policies if not name.endswith(CLEAN))


def steps_of(steps: int, labels: int, most: int) -> int:
    """Return the steps of a training with fewer labels: fewer, by the square root."""
    return math.ceil(steps * max(FEW_LABELS, math.sqrt(labels / min(most, _CROWD))))


def long_factors(design: Design, timings: Timings) -> dict[str, dict[str, float]]:
    """Return how many times more steps a free policy makes in the time that SAMix takes."""
    found: dict[str, dict[str, float]] = {}
    for mode in design.modes:
        of_mode = timings[mode]
        subjects = [name for name in design.policies[mode] if name in design.subjects]
        slowest = max(of_mode[name].step for name in subjects)
        found[mode] = {
            name + LONG: round(min(max(slowest / of_mode[name].step, 1.0), LONGEST), 3)
            for name in design.long[mode]
        }
    return found


def without_copies(design: Design, timings: Timings) -> Design:
    """Return the design without longer trainings that would hardly be longer."""
    if not all(mode in timings for mode in design.modes):
        return design
    factors = long_factors(design, timings)
    long = {
        mode: tuple(n for n in names if factors.get(mode, {}).get(n + LONG, 1.0) >= LONGER)
        for mode, names in design.long.items()
    }
    return replace(design, long=long)


def seconds_of(
    design: Design, timings: Timings, labels: Mapping[float, int], *, main: bool = False
) -> float:
    """Return the seconds of one seed of a design, one job after the other."""
    long, most = long_factors(design, timings), max(labels.values())
    total = 0.0
    for mode in design.modes[:1] if main else design.modes:
        for name in design.named(mode):
            timing, factor = timings[mode][base_of(name)], long[mode].get(name, 1.0)
            if mode == SELF_SUPERVISED:
                total += timing.seconds(design.steps * design.alone * factor)
                continue
            for at, fraction in enumerate(design.fractions[:1] if main else design.fractions):
                if name.endswith(LONG) and at > 0 and not design.long_everywhere:
                    continue
                total += timing.seconds(steps_of(design.steps, labels[fraction], most) * factor)
    return total


def choose(
    designs: Sequence[Design],
    timings: Timings,
    labels: Mapping[float, int],
    *,
    seconds: float,
    workers: int,
    seeds: int = LEAST_SEEDS,
    more: bool = False,
    length: Length = FROM_RANDOM,
) -> tuple[Design | None, float]:
    """Return the richest design that fits, with as many steps as fit, and its seeds' seconds.

    None and the least seconds where none fits. ``more``: further seeds may follow, and time is kept
    for one of the main question. ``length`` is that of trainings of a study of hours.
    """

    def wall(design: Design) -> float:
        one = seconds_of(design, timings, labels)
        jobs = sum(len(design.named(mode)) for mode in design.modes)
        rest = 0.5 * one / max(jobs, 1)  # the last jobs do not fill all workers
        return seeds * one / workers + rest

    def fits(design: Design) -> bool:
        spare = seconds_of(design, timings, labels, main=True) / workers if more else 0.0
        return wall(design) + spare <= seconds

    able = [without_copies(one, timings) for one in designs]
    able = [one for one in able if all(mode in timings for mode in one.modes)]
    fitting = next((one for one in able if fits(one)), able[-1])
    if wall(fitting) > seconds:
        return None, wall(fitting)
    for factor in (2.0, 1.75, 1.5, 1.25):
        longer = replace(fitting, steps=int(fitting.steps * factor))
        if length.least <= fitting.steps < length.full and fits(longer):
            return longer, wall(longer)
    return fitting, wall(fitting)
