"""What a study trains next: its trainings go where the question is open.

1. The frozen encoder and plain training of the first seed show how much room there is. Where plain
   training leaves less than the study can tell, the main question becomes that of fewer labels, or
   the study ends and says so. Only validation photos are looked at.
2. Three seeds of everything, those of the main question first.
3. After the third and each further seed a policy stops that is decided (proven, or worth nothing),
   or that will hardly be proven at the last seed, unless all in question may be worth nothing. The
   others are trained with one more seed, in the main question alone, as long as there is time. A
   fixed design trains all seeds and looks once.

Nothing else decides how many seeds a study has.

What is decided is written into poc.yaml, so that a study that was killed goes on as it was.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from samix.errors import InputError
from samix.study.cells import CELL_OUTCOMES, PocFolder, collect, read_cell, read_table, write_study
from samix.study.findings import limits_of, roles_of
from samix.study.grid import Cell, Job, asks, first_seeds, jobs_of
from samix.study.statistics.candidates import (
    ERROR,
    Candidate,
    PolicyCost,
    Roles,
    VerdictLimits,
    costs_of,
    share_of,
)
from samix.study.statistics.effects import Effect
from samix.study.statistics.looks import Outlook
from samix.study.statistics.tables import PartScores
from samix.study.statistics.trained import gather, measure_of, scores_by
from samix.study.verdict import case_of
from samix.training.config import FROZEN

SMALL = 0.1  # chance to be decided at the last seed, below which a policy is stopped


def stages(folder: PocFolder, study: dict[str, Any]) -> Iterator[list[Job]]:
    """Yield the jobs of each stage; between two, write what was decided into poc.yaml.

    A stage whose jobs did not all end, for want of time, is the last one.
    """
    pilot = pilot_jobs(study)
    yield pilot
    if not _ended(folder, pilot):
        return
    if "room" not in study["plan"]:
        study["plan"] |= asked(folder, study)
        write_study(folder, study)
    plan = study["plan"]
    if plan["ended"]:
        return
    seeds, count = plan["seeds"], first_seeds(plan)
    jobs = [job for job in jobs_of(study) if job.seed in seeds[:count] and job not in pilot]
    while jobs:
        yield sorted(jobs, key=lambda job: not asks(plan, job))
        if count not in map(int, plan.get("looks") or ()) or not _ended(folder, jobs):
            return
        look(folder, study, count)
        count += 1
        jobs = [job for job in jobs_of(study) if job.seed in seeds[count - 1 : count]]


def pilot_jobs(study: Mapping[str, Any]) -> list[Job]:
    """Return the jobs that show how much room there is: they are part of the study."""
    plan = study["plan"]
    mode, first = plan["primary"]["mode"], plan["seeds"][0]
    return [
        job for job in jobs_of(study)
        if job.seed == first
        and (job.command == FROZEN
             or (job.cells[0].policy == "none" and job.cells[0].mode == mode))
    ]  # fmt: skip


def _ended(folder: PocFolder, jobs: Sequence[Job]) -> bool:
    return all(read_cell(folder, cell) is not None for job in jobs for cell in job.cells)


def asked(folder: PocFolder, study: Mapping[str, Any]) -> dict[str, Any]:
    """Return the main question that there is room for, from the pilot's validation photos.

    That is ``room`` (points that plain training leaves, by labels), ``primary``, ``asked_first``
    where it is another than planned, and ``ended``: whether there is room nowhere.
    """
    plan = study["plan"]
    mode, planned = plan["primary"]["mode"], int(plan["primary"]["labels"])
    room: dict[int, float] = {}
    for labels in plan["labels"]:
        cell = Cell("none", int(labels), mode, int(plan["seeds"][0]))
        record = read_cell(folder, cell)
        if record is not None and record["status"] == "finished":
            said = read_table(folder.path / cell.folder / CELL_OUTCOMES, "outcomes")
            room[int(labels)] = 100 - 100 * _level(said[said["part"] == "val"], study)
    shown = float(plan["smallest_difference"])
    enough = [labels for labels, left in room.items() if labels <= planned and left >= shown]
    chosen = max(enough, default=planned)
    found: dict[str, Any] = {
        "room": {str(labels): round(left, 2) for labels, left in room.items()},
        "primary": {"mode": mode, "labels": chosen},
        "ended": planned in room and not enough,
    }
    return found | ({"asked_first": planned} if chosen != planned else {})


def _level(said: pd.DataFrame, study: Mapping[str, Any]) -> float:
    """Return the share of validation photos that are judged right, as the measure counts."""
    measure, good = study["plan"].get("measure"), study["data"]["good"]
    target, predicted = said["target"], said["predicted"]
    if measure == "detection":
        side = measure_of(study["data"]["test_parts"], measure, good=good).side
        target, predicted = target.isin(side), predicted.isin(side)
    right = target == predicted
    if measure in (None, "accuracy"):
        return float(right.mean())
    return float(right.groupby(target).mean().mean())


@dataclass(frozen=True)
class Contender:
    """A policy that may be recommended, and what it must show for that."""

    known: Candidate  # what is known of it
    level: float  # one-sided error of each of its comparisons, over all looks
    rivals: bool  # it must be ahead of the free rivals too

    def open(self, effect: Effect, limits: VerdictLimits) -> bool:
        """Whether a comparison is not shown yet."""
        least = limits.worth if effect is self.known.gain else limits.margin
        return effect.p_better >= self.level or effect.points < least

    def undecided(self, limits: VerdictLimits) -> list[Effect]:
        """Return the comparisons in which further seeds may show a lead, if they may in all."""
        if self.known.hopeless(limits.worth):
            return []
        gain, looks = self.known.gain, limits.looks or {}
        least = {id(gain): limits.worth}
        needed = (gain, *(self.known.over if self.rivals else ()))
        open_ = [one for one in needed if self.open(one, limits)]
        if all(
            Outlook(one.squares, one.points, looks).lead(
                margin=least.get(id(one), limits.margin), level=self.level
            ) >= SMALL
            for one in open_
        ):  # fmt: skip
            return open_
        return []

    def fading(self, limits: VerdictLimits) -> bool:
        """Whether further seeds may show that it is worth nothing."""
        gain = self.known.gain
        outlook = Outlook(gain.squares, gain.points, limits.looks or {})
        return outlook.little(worth=limits.worth) >= SMALL


def stopped_now(
    contenders: Sequence[Contender], baseline: str, policies: Sequence[str], limits: VerdictLimits
) -> set[str]:
    """Return the policies that need no further seed."""
    needed: set[str] = set()
    for one in contenders:
        undecided = one.undecided(limits)
        if undecided:
            needed |= {baseline, one.known.policy, *(effect.baseline for effect in undecided)}
    left = [one for one in contenders if one.rivals and not one.known.hopeless(limits.worth)]
    if left and all(one.fading(limits) for one in left):  # then none of them is to be adopted
        needed |= {baseline, *(one.known.policy for one in left)}
    return set(policies) - needed


def look(folder: PocFolder, study: dict[str, Any], count: int) -> None:
    """Look at the main question after some finished seeds, and write down which policies stop."""
    if count <= study.get("looked", 0):
        return
    stopped: dict[str, int] = dict(study.get("stopped") or {})
    mode, labels = study["plan"]["primary"]["mode"], int(study["plan"]["primary"]["labels"])
    running = [name for name in study["plan"]["policies"][mode] if name not in stopped]
    try:
        now = _now(folder, study, (mode, labels), running)
    except InputError:
        now = set()  # plain training or all candidates failed: nothing can be decided
    if set(running) <= now | {FROZEN}:
        now |= {FROZEN} & set(running)
    study["stopped"] = stopped | {name: count for name in sorted(now) if name not in stopped}
    study["looked"] = count
    write_study(folder, study)


def _now(
    folder: PocFolder, study: Mapping[str, Any], where: tuple[str, int], running: Sequence[str]
) -> set[str]:
    outcomes, cells = collect(folder, study)
    trained = gather(outcomes, cells)
    measured = measure_of(
        study["data"]["test_parts"], study["plan"]["measure"], good=study["data"]["good"]
    )
    scores = scores_by(measured, trained)[where]
    costs = costs_of(trained.cells, mode=where[0], labels=where[1])
    roles, limits = roles_of(study["plan"]), limits_of(study["plan"])
    return stopped_now(
        contenders_of(scores, costs, roles, limits, measured.name, running),
        roles.baseline, running, limits,
    )  # fmt: skip


def contenders_of(
    scores: Mapping[str, PartScores],
    costs: Mapping[str, PolicyCost],
    roles: Roles,
    limits: VerdictLimits,
    measure: str,
    running: Sequence[str],
) -> list[Contender]:
    """Return the policies that may still be recommended, with what they must show."""
    case = case_of(scores, costs, roles, limits, measure)
    learned = [one for one in case.candidates if one.policy in running]
    level = ERROR / len(case.gains) / 2
    return [
        *(Contender(one, ERROR * share_of(one.policy, learned, roles.full), True)
          for one in learned),
        *(Contender(one, level, False) for one in case.rivals if one.policy in running),
    ]  # fmt: skip
