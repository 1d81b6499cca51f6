"""What a sequential study says of simulated tables whose truth is known, and what it trains for it.

Run it with ``python benchmarks/sequential.py --output sequential.csv``; see ``--help``. The truths
and the task are those of ``benchmarks/verdict.py``: seven free rivals, a light version and SAMix,
supervised. All studies of a row are computed at once with numpy; the rules are those of
``samix.study.stages`` and of the verdict, but for harm to a class, which needs classes
(``tests/study/test_sequential.py`` holds both to the same answers). "Found" is adopt or
adopt-light; "trainings" is the share of what a fixed design of so many seeds would have trained.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import special

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "study"))

from simulated import TASKS, TRUTHS

from samix.study.stages import SMALL
from samix.study.statistics.candidates import ERROR, FULL_SHARE
from samix.study.statistics.effects import UNEQUAL
from samix.study.statistics.intervals import KNOWN
from samix.study.statistics.looks import shares_of

POLICIES = tuple(TRUTHS["small"]["supervised"])
NONE, FULL, LIGHT = (POLICIES.index(name) for name in ("none", "samix", "samix-p"))
RIVALS = [n for n in range(len(POLICIES)) if n not in (NONE, FULL, LIGHT)]
SHORT = [n for n in RIVALS if not POLICIES[n].endswith("-long")]
OVER = {FULL: RIVALS, LIGHT: SHORT}  # that had no more wall time
LEVELS = {FULL: ERROR * FULL_SHARE, LIGHT: ERROR * (1 - FULL_SHARE)}
RIVAL_LEVEL = ERROR / (len(POLICIES) - 1) / 2
PAIRS = [(p, NONE) for p in range(len(POLICIES)) if p != NONE]
PAIRS += [(c, r) for c, rivals in OVER.items() for r in rivals]
CHUNK = 50  # studies that are computed at once
COLUMNS = ("truth", "task", "design", "seeds", "parts", "studies", "found", "adopt", "adopt-light",
           "mean_seeds", "trainings")  # fmt: skip


def drawn(
    rng: np.random.Generator, gains: Mapping[str, Any], task: Mapping[str, float], *, studies: int,
    seeds: int, parts: int, lucky: str = "",
) -> np.ndarray:  # fmt: skip
    """Return (studies, policies, seeds, parts) right answers, as tests/study/simulated.py draws."""
    target = np.arange(parts) % 3
    classes = ("crack", "good", "stain")
    found = np.empty((studies, len(POLICIES), seeds, parts), dtype=bool)
    difficulty = rng.standard_normal((studies, 1, parts), dtype=np.float32)
    between, within = task["between"], task["within"]
    for at, name in enumerate(POLICIES):
        gain = gains[name]
        of_class = np.array([gain.get(c, 0.0) if isinstance(gain, Mapping) else gain
                             for c in classes])  # fmt: skip
        luck = rng.normal(0, 0.7, size=(studies, seeds, 1))
        if name == lucky:
            luck[:, 1] += 5.0
        expected = np.clip((task["accuracy"] + of_class[target] + luck) / 100, 0.001, 0.999)
        own = rng.standard_normal((studies, 1, parts), dtype=np.float32)
        rest = rng.standard_normal((studies, seeds, parts), dtype=np.float32)
        latent = np.sqrt(between) * difficulty + np.sqrt(within - between) * own
        found[:, at] = latent + np.sqrt(1 - within) * rest < special.ndtri(expected)
    return found


def squares(right: np.ndarray, one: int, other: int, seeds: int) -> dict[str, np.ndarray]:
    """Return estimate and mean squares of a difference after some seeds, by study."""
    values = right[:, one, :seeds].astype(np.float32) - right[:, other, :seeds]
    parts = values.shape[2]
    mean = values.mean(axis=(1, 2), dtype=float)
    of_seed, of_part = values.mean(axis=2, dtype=float), values.mean(axis=1, dtype=float)
    part_sum = seeds * ((of_part - mean[:, None]) ** 2).sum(axis=1)
    seed_sum = parts * ((of_seed - mean[:, None]) ** 2).sum(axis=1)
    whole = (values**2).sum(axis=(1, 2), dtype=float) - seeds * parts * mean**2
    return {
        "mean": mean, "seed": seed_sum / (seeds - 1), "part": part_sum / (parts - 1),
        "rest": np.maximum(whole - part_sum - seed_sum, 0) / ((seeds - 1) * (parts - 1)),
    }  # fmt: skip


def pool(right: np.ndarray, active: np.ndarray, seeds: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the variance of a policy at a seed from all active ones, and its degrees of freedom.

    As seed_spread does; 0 degrees of freedom where fewer than three policies are active.
    """
    rows = right[:, :, :seeds].mean(axis=3)
    weight = active[:, :, None].astype(float)
    count = active.sum(axis=1)
    of_seed = (rows * weight).sum(axis=1, keepdims=True) / np.maximum(count, 1)[:, None, None]
    of_policy = rows.mean(axis=2, keepdims=True)
    rest = (rows - of_seed - of_policy + of_seed.mean(axis=2, keepdims=True)) * weight
    df = np.where(count >= 3, (count - 1) * (seeds - 1), 0)
    return (rest**2).sum(axis=(1, 2)) / np.maximum(df, 1), df


def pooled(found: dict[str, np.ndarray], spread: np.ndarray, df: np.ndarray, seeds: int,
           parts: int) -> np.ndarray:  # fmt: skip
    """Replace the seeds' mean square by the common one, unless clearly larger; return its df."""
    common = 2 * spread * parts
    with np.errstate(divide="ignore", invalid="ignore"):
        unequal = special.fdtrc(seeds - 1, np.maximum(df, 1), found["seed"] / common) < UNEQUAL
    use = (df > seeds - 1) & ~((common > 0) & unequal)
    found["seed"] = np.where(use, common, found["seed"])
    return np.where(use, df, seeds - 1).astype(float)


def error(s: Mapping[str, np.ndarray], df: np.ndarray, seeds: int, parts: int) -> Any:
    """Return the standard error of a mean and its degrees of freedom, as error_of does."""
    size = seeds * parts
    seed, rest = np.maximum(s["seed"], s["rest"]) / size, s["rest"] / size
    part = np.maximum(s["part"] - s["rest"], 0) / size
    known = np.where(df >= 2, KNOWN * rest, 0)
    spread = (seed - known) ** 2 / df + rest**2 / ((seeds - 1) * (parts - 1))
    spread += np.where(part > 0, (s["part"] / size) ** 2 / (parts - 1), 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        of = np.where(spread > 0, (seed + part) ** 2 / spread, df)
    return np.sqrt(np.maximum(seed + part, 1 / parts**2)), of


def chances(
    s: Mapping[str, np.ndarray], df: np.ndarray, now: int, looks: Mapping[int, float], parts: int,
    *, level: float,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Return the probabilities that the last look shows a lead, and too little, as Outlook does."""
    last, share = max(looks), looks[max(looks)]
    if now >= last:
        return np.zeros_like(s["mean"]), np.zeros_like(s["mean"])
    seed = np.maximum(s["seed"] - s["rest"], 0) / parts
    part = np.maximum(s["part"] - s["rest"], 0) / now
    planned = {"seed": s["rest"] + parts * seed, "part": s["rest"] + last * part, "rest": s["rest"]}
    width, of = error(planned, df / (now - 1) * (last - 1), last, parts)
    moves = np.sqrt(s["seed"] / parts * (1 / now - 1 / last))

    def above(needed: np.ndarray) -> np.ndarray:
        with np.errstate(divide="ignore", invalid="ignore"):
            found = 1 - special.stdtr(df, (needed - s["mean"]) / moves)
        return np.where(moves > 0, found, s["mean"] >= needed)

    lead = above(np.maximum(0.01, special.stdtrit(of, 1 - level * share) * width))
    return lead, 1 - above(0.01 - special.stdtrit(of, 0.975) * width)


def studied(right: np.ndarray, looks: Mapping[int, float]) -> dict[str, np.ndarray]:
    """Return what is adopted in each study, and the seeds that each policy was trained with.

    Args:
        right: (studies, policies, seeds, parts).
        looks: Share of the error by seeds; one look is a fixed design.
    """
    studies, policies, _, parts = right.shape
    active = np.ones((studies, policies), dtype=bool)
    seeds = np.full((studies, policies), min(looks))
    first = {"mean": 0.0, "p": 1.0, "chance": 1.0, "little": 1.0, "high": 1.0}
    state = {pair: {name: np.full(studies, value) for name, value in first.items()}
             for pair in PAIRS}  # fmt: skip
    for now in sorted(looks):
        seeds[active] = now
        spread, of = pool(right, active, now)
        for pair, known in state.items():
            here = np.flatnonzero(active[:, pair[0]] & active[:, pair[1]])
            if not len(here):
                continue
            found = squares(right[here], *pair, now)
            df = pooled(found, spread[here], of[here], now, parts)
            width, freedom = error(found, df, now, parts)
            p = special.stdtr(freedom, -found["mean"] / width) / looks[now]
            level = LEVELS.get(pair[0], RIVAL_LEVEL)
            known["mean"][here] = found["mean"]
            known["p"][here] = np.minimum(known["p"][here], p)
            known["chance"][here], known["little"][here] = chances(
                found, df, now, looks, parts, level=level
            )
            known["high"][here] = found["mean"] + special.stdtrit(freedom, 0.975) * width
        active = goes_on(state, active)
    kinds = verdicts(state)
    return {**kinds, "seeds": seeds}


def goes_on(state: Mapping[Any, Any], active: np.ndarray) -> np.ndarray:
    """Return which policies have a comparison that is open and not lost, of those active."""
    needed = np.zeros_like(active)
    for one in range(active.shape[1]):
        if one == NONE:
            continue
        level = LEVELS.get(one, RIVAL_LEVEL)
        pairs = [(one, NONE), *((one, rival) for rival in OVER.get(one, ()))]
        open_ = {p: (state[p]["p"] >= level) | (state[p]["mean"] < 0.01) for p in pairs}
        hopeless = state[one, NONE]["high"] < 0.01
        hardly = np.zeros_like(hopeless)
        for pair in pairs:
            hardly |= open_[pair] & (state[pair]["chance"] < SMALL)
        for pair in pairs:
            on = open_[pair] & ~hardly & ~hopeless & active[:, one]
            for policy in (one, pair[1], NONE):
                needed[:, policy] |= on
    # those in question may all turn out to be worth nothing
    left = {one: active[:, one] & (state[one, NONE]["high"] >= 0.01) for one in OVER}
    fading = [~left[one] | (state[one, NONE]["little"] >= SMALL) for one in OVER]
    for one in OVER:
        for policy in (one, NONE):
            needed[:, policy] |= left[one] & np.all(fading, axis=0)
    return active & needed


def verdicts(state: Mapping[Any, Any]) -> dict[str, np.ndarray]:
    """Return in which studies the full and the light version are adopted."""
    worst, able = {}, {}
    for one in (FULL, LIGHT):
        pairs = [(one, NONE), *((one, rival) for rival in OVER[one])]
        worst[one] = np.max([state[pair]["p"] for pair in pairs], axis=0)
        shown = [(state[p]["p"] < ERROR) & (state[p]["mean"] >= 0.01) for p in pairs]
        able[one] = np.all(shown, axis=0)
    full = worst[FULL] / FULL_SHARE <= worst[LIGHT] / (1 - FULL_SHARE)
    alone = {FULL: worst[FULL] / FULL_SHARE < ERROR, LIGHT: worst[LIGHT] / (1 - FULL_SHARE) < ERROR}
    passed = {  # Holm: the second one has the whole error once the first is below its share
        FULL: alone[FULL] | (~full & alone[LIGHT] & (worst[FULL] < ERROR)),
        LIGHT: alone[LIGHT] | (full & alone[FULL] & (worst[LIGHT] < ERROR)),
    }
    adopt, light = (passed[one] & able[one] for one in (FULL, LIGHT))
    return {"adopt": adopt, "adopt-light": light & ~adopt}


def row(
    truth: str, task: str, looks: Mapping[int, float], parts: int, studies: int
) -> dict[str, Any]:
    """Return one row of the table."""
    seeds = max(looks)
    name = truth + task
    rng = np.random.default_rng([seeds, parts, len(looks), *map(ord, name)])
    lucky = "samix" if truth == "lucky seed" else ""
    gains = TRUTHS[truth]["supervised"]
    parts_of = []
    for _ in range(0, studies, CHUNK):
        right = drawn(rng, gains, TASKS[task], studies=CHUNK, seeds=seeds, parts=parts, lucky=lucky)
        parts_of.append(studied(right, looks))
    found = {key: np.concatenate([one[key] for one in parts_of]) for key in parts_of[0]}
    trained = found["seeds"].mean()
    share = {kind: round(100 * float(found[kind].mean()), 2) for kind in ("adopt", "adopt-light")}
    return {
        "truth": truth, "task": task, "design": "sequential" if len(looks) > 1 else "fixed",
        "seeds": seeds, "parts": parts, "studies": len(found["adopt"]),
        "found": round(sum(share.values()), 2), **share, "mean_seeds": round(float(trained), 2),
        "trainings": round(float(trained) / seeds, 3),
    }  # fmt: skip


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", 1)[0])
    parser.add_argument("--output", type=Path, default=Path("sequential.csv"))
    parser.add_argument("--studies", type=int, default=1000)
    parser.add_argument("--seeds", type=int, nargs="*", default=[8])
    parser.add_argument("--parts", type=int, nargs="*", default=[300, 600])
    parser.add_argument("--tasks", nargs="*", default=["90 %, measured"], choices=list(TASKS))
    parser.add_argument("--truths", nargs="*", default=list(TRUTHS), choices=list(TRUTHS))
    given = parser.parse_args(words)
    with given.output.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        for task in given.tasks:
            for parts in given.parts:
                for seeds in given.seeds:
                    for truth in given.truths:
                        found = row(truth, task, shares_of(seeds), parts, given.studies)
                        writer.writerow(found)
                        file.flush()
                        print(found, flush=True)


if __name__ == "__main__":
    main()
