"""Checks of what a transform draws: how often it mixes, whom with whom, and whether it repeats."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .agreement import of_all
from .results import CheckResult, passed_if, skipped
from .subject import SOURCES, Source, Subject, fresh, mix, seeded
from .trials import Photos, Trial

_SIGMA = 4.0
_HIDDEN = 0.4  # share of mixes that may be too slight to be seen
_SELF = 0.25  # share of samples that may stay as they are, beyond those of a random permutation
_SEEDS = range(1, 17)
_WORDS = {"torch": "torch", "numpy": "numpy", "random": "Python's random"}


def check_probability(flags: Tensor, p: float | None) -> CheckResult:
    """Check that the share of mixed samples, or batches, is the probability that was said.

    Args:
        flags: (R,B) which samples of many calls came out changed.
        p: What the transform says.
    """
    name, seen = "probability", float(flags.float().mean())
    if p is None:
        return skipped(
            name, f"the transform states no p; {seen:.0%} of {flags.numel():,} samples were mixed."
        )
    whole = per_batch(flags)
    if whole:
        seen = float(flags.any(1).float().mean())
    units = len(flags) if whole else flags.numel()
    spread = _SIGMA * (p * (1 - p) / units) ** 0.5 + 1e-9
    text = f"{seen:.0%} of {units:,} {'batches' if whole else 'samples'} were visibly mixed"
    return passed_if(
        name,
        p * (1 - _HIDDEN) - spread <= seen <= p + spread,
        f"{text}, where p is {p:g}.",
        f"{text}, but p is {p:g}.",
    )


def per_batch(flags: Tensor) -> bool:
    """Return whether batches (R,B) were mixed as a whole or not at all, both of which occurred."""
    share = flags.float().mean(1)
    # a sample may be its own partner, or its mix too slight to be seen
    return bool((share == 0).any()) and bool(share[share > 0].mean() > 0.7)


def check_self_pairs(flags: Tensor, p: float | None, trials: Sequence[Trial] = ()) -> CheckResult:
    """Check how often samples are paired with themselves.

    Args:
        flags: (R,B) which samples of many calls came out changed.
        p: Share of samples or batches that are mixed.
        trials: What was seen; the plans of a policy say who is paired with whom.
    """
    name = "self-pairs"
    plans = [trial.plan for trial in trials if trial.plan is not None]
    if plans:
        own = torch.cat([plan.index == torch.arange(len(plan)) for plan in plans])
        return passed_if(
            name,
            not bool(own.any()),
            f"in {len(own)} mixes no photo is its own partner.",
            f"in {of_all(own)} mixes a photo is its own partner: nothing is mixed.",
        )
    if p is None or (0 < p < 1 and not per_batch(flags)):
        return skipped(name, "samples may be left clean by chance: self-pairs look the same.")
    kept = ~flags[flags.any(1)]
    if not kept.numel():
        return skipped(name, "nothing was mixed.")
    seen, chance = float(kept.float().mean()), 1 / flags.shape[1]
    text = (
        f"{seen:.1%} of the samples in mixed batches came out as they were: their own partner, or "
        f"mixed too slightly to be seen (a random permutation of {flags.shape[1]} pairs "
        f"{chance:.0%} with themselves)"
    )
    return passed_if(name, seen <= chance + _SELF, f"{text}.", f"{text}: too many.")


def check_repeats(subject: Subject, flat: Photos) -> CheckResult:
    """Check that a transform that takes a generator draws from it alone.

    Args:
        subject: The transform.
        flat: Photos of one colour each.
    """
    name = "generator"
    if not subject.takes_generator:
        return skipped(name, _without_generator(subject, flat))
    results: list[tuple[Tensor, Tensor]] = []
    for seed in (1, 1, 2):
        # a global state that differs each time: drawing from it is seen
        with seeded(len(results)):
            before = torch.get_rng_state()
            results.append(_mixed(fresh(subject), flat, seed, SOURCES))
            touched = not torch.equal(before, torch.get_rng_state())
    first, again, other = results
    if not _equal(first, again):
        return CheckResult(
            name, "fail", "the same generator gives other mixes: something else is drawn from."
        )
    if touched:
        return CheckResult(
            name, "fail", "it takes a generator, but changes the global random state of torch, too."
        )
    nothing = subject.p == 0.0
    return passed_if(
        name,
        nothing or not _equal(first, other),
        "the same generator gives the same mixes, and the global random state stays as it is."
        if nothing
        else "the same generator gives the same mixes, another one other mixes.",
        "another seed of the generator gives the same mixes: it is not used.",
    )


def _without_generator(subject: Subject, flat: Photos) -> str:
    """Return from where a transform draws that takes no generator."""
    if not all(
        _equal(*(_mixed(fresh(subject), flat, seed, SOURCES) for _ in range(2))) for seed in _SEEDS
    ):
        return (
            "it takes no generator, and draws from a source of its own: no seed of torch, numpy or "
            "Python repeats its mixes."
        )
    used = []
    for source in SOURCES:
        found = [_mixed(fresh(subject), flat, seed, (source,)) for seed in _SEEDS]
        if not all(_equal(found[0], other) for other in found[1:]):
            used.append(_WORDS[source])
    if not used:
        return f"it takes no generator, and {len(_SEEDS)} seeds gave the same mixes."
    return f"it takes no generator; it draws from the global state of {' and '.join(used)}."


def _mixed(
    subject: Subject, flat: Photos, seed: int, sources: Sequence[Source]
) -> tuple[Tensor, Tensor]:
    return mix(subject, flat.images.clone(), flat.target.clone(), seed, sources)


def _equal(first: tuple[Tensor, Tensor], other: tuple[Tensor, Tensor]) -> bool:
    return torch.equal(first[0], other[0]) and torch.equal(first[1], other[1])
