"""What a run says about its guard: columns of the history, metrics, and a picture."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from samix.guard import REPAIRS, Guard
from samix.report.guard import draw_guard

from .checkpoints import method_state
from .runs import RunFolder

_COUNTS = "guard.counters._extra_state"


def guard_row(guard: Guard | None) -> dict[str, float]:
    """Return what the guard did so far as columns of the history; every process must call it."""
    if guard is None:
        return {}
    guard.counters.collect()
    summary = guard.counters.summary()
    shares = {f"guard_{name}": summary[name] for name in ("accepted", *REPAIRS)}
    return {**shares, **{f"guard_broke_{rule}": s for rule, s in summary["broken"].items()}}


def guard_summary(guard: Guard | None, checkpoint: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return what the guard did in the whole run, for metrics.json.

    Args:
        guard: Of the method, whose weights may be those of an earlier epoch.
        checkpoint: The last one.
    """
    if guard is None:
        return None
    guard.counters.set_extra_state(method_state(checkpoint)[_COUNTS])
    return guard.counters.summary()


def draw_run_guard(run: RunFolder, summary: Mapping[str, Any] | None, title: str) -> None:
    """Draw the counts into the run folder, where there was a guard."""
    if summary is not None and summary["mixes"]:
        draw_guard(run.guard, summary, title=title)


def guard_line(summary: Mapping[str, Any]) -> str:
    """Return one line about what a guard did."""
    repaired = {name: summary[name] for name in REPAIRS if summary[name] >= 0.0005}
    how = ", ".join(f"{name} {share:.1%}" for name, share in repaired.items())
    return (
        f"Guard: {summary['accepted']:.1%} of {summary['mixes']:,} mixes accepted as planned"
        f"{f'; repaired: {how}' if how else ''}."
    )
