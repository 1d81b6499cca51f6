"""Checks of what labels say against what pixels show."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .label import cut_at_border, promised, swapped, without_smoothing, wrong_partners
from .results import CheckResult, passed_if, skipped
from .trials import Trial

LAM_OFF = 0.1
"""Mean difference of pixel share and label share up to which a label may use lam."""
_LARGE = 0.02  # a box that is rounded to whole pixels is off by less, beyond a pixel a side


def check_rows(trials: Sequence[Trial], excused: str | None = None) -> CheckResult:
    """Check that rows of soft targets sum to 1 and hold no number below 0.

    Args:
        trials: What was seen.
        excused: Why they need not sum to 1, where the policy says so.
    """
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
    """Check that each pixel is a weighted mean of two photos of the batch.

    Args:
        trials: What was seen.
        tolerance: Distance up to which it is, as a share of the photos' range.
    """
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
    """Check that labels name the photos that the pixels show.

    Args:
        trials: What was seen.
        smoothing: Label smoothing that was added.
        least: Share from which on a photo counts as shown, or a class as named.
    """
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
    """Check that a label's share of each photo is its share of the pixels.

    Args:
        trials: What was seen.
        smoothing: Label smoothing that was added.
        tolerance: Difference up to which shares are the same.
        label: What the label uses, of :class:`samix.policies.Traits`.
        name: Of the check.
    """
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
    """Return what the wrong shares have in common."""
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
