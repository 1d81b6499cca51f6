"""What is checked: labels against pixels, partners, probabilities and repeatable draws."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .results import CheckResult, passed_if, skipped
from .subject import SOURCES, Source, Subject, fresh, mix, seeded
from .trials import Photos, Trial

LAM_OFF = 0.1
"""Mean difference of pixel share and label share up to which a label may use lam."""
_LARGE = 0.02  # a box that is rounded to whole pixels is off by less, beyond a pixel a side


def check_rows(trials: Sequence[Trial], excused: str | None = None) -> CheckResult:
    """Check that rows of soft targets sum to 1 and hold no number below 0."""
    rows = torch.cat([trial.soft.float() for trial in trials])
    sums = rows.sum(1)
    if not torch.isfinite(rows).all():
        return CheckResult("rows", "fail", "soft targets hold numbers that are not finite.")
    if float(rows.min()) < -1e-6:
        return CheckResult("rows", "fail", f"a soft target is below 0: {float(rows.min()):.3g}.")
    wrong = (sums - 1).abs() >= 1e-4
    seen = f"sums are {float(sums.min()):.3f} to {float(sums.max()):.3f}"
    if excused is not None:
        return skipped("rows", f"{seen}; {excused}")
    return passed_if(
        "rows",
        not bool(wrong.any()),
        f"all {len(rows)} rows of soft targets sum to 1.",
        f"{of_all(wrong)} rows of soft targets do not sum to 1: {seen}.",
    )


def check_pixels(trials: Sequence[Trial], tolerance: float) -> CheckResult:
    """Check that each pixel is a weighted mean of two photos of the batch."""
    distance = torch.cat([trial.distance for trial in trials])
    odd = ~(distance <= tolerance)
    worst = float(distance.nan_to_num(1.0).max())
    return passed_if(
        "pixels",
        not bool(odd.any()),
        f"in {len(distance)} mixes every pixel is a weighted mean of at most two photos.",
        f"in {of_all(odd.flatten(1).any(1))} mixes there are pixels that are no weighted mean of "
        f"two photos of the batch; they are off by up to {worst:.2g} of the photos' range.",
    )


def check_partners(trials: Sequence[Trial], smoothing: float, least: float) -> CheckResult:
    """Check that labels name the photos that the pixels show."""
    if trials[0].soft.shape[1] < 2:
        return skipped("partners", "there is one class: a label cannot name a wrong partner.")
    flags, example = [], ""
    for trial in trials:
        soft = without_smoothing(trial.soft, smoothing)
        flags.append(wrong_partners(trial, soft, least))
        if flags[-1].any() and not example:
            place = int(flags[-1].nonzero()[0])
            shown, said = (_classes(row[place], least) for row in (promised(trial), soft))
            example = f"for instance the pixels show {shown}, the label says {said}"
    wrong = torch.cat(flags)
    return passed_if(
        "partners",
        not bool(wrong.any()),
        f"in {len(wrong)} mixes the label names the photos that the pixels show.",
        f"in {of_all(wrong)} mixes the label names another photo than the pixels show ({example}): "
        "images and labels were permuted differently.",
    )


def check_shares(
    trials: Sequence[Trial], smoothing: float, tolerance: float, *, label: str, name: str
) -> CheckResult:
    """Check that a label's share of each photo is its share of the pixels."""
    parts = [_compared(trial, smoothing, tolerance) for trial in trials]
    off, wrong, border, exchanged = (torch.cat(part) for part in zip(*parts, strict=True))
    words = f"{float(off.mean()):.3f} on average, {float(off.max()):.2f} at most"
    if label not in ("area", "lam"):
        return skipped(
            name, f"the label uses {label}, not the pixels; it is off their share by {words}."
        )
    if not bool(wrong.any()):
        return CheckResult(
            name,
            "pass",
            f"in {len(off)} mixes the label's share of a photo is its share of the pixels, to "
            f"{max(float(off.max()), 1e-6):.0e}.",
        )
    if label == "lam":
        return passed_if(
            name,
            float(off.mean()) <= LAM_OFF,
            f"the label uses lam, as the policy says; the pixels follow it: off by {words}.",
            f"the label uses lam, but the pixels do not follow it: off by {words}.",
        )
    return CheckResult(
        name,
        "fail",
        f"in {of_all(wrong)} mixes the label's share of a photo is not its share of the pixels: "
        f"off by up to {float(off.max()):.2f}, {float(off[wrong].mean()):.2f} on average"
        f"{_reason(trials[0], off, border, exchanged & wrong)}.",
    )


def _compared(
    trial: Trial, smoothing: float, tolerance: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return (B,) how far labels are off, and three flags: wrong, at the border, exchanged."""
    soft = without_smoothing(trial.soft, smoothing)
    off = (promised(trial) - soft).abs().amax(1)
    # what is no number is wrong, too
    wrong = ~(off <= tolerance)
    return off.nan_to_num(1.0), wrong, cut_at_border(trial), swapped(trial, soft, tolerance)


def _reason(trial: Trial, off: Tensor, border: Tensor, exchanged: Tensor) -> str:
    height, width = trial.weights.shape[2:]
    large = off > _LARGE + 1 / height + 1 / width
    if not bool(large.any()):
        return ""
    if bool(exchanged[large].float().mean() > 0.8):
        return "; they fit when those of original and partner are exchanged"
    if bool(border[large].all()) and not bool(large.all()):
        return (
            "; it is far off only where the pasted region ends at the border: where a box is cut "
            "off there, the label must use the area that is left"
        )
    return ""


def of_all(flags: Tensor) -> str:
    """Return how many of flags are true, in words."""
    return f"{int(flags.sum())} of {len(flags)}"


def _classes(row: Tensor, least: float) -> str:
    """Return the classes of a row that count, with their shares."""
    found = [(int(k), float(row[k])) for k in (row > least).nonzero().flatten()]
    return " and ".join(f"{share:.2f} of class {k}" for k, share in found) or "nothing"


_SAME = 1e-6


def found_smoothing(rows: Sequence[Tensor], said: float | None) -> float:
    """Return the label smoothing that was added to soft targets (B,K) of several calls.

    Smoothing by s leaves s / K in the classes that were not mixed, the same number in every row.
    """
    if said is not None:
        return float(said)
    together = torch.cat([row.float() for row in rows])
    classes = together.shape[1]
    if classes < 4:  # all classes may be mixed: nothing is left to see it in
        return 0.0
    least = together.min(dim=1).values
    if least.min() <= _SAME or least.max() - least.min() > _SAME:
        return 0.0
    smoothing = float(least.mean()) * classes
    return smoothing if smoothing < 1.0 else 0.0


def without_smoothing(soft: Tensor, smoothing: float) -> Tensor:
    """Return soft targets (B,K) as they were before label smoothing."""
    return (soft.float() - smoothing / soft.shape[1]) / (1.0 - smoothing)


def rows_of(target: Tensor, num_classes: int) -> Tensor:
    """Return classes (B,), or rows (B,K), as rows (B,K) float32."""
    if target.ndim == 2:
        return target.float()
    return torch.nn.functional.one_hot(target, num_classes).float()


def promised(trial: Trial) -> Tensor:
    """Return (B,K) what the label should say by the pixels: the sum of share times label."""
    return trial.shares @ rows_of(trial.target, trial.soft.shape[1])


def wrong_partners(trial: Trial, soft: Tensor, least: float) -> Tensor:
    """Return (B,) where the label names a class that no pixel shows, and leaves out a shown one."""
    wanted = promised(trial)
    unnamed = ((wanted > least) & (soft < least)).any(1)
    unseen = ((soft > least) & (wanted < least)).any(1)
    return unnamed & unseen


def swapped(trial: Trial, soft: Tensor, tolerance: float) -> Tensor:
    """Return (B,) where the shares of the two classes fit when they are exchanged."""
    wanted = promised(trial)
    if soft.shape[1] < 2:
        return torch.zeros(len(soft), dtype=torch.bool)
    value, place = wanted.topk(2, dim=1)
    exchanged = wanted.scatter(1, place, value.flip(1))
    apart = (value[:, 0] - value[:, 1]) > 2 * tolerance
    return apart & ((exchanged - soft).abs().amax(1) <= tolerance)


def cut_at_border(trial: Trial) -> Tensor:
    """Return (B,) where a mix is made of whole pixels and the partner touches the border.

    Such a mix may be of a box that was clipped there.
    """
    own = torch.diagonal(trial.weights, dim1=0, dim2=1).permute(2, 0, 1)
    whole = ((own < 1e-3) | (own > 1 - 1e-3)).flatten(1).all(1)
    pasted = own < 0.5
    sides = [pasted[:, 0], pasted[:, -1], pasted[:, :, 0], pasted[:, :, -1]]
    return whole & torch.stack([side.any(1) for side in sides]).any(0)


_SIGMA = 4.0
_HIDDEN = 0.4  # share of mixes that may be too slight to be seen
_SELF = 0.25  # share of samples that may stay as they are, beyond those of a random permutation
_SEEDS = range(1, 17)
_WORDS = {"torch": "torch", "numpy": "numpy", "random": "Python's random"}


def check_probability(flags: Tensor, p: float | None) -> CheckResult:
    """Check that the share of mixed samples, or batches, is the probability that was said.

    ``flags`` (R,B) say which samples of many calls came out changed.
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
    """Check how often samples are paired with themselves; ``flags`` as in `check_probability`."""
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
    """Check that a transform that takes a generator draws from it alone."""
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
