"""What the page of `samix ui` is about."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from samix.data import ImageSet


@dataclass(frozen=True)
class Context:
    """What the page shows.

    Attributes:
        policies: Those to choose from.
        images: Photos to choose from; None offers none.
        report: The report.html of a study; None shows none.
    """

    policies: tuple[str, ...]
    images: ImageSet | None = None
    report: Path | None = None
