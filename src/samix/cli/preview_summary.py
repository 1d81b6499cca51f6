"""What `samix preview` says about all that was looked at, in words and as plain values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from samix._version import __version__
from samix.pages.mixes import MixRow, Photos
from samix.report.preview import PolicyMixes

from .output import how_to_repeat
from .preview_verdicts import LABEL_NOISE
from .summary import cell, say, say_lines


@dataclass(frozen=True)
class Look:
    """What is looked at.

    Attributes:
        data: Name of the image set.
        what: Which of its photos were chosen from.
        photos: Those that are mixed.
        policies: What each policy makes of them.
        seed: Of the choice of photos and of lam.
        outlines: Defects have an outline.
    """

    data: str
    what: str
    photos: Photos
    policies: Sequence[PolicyMixes]
    seed: int
    outlines: bool


def record_of(found: Look) -> dict[str, Any]:
    """Return what preview.json holds."""
    return {
        **how_to_repeat("torch"),
        "data": found.data,
        "photos": found.what,
        "seed": found.seed,
        "image_size": found.photos.images.shape[-1],
        "policies": {policy.name: policy.record() for policy in found.policies},
    }


def title_of(found: Look) -> str:
    """Return the line above preview.png."""
    size = found.photos.images.shape[-1]
    return f"Mixes of {found.data}, {size} px, seed {found.seed} (mask: white shows the original)"


def lead_of(found: Look) -> str:
    """Return what a hurried reader must know."""
    first, *others = found.policies
    count = len(first.rows)
    pairs = "1 pair" if count == 1 else f"{count} pairs"
    text = f"{pairs} of photos as a network would see them, mixed before any training"
    if others:
        lam = [row.lam for row in first.rows]
        apart = [p.name for p in others if not _close(lam, p.rows)]
        but = f" except in {' and '.join(apart)}" if apart else ""
        text += f": the same pairs under {len(found.policies)} policies, with the same lam{but}"
    noisy = [f"{p.noisy} of {p.defects} with {p.name}" for p in found.policies if p.noisy]
    if noisy:
        text += (
            ".\nLabel noise (the label promises a defect that can hardly be seen) in mixes with a "
            f"defect: {', '.join(noisy)}"
        )
    guarded = [p for p in found.policies if p.guarded]
    if guarded:
        repaired = [f"{len(p.repaired)} of {len(p.rows)} with {p.name}" for p in guarded]
        rows = [row.after or row for p in guarded for row in p.rows]
        left = sum(LABEL_NOISE in row.verdict.badge for row in rows)
        text += f".\nThe guard repaired {', '.join(repaired)}"
        text += f"; label noise is left in {left}" if noisy else ""
    return f"{text}."


def _close(lam: Sequence[float], rows: Sequence[MixRow]) -> bool:
    return all(abs(value - row.lam) < 1e-6 for value, row in zip(lam, rows, strict=True))


def facts_of(found: Look) -> list[tuple[str, str]]:
    """Return the small print of the page."""
    return [
        ("data", found.data),
        ("photos", found.what),
        ("image size", f"{found.photos.images.shape[-1]} px"),
        ("seed", str(found.seed)),
        ("samix", __version__),
    ]


def print_look(found: Look, output: Path, console: Console) -> None:
    """Print a line a policy and where to look."""
    say_lines(console, lead_of(found))
    known = found.policies[0].defects is not None
    table = Table(box=None, padding=(0, 2, 0, 0))
    for name in ("policy", "lam from", "label uses", "area off lam"):
        table.add_column(name, justify="right" if name.startswith("area") else "left")
    guarded = any(policy.guarded for policy in found.policies)
    for name in ["label noise"] * known + ["repaired"] * guarded:
        table.add_column(name, justify="right")
    for policy in found.policies:
        cells = [policy.name, policy.draw, policy.label_text, f"{policy.area_from_lam:.2f}"]
        cells += [f"{policy.noisy} of {policy.defects}"] * known
        cells += [f"{len(policy.repaired)} of {len(policy.rows)}"] * guarded
        table.add_row(*map(cell, cells))
    console.print(table)
    say(console, f"Page:    {output / 'preview.html'}")
    say(console, f"Picture: {output / 'preview.png'}")
    say(console, f"Numbers: {output / 'preview.json'}")
